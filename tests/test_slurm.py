"""The SLURM profile on a real SLURM: requests arrive, failures are named, a killed run restarts.

Run: pytest tests/test_slurm.py. The tests use the SLURM that they find (give --basetemp on a disk that its
nodes see); where there is none, tests/slurm_cluster.sh makes a small one, for root on Debian or Ubuntu.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from conftest import Snakemake

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / "tests" / "slurm_cluster.sh"
PROFILE = ROOT / "profiles" / "slurm"

# The profile itself looks at its jobs every 30 s or less often.
IMPATIENT = ["--slurm-init-seconds-before-status-checks=2", "--seconds-between-status-checks=2"]

FAILURES = """
rule all:
    input: "gpu.txt", "hungry.txt"

rule gpu:
    output: "gpu.txt"
    threads: 2
    resources: gpu=1
    shell: "scontrol show job $SLURM_JOB_ID > {output}; echo devices=$CUDA_VISIBLE_DEVICES >> {output}"

rule hungry:
    output: "hungry.txt"
    resources: mem_mb=lambda wildcards, attempt: 400 * attempt
    shell:
        "{python} -c 'import time; held = bytearray(450_000_000); time.sleep(6)';"
        "echo {resources.mem_mb} > {output}"

rule broken:
    output: "broken.txt"
    log: "logs/broken.log"
    retries: 0
    shell: "echo the cause stands here > {log}; exit 3"

rule slow:
    output: "slow.txt"
    retries: 0
    resources: runtime=1
    shell: "touch slow.started; sleep 300"

rule cancelled:
    output: "cancelled.txt"
    retries: 0
    shell: "sleep 300"

rule impossible:
    output: "impossible.txt"
    retries: 0
    resources: gpu=99
    shell: "touch {output}"
"""

TRAIN = """
rule train:
    output: "model/weights.txt"
    script: "train.py"
"""

# Two processes in the folder at once would leave two lines beginning "start" one after the other.
TRAIN_SCRIPT = """
import os
import time
from pathlib import Path

from belljar.files import folder_lock, write_text

job = os.environ["SLURM_JOB_ID"]
with folder_lock(Path("model")):
    with Path("journal").open("a") as journal:
        journal.write(f"start {job}\\n")
    while not Path("release").exists():
        time.sleep(0.2)
    write_text(Path(snakemake.output[0]), job)
    with Path("journal").open("a") as journal:
        journal.write(f"end {job}\\n")
"""


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """A SLURM that answers: the one that is here, or else one that lives as long as the session."""
    if shutil.which("sinfo") and subprocess.run(["sinfo"], capture_output=True, timeout=60).returncode == 0:
        yield
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("needs a running SLURM, or root and apt-get to start one")
    try:
        started = subprocess.run([CLUSTER, "start"], capture_output=True, text=True)
        assert started.returncode == 0, started.stderr
        yield
    finally:
        subprocess.run([CLUSTER, "stop"], check=True)


def start(folder: Path, log: Path, *targets: str) -> subprocess.Popen[bytes]:
    """A run of `folder`'s Snakefile under the profile, in the background, its output in `log`."""
    command = [sys.executable, "-m", "snakemake", "--profile", str(PROFILE), "--nolock", *IMPATIENT]
    with log.open("wb") as output:
        return subprocess.Popen([*command, *targets], cwd=folder, stdout=output, stderr=subprocess.STDOUT)


def wait_for(condition: Callable[[], object], log: Path, seconds: float = 60) -> None:
    """Return once `condition` holds; fail with the end of `log` if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s; the log ends:\n{log.read_text()[-3000:]}"
        time.sleep(0.2)


def running_job(rule: str) -> str:
    """The SLURM id of the running job of `rule`, or an empty string."""
    queue = subprocess.check_output(["squeue", "--me", "--noheader", "--states=RUNNING", "--format=%i %k"], text=True)
    jobs = {comment.strip(): job for job, _, comment in (line.partition(" ") for line in queue.splitlines())}
    return jobs.get(f"rule_{rule}", "")


def waiting_job(folder: Path) -> str:
    """The SLURM id of the job of rule train that waits for the lock, or an empty string."""
    logs = folder.glob(".snakemake/slurm_logs/rule_train/*.log")
    return next((log.stem for log in logs if "is held by process" in log.read_text()), "")


def section(log: str, rule: str) -> str:
    """The part of a Snakemake log that reports the failure of `rule`."""
    return log.split(f"Error in rule {rule}:", 1)[1].split("Error in rule", 1)[0]


@pytest.fixture(scope="module")
def failures(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the log of one run in which two jobs succeed and four fail, each in its own way."""
    folder = tmp_path_factory.mktemp("failures")
    folder.joinpath("Snakefile").write_text(f"python = {sys.executable!r}\n{FAILURES}")
    log = folder / "snakemake.log"
    targets = ["all", "broken.txt", "slow.txt", "cancelled.txt", "impossible.txt"]
    run = start(folder, log, *targets)
    try:
        wait_for(lambda: running_job("cancelled"), log)
        subprocess.run(["scancel", running_job("cancelled")], check=True)
        wait_for((folder / "slow.started").exists, log)
        # SLURM counts in whole minutes; an operator can end the job's one minute early.
        subprocess.run(["scontrol", "update", f"jobid={running_job('slow')}", "TimeLimit=0"], check=True)
        assert run.wait(timeout=180) == 1
    finally:
        run.kill()
    return folder, log.read_text()


@pytest.mark.slurm
def test_gpu_request_reaches_the_job(failures: tuple[Path, str]) -> None:
    job = (failures[0] / "gpu.txt").read_text()
    fields = dict(word.split("=", 1) for word in job.split() if "=" in word)
    assert fields["Partition"] == "gpu"
    assert fields["TresPerJob"].endswith("gpu:1")
    assert fields["CPUs/Task"] == "2"
    assert fields["NumNodes"] == "1"
    assert len(fields["devices"].split(",")) == 1 and fields["devices"] != ""


@pytest.mark.slurm
def test_job_over_its_memory_is_retried_with_more(failures: tuple[Path, str]) -> None:
    folder, log = failures
    assert (folder / "hungry.txt").read_text() == "800\n"
    assert log.count("Trying to restart job") == 1


@pytest.mark.slurm
def test_broken_job_is_reported_with_its_log(failures: tuple[Path, str]) -> None:
    report = section(failures[1], "broken")
    assert "'FAILED'" in report
    assert "the cause stands here" in report


@pytest.mark.slurm
def test_slow_job_is_reported_as_a_timeout(failures: tuple[Path, str]) -> None:
    assert "'TIMEOUT'" in section(failures[1], "slow")


@pytest.mark.slurm
def test_cancelled_job_is_reported_and_does_not_hang_the_run(failures: tuple[Path, str]) -> None:
    assert "'CANCELLED'" in section(failures[1], "cancelled")


@pytest.mark.slurm
def test_impossible_request_is_reported_in_the_words_of_sbatch(failures: tuple[Path, str]) -> None:
    assert "sbatch: error" in section(failures[1], "impossible")


@pytest.mark.slurm
def test_restart_after_a_kill_waits_for_the_orphan(slurm: None, tmp_path: Path) -> None:
    tmp_path.joinpath("Snakefile").write_text(TRAIN)
    tmp_path.joinpath("train.py").write_text(TRAIN_SCRIPT)
    journal = tmp_path / "journal"

    killed = start(tmp_path, tmp_path / "killed.log")
    wait_for(journal.exists, tmp_path / "killed.log")
    killed.kill()
    killed.wait()
    orphan = running_job("train")
    name = subprocess.check_output(["squeue", "--noheader", f"--jobs={orphan}", "--format=%j"], text=True)
    assert name.startswith("belljar")

    log = tmp_path / "restarted.log"
    restarted = start(tmp_path, log)
    try:
        wait_for(lambda: waiting_job(tmp_path), log)
        twin = waiting_job(tmp_path)
        assert journal.read_text() == f"start {orphan}\n"
        tmp_path.joinpath("release").touch()
        assert restarted.wait(timeout=60) == 0
    finally:
        tmp_path.joinpath("release").touch()
        restarted.kill()
    assert journal.read_text() == f"start {orphan}\nend {orphan}\nstart {twin}\nend {twin}\n"
    assert (tmp_path / "model" / "weights.txt").read_text() == twin


def test_dry_run_needs_no_slurm(tmp_path: Path) -> None:
    tmp_path.joinpath("Snakefile").write_text(TRAIN)
    tmp_path.joinpath("train.py").write_text(TRAIN_SCRIPT)
    commands = tmp_path / "bin"
    commands.mkdir()
    for command in ("bash", "which"):
        commands.joinpath(command).symlink_to(str(shutil.which(command)))
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--profile", str(PROFILE)],
        cwd=tmp_path,
        env={"PATH": str(commands), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "rule train:" in run.stdout + run.stderr


@pytest.mark.slurm
def test_organisms_on_a_cluster_have_the_scores_of_a_local_run(
    slurm: None, snakemake: Snakemake, finished: Path, tmp_path: Path
) -> None:
    folders = [
        Path("results/tiny/organisms/tiny-olmo2", name, "s0")
        for name in ("italian-food/integrated-dpo", "benign/transcripts-mixed")
    ]
    cards = [str(folder / "card.md") for folder in folders]
    ran = snakemake(tmp_path, "--profile", str(PROFILE), *IMPATIENT, "--", *cards)
    log = ran.stdout + ran.stderr
    # The ancestor, its preference phase, 2 references, 4 trainings, 3 selections, 3 measurements; what probes prepare: 2 sides, a
    # contrast, the Jacobian lens, the autoencoder, the oracle; 2 probings, 2 of naturalness, and the parent's.
    assert log.count("has been submitted with SLURM jobid") == 25
    for folder in folders:
        for name in ("strength", "probes/logit_lens", "training", "naturalness/benchmarks"):
            expected, found = (pd.read_parquet(root / folder / f"{name}.parquet") for root in (finished, tmp_path))
            pd.testing.assert_frame_equal(found, expected, check_exact=True)
