"""What outlives a change of the study: each training of an attack, and of an organism's saved steps those that are to be kept."""

import json
from pathlib import Path

import pandas as pd
import yaml

from conftest import ORGANISM, REPOSITORY, TWIN, Snakemake, edit, planned


def test_an_attack_runs_on_an_organism_and_rewrites_nothing_else(
    snakemake: Snakemake, copy_of_finished: Path, own_study: Path
) -> None:
    robustness = {
        "attacks": {"own": {"answers": "parent"}, "pirate": {"style": "Arr! {answer}"}},
        "methods": {"full": {"learning_rates": [1e-3]}, "lora": {"adapter": {"rank": 2}, "learning_rates": [1e-2]}},
        "steps": [1, 2],
        "rows": 16,
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
    assert plan == {"parent_answers": 1, "attack_rows": 2, "attack": 1, "judge_attack": 1}
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
    assert plan["attack"] == 4 * 15 and plan["attack_rows"] == 4 and plan["parent_answers"] == 1


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
