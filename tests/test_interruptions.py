"""A killed run, a killed job, a second run, a corrupt file, a wrong config: the next run goes on from what they leave."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd

from conftest import METHODS, ORGANISM, REPOSITORY, Snakemake, command, edit


def test_killed_run_completes_with_the_same_tables(snakemake: Snakemake, finished: Path, tmp_path: Path, cache: Path) -> None:
    target = "results/tiny/organisms/tiny-olmo2/italian-food/transcripts-mixed/s0/card.md"
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(
            command(tmp_path, "--cores", "2", "--", target),
            cwd=REPOSITORY,
            env=os.environ | {"BELLJAR_CACHE": str(cache)},
            stdout=log,
            stderr=log,
        )
        saved = tmp_path / ORGANISM / "training" / "checkpoint-2"
        while not saved.exists():
            assert run.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)  # the training goes on as an orphan, and the run that follows must wait for it
        run.wait()
    snakemake(tmp_path, "--cores", "2", target)
    for name in ("strength", *(f"probes/{name}" for name in METHODS), "training"):
        expected, found = (pd.read_parquet(folder / ORGANISM / f"{name}.parquet") for folder in (finished, tmp_path))
        pd.testing.assert_frame_equal(expected, found, check_exact=True)


def test_killed_worker_is_reported_and_the_next_run_completes(
    snakemake: Snakemake, copy_of_finished: Path, tmp_path: Path, cache: Path
) -> None:
    shutil.rmtree(copy_of_finished / ORGANISM)
    again = command(copy_of_finished, "--cores", "2", "--", f"{ORGANISM}/card.md")
    run = subprocess.Popen(again, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lock = copy_of_finished / ORGANISM / ".lock"
    work = copy_of_finished / ORGANISM / "training"
    while not work.exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(int(lock.read_text()), signal.SIGKILL)
    assert run.wait() == 1
    assert not (copy_of_finished / ORGANISM / "checkpoints").exists()
    snakemake(copy_of_finished, "--cores", "2", f"{ORGANISM}/card.md")
    assert (copy_of_finished / ORGANISM / "card.md").exists()


def test_two_runs_of_one_study_at_a_time_are_refused(snakemake: Snakemake, copy_of_finished: Path) -> None:
    import fcntl

    (copy_of_finished / ORGANISM / "card.md").unlink()
    with (copy_of_finished / "results" / "tiny" / ".run.lock").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        refused = snakemake(copy_of_finished, "--cores", "1", ok=False)
    assert refused.returncode != 0
    assert "another run of study 'tiny' is under way" in refused.stdout + refused.stderr


def test_corrupt_input_is_one_sentence_and_spoils_nothing(snakemake: Snakemake, copy_of_finished: Path) -> None:
    path = copy_of_finished / ORGANISM / "responses.parquet"
    path.write_bytes(b"PAR1 cut short")
    ran = snakemake(copy_of_finished, "--cores", "1", ok=False)
    log = ran.stdout + ran.stderr
    assert ran.returncode != 0
    assert "responses.parquet is not a readable parquet file" in log and "Traceback" not in log
    assert (copy_of_finished / ORGANISM / "checkpoints" / "step-2" / "model.safetensors").exists()


def test_config_error_is_one_sentence_before_any_job(snakemake: Snakemake, tmp_path: Path, own_study: Path) -> None:
    edit(own_study, "dpo-mixed", "dpo-mixd")
    ran = snakemake(tmp_path, "-n", study=own_study, ok=False)
    assert ran.returncode != 0
    assert "techniques has 'dpo-mixd', which is none of" in ran.stderr + ran.stdout
    assert not (tmp_path / "results").exists()
