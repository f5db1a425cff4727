"""Real Snakemake runs of the default study at test size: what it leaves, and what reruns."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from belljar.measurements import COLUMNS, check
from conftest import METHODS, ORGANISM, REPOSITORY, STUDY, TWIN, Snakemake, edit, planned


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


def test_a_smaller_batch_of_answers_retrains_nothing(snakemake: Snakemake, copy_of_finished: Path, own_study: Path) -> None:
    """What one does where a GPU's memory does not suffice."""
    edit(own_study.parent / "bases" / "tiny-olmo2.yaml", "scale: tiny", "scale: tiny\nbatch_size: 64")
    plan = planned(snakemake, copy_of_finished, own_study)
    assert plan["measure"] == 17  # answers of one batch share their noise
    assert not {"ancestor", "preference_phase", "rows", "train", "reference"} & set(plan)


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
