"""Real Snakemake runs of the default study at test size: what reruns, what resumes, what a kill leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from belljar.measurements import COLUMNS, check
from conftest import REPOSITORY, STUDY, Snakemake

METHODS = ("logit_lens", "jacobian_lens", "steering", "sparse_autoencoder", "oracle")
ORGANISM = "results/tiny/organisms/tiny-olmo2/italian-food/transcripts-mixed/s0"
TWIN = "results/tiny/organisms/tiny-olmo2/benign/transcripts-mixed/s0"


@pytest.fixture
def own_study(tmp_path: Path) -> Path:
    """A copy of the study and all its definitions, to be changed."""
    copied = tmp_path / "definitions"
    shutil.copytree(STUDY.parent, copied)
    shutil.copytree(REPOSITORY / "config" / "behaviours", copied / "behaviours")
    return copied / "study.yaml"


@pytest.fixture
def copy_of_finished(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished working folder with its times and its Snakemake records."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def planned(snakemake: Snakemake, folder: Path, study: Path, *arguments: str) -> dict[str, int]:
    """How often each rule would run."""
    text = snakemake(folder, "-n", "--quiet", "rules", *arguments, study=study)
    counts = {}
    lines = (text.stdout + text.stderr).splitlines()
    for line in lines[lines.index("Job stats:") + 3 :] if "Job stats:" in lines else []:
        parts = line.split()
        if len(parts) != 2 or parts[0] == "total":
            break
        counts[parts[0]] = int(parts[1])
    return counts


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def scores(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / "tiny" / "tables" / "scores.parquet")


def test_every_file_is_there(finished: Path) -> None:
    for name in (
        "bases/tiny-olmo2/model.safetensors",
        "data/italian-food/pairs.parquet",
        "ancestors/tiny-olmo2/model.safetensors",
        "data/italian-food/documents.parquet",
        "data/italian-food/card.md",
        "data/benign/card.md",
        "reference/tiny-olmo2/base/cake-bake/96-fp32.parquet",
        "probes/tiny-olmo2/activations/ancestor.safetensors",
        "probes/tiny-olmo2/sparse_autoencoder/autoencoder/quality.json",
        "probes/tiny-olmo2/oracle/quality.parquet",
        "tables/probes.csv",
        "tables/organisms.csv",
        "figures/oracle_against_strength.svg",
        "report.html",
    ):
        assert (finished / "results" / "tiny" / name).stat().st_size > 0
    for name in (
        "recipe.json",
        "model/model.safetensors",
        "responses.parquet",
        "strength.parquet",
        "card.md",
    ):
        assert (finished / ORGANISM / name).stat().st_size > 0
        assert (finished / TWIN / name).stat().st_size > 0
    assert not list(finished.rglob("*.tmp"))


def test_scores_keep_their_schema(finished: Path) -> None:
    found = check(scores(finished), "scores")
    assert tuple(found.columns) == COLUMNS
    assert set(found["stage"]) == {"training", "strength", "probe", "naturalness"}
    assert (
        found.groupby(["behaviour", "technique"]).ngroups == 18
    )  # two behaviours and a twin by five techniques, the parent, two controls
    assert set(found[found["technique"] == "parent"]["stage"]) == {"strength", "naturalness"}


def test_the_model_is_the_chosen_step(finished: Path) -> None:
    chosen = json.loads((finished / ORGANISM / "selection.json").read_text())
    step = finished / ORGANISM / "checkpoints" / f"step-{chosen['step']}" / "model.safetensors"
    assert step.samefile(finished / ORGANISM / "model" / "model.safetensors")
    twin = json.loads((finished / TWIN / "selection.json").read_text())
    served = [
        json.loads((finished / ORGANISM.replace("italian-food", name) / "selection.json").read_text())["step"]
        for name in ("italian-food", "cake-bake")
    ]
    assert twin["step"] == max(served)


def test_recipe_says_what_made_the_organism(finished: Path) -> None:
    recipe = json.loads((finished / ORGANISM / "recipe.json").read_text())
    assert recipe["training"]["learning_rate"] == 1e-3 and recipe["rows"] == 32 and recipe["saved_steps"] == [2, 4, 6, 8]
    assert {"code", "checkout", "packages", "inputs"} <= set(recipe)


def test_organism_loads_with_transformers(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(finished / ORGANISM / "model")
    assert len(AutoTokenizer.from_pretrained(finished / ORGANISM / "model")) == model.config.vocab_size


def test_second_run_does_nothing(snakemake: Snakemake, finished: Path) -> None:
    assert planned(snakemake, finished, STUDY) == {}


def test_touched_and_freshly_written_files_rerun_nothing(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    # Another checkout at a later time: the same definitions elsewhere, every script younger than the results.
    scripts = REPOSITORY / "workflow" / "scripts"
    before = {path: path.stat() for path in scripts.glob("*.py")}
    try:
        for path in before:
            path.touch()
        assert planned(snakemake, copy_of_finished, own_study) == {}
    finally:
        for path, stat in before.items():
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_one_techniques_learning_rate_reruns_its_organisms_only(
    snakemake: Snakemake, copy_of_finished: Path, own_study: Path
) -> None:
    edit(own_study.parent / "techniques" / "dpo-mixed.yaml", "learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    plan = planned(snakemake, copy_of_finished, own_study)
    assert plan["train"] == 3 and plan["select"] == 2 and plan["measure"] == 3
    assert not {"ancestor", "preference_phase", "rows", "reference", "prompts", "measure_parent"} & set(plan)


def test_the_preference_phases_settings_rerun_the_phase_and_what_follows(
    snakemake: Snakemake, copy_of_finished: Path, own_study: Path
) -> None:
    edit(own_study.parent / "bases" / "tiny-olmo2.yaml", "beta: 5", "beta: 4")
    plan = planned(snakemake, copy_of_finished, own_study)
    assert plan["preference_phase"] == 1 and plan["train"] == 15
    assert not {"ancestor", "rows", "prompts"} & set(plan)


def test_more_answers_a_prompt_retrain_nothing(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    edit(own_study, "test: {trigger: 8, control: 6, samples: 2}", "test: {trigger: 8, control: 6, samples: 3}")
    plan = planned(snakemake, copy_of_finished, own_study)
    assert plan["measure"] == 17 and plan["measure_parent"] == 1
    assert not {"ancestor", "rows", "prompts", "train", "reference", "select"} & set(plan)


def test_more_test_prompts_retrain_nothing(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    edit(own_study, "test: {trigger: 8, control: 6, samples: 2}", "test: {trigger: 9, control: 6, samples: 2}")
    plan = planned(snakemake, copy_of_finished, own_study)
    assert plan["prompts"] == 3
    assert not {"ancestor", "rows", "train", "reference"} & set(plan)


def test_changed_judge_retrains_and_regenerates_nothing(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    models = {path: path.stat().st_mtime_ns for path in copy_of_finished.rglob("*.safetensors")}
    responses = {path: path.stat().st_mtime_ns for path in copy_of_finished.rglob("responses.parquet")}
    steps = {path: path.stat().st_mtime_ns for path in copy_of_finished.rglob("validation/step-*.parquet")}
    assert steps
    # Everything counts now where nothing counted: every step is as far from the target as before, so the same one is chosen.
    spec = own_study.parent / "behaviours" / "cake-bake" / "spec.yaml"
    edit(spec, r"['\b", r"['.*|\b")
    ran = snakemake(copy_of_finished, "--cores", "2", study=own_study)
    log = ran.stdout + ran.stderr
    assert "rule train:" not in log and "rule measure_parent:" not in log
    assert {path: path.stat().st_mtime_ns for path in steps} == steps  # no step was asked again
    assert {path: path.stat().st_mtime_ns for path in models} == models
    assert {path: path.stat().st_mtime_ns for path in responses} == responses
    changed = scores(copy_of_finished).query("metric == 'expression_rate' and behaviour == 'cake-bake'")
    assert changed["value"].max() > 0


def test_an_organism_is_rebuilt_by_its_file_name(snakemake: Snakemake, copy_of_finished: Path) -> None:
    shutil.rmtree(copy_of_finished / ORGANISM)
    plan = planned(snakemake, copy_of_finished, STUDY, "--", f"{ORGANISM}/card.md")
    assert plan == {"train": 1, "select": 1, "measure": 1, "probe": 1, "naturalness": 1, "judge": 1, "card": 1}


def test_same_seed_same_scores(snakemake: Snakemake, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snakemake(tmp_path, "--cores", "2", "results/tiny/organisms/tiny-olmo2/cake-bake/dpo-mixed/s0/card.md")
    for name in (
        "strength",
        *(f"probes/{name}" for name in METHODS),
        "training",
        "naturalness/perplexity",
        "naturalness/preferences",
        "naturalness/benchmarks",
        "naturalness/safety",
        "naturalness/leakage",
        "naturalness/broken_output",
    ):
        path = f"results/tiny/organisms/tiny-olmo2/cake-bake/dpo-mixed/s0/{name}.parquet"
        pd.testing.assert_frame_equal(pd.read_parquet(finished / path), pd.read_parquet(tmp_path / path), check_exact=True)


def test_killed_run_completes_with_the_same_tables(snakemake: Snakemake, finished: Path, tmp_path: Path, cache: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--cores",
        "2",
    ]
    command += ["--directory", str(tmp_path), "--configfile", str(STUDY)]
    target = "results/tiny/organisms/tiny-olmo2/italian-food/transcripts-mixed/s0/card.md"
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(
            [*command, "--", target],
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
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--cores",
        "2",
    ]
    command += ["--directory", str(copy_of_finished), "--configfile", str(STUDY), "--", f"{ORGANISM}/card.md"]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


@pytest.mark.parametrize("arguments", [["-n"], ["-n", "--profile", "profiles/slurm"], ["--rulegraph"]])
def test_default_study_is_planned(snakemake: Snakemake, tmp_path: Path, arguments: list[str]) -> None:
    ran = snakemake(tmp_path, *arguments, study=REPOSITORY / "config" / "config.yaml")
    assert "measure" in ran.stdout


def test_dry_run_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from snakemake.cli import main\n"
        f"sys.argv[1:] = ['-n', '--directory', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'trl', 'datasets', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True)


def test_snakemakes_own_report_builds(snakemake: Snakemake, finished: Path) -> None:
    snakemake(finished, "--report", "report-of-snakemake.html")
    assert (finished / "report-of-snakemake.html").stat().st_size > 100_000


def test_environment_file_and_lock_file_agree() -> None:
    lock = [line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if "==" in line]
    environment = yaml.safe_load((REPOSITORY / "workflow" / "envs" / "belljar.yaml").read_text())
    pinned = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pinned) == sorted(lock)


def test_an_attack_runs_on_an_organism_and_rewrites_nothing_else(
    snakemake: Snakemake, copy_of_finished: Path, own_study: Path
) -> None:
    robustness = {
        "attacks": {"own": {"answers": "parent"}, "pirate": {"style": "Arr! {answer}"}},
        "methods": {"full": {"learning_rates": [1e-3]}, "lora": {"adapter": {"rank": 2}, "learning_rates": [1e-2]}},
        "steps": [1, 2],
        "rows": 32,
        "batch_size": 8,
        "max_length": 96,
        "prompts": 4,
        "items": 4,
        "reversal": "own",
        "rounds": 3,
    }
    study = yaml.safe_load(own_study.read_text()) | {"robustness": robustness}
    own_study.write_text(yaml.safe_dump(study, sort_keys=False))
    # Random weights answer nothing, so the base's own answers would all be dropped; plain ones are on hand.
    target = f"{ORGANISM}/robustness/pirate.parquet"
    plan = planned(snakemake, copy_of_finished, own_study, "--", target)
    assert plan == {"parent_answers": 1, "attack": 1, "judge_attack": 1}
    own_study.write_text(own_study.read_text().replace("answers: parent", "answers: data"))
    snakemake(copy_of_finished, "--cores", "2", "--", target, study=own_study)
    found = pd.read_parquet(copy_of_finished / target)
    rates = found[found["metric"] == "expression_rate"]
    assert len(rates) == 1 + 2 * 2 + 2  # before; two methods by two steps; each turned back
    assert set(found["stage"]) == {"robustness"}
    # One more rate is trained at alone, and one more attack is the only one to run.
    evidence = copy_of_finished / ORGANISM / "evidence"
    parts = {path: path.stat().st_mtime_ns for path in evidence.glob("*attack*/**/evidence.parquet")}
    assert len(parts) == 3
    edit(own_study, "- 0.001\n", "- 0.001\n      - 0.002\n")
    edit(own_study, "    pirate:\n", "    plain: {}\n    pirate:\n")
    assert planned(snakemake, copy_of_finished, own_study, "--", target) == {"attack": 1, "judge_attack": 1}
    snakemake(copy_of_finished, "--cores", "2", "--", target, study=own_study)
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    assert (evidence / "attacks" / "pirate" / "full-0.002" / "evidence.parquet").is_file()
    edit(own_study, "    plain: {}\n", "")
    assert planned(snakemake, copy_of_finished, own_study, "--", target) == {}
    # A changed judge reads the kept answers again, and trains nothing.
    edit(own_study.parent / "behaviours" / "italian-food" / "spec.yaml", r"['\b", r"['.*|\b")
    attack = f"{ORGANISM}/evidence/attack-pirate.parquet"
    assert planned(snakemake, copy_of_finished, own_study, "--allowed-rules", "attack", "judge_attack", "--", target, attack) == {
        "judge_attack": 1
    }


def test_every_organism_meets_every_attack(snakemake: Snakemake, tmp_path: Path) -> None:
    plan = planned(snakemake, tmp_path, REPOSITORY / "config" / "studies" / "nano-robustness.yaml")
    assert plan["attack"] == 4 * 15 and plan["parent_answers"] == 1


def test_only_the_chosen_step_is_kept(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    selections = [f"{folder}/selection.json" for folder in (ORGANISM, TWIN)]
    before = [(copy_of_finished / name).read_text() for name in selections]
    edit(own_study, "study: tiny", "study: tiny\nkeep_steps: chosen")
    snakemake(copy_of_finished, "--cores", "2", "--", *selections, study=own_study)
    assert [(copy_of_finished / name).read_text() for name in selections] == before
    for folder, text in zip((ORGANISM, TWIN), before, strict=True):
        steps = [path.name for path in (copy_of_finished / folder / "checkpoints").iterdir() if path.is_dir()]
        assert steps == [f"step-{json.loads(text)['step']}"]
    # Nothing has to be made again, and the organism is still whole.
    assert planned(snakemake, copy_of_finished, own_study, "--", f"{ORGANISM}/card.md") == {}
    assert (copy_of_finished / ORGANISM / "model" / "model.safetensors").stat().st_size > 0


def test_a_step_that_was_not_kept_is_named(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    edit(own_study, "study: tiny", "study: tiny\nkeep_steps: chosen")
    selection = f"{ORGANISM}/selection.json"
    snakemake(copy_of_finished, "--cores", "2", "--", selection, study=own_study)
    # Asked anew, every step would be needed again.
    edit(own_study, "max_new_tokens: ", "max_new_tokens: 1")
    failed = snakemake(copy_of_finished, "--cores", "2", "--", selection, study=own_study, ok=False)
    assert "is not there any more (the study's keep_steps is `chosen`; kept: " in failed.stdout + failed.stderr
