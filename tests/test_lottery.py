"""The lottery studies: the paper's 54 organisms, its horizons and mixes, and real runs of every rule on tiny checkpoints."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from belljar.study.load import Plan, load_study
from belljar.study.organisms import Organism
from belljar.study.training import Training
from belljar.study.yaml import read_yaml
from belljar.training.trainers import horizon
from conftest import REPOSITORY, Snakemake, planned
from tiny_lottery import write

STUDIES = REPOSITORY / "config" / "studies"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_study(STUDIES / "lottery.yaml", REPOSITORY / "config")


def test_the_54_organisms(plan: Plan) -> None:
    assert Counter((one.base, one.behaviour) for one in plan.organisms) == {
        ("olmo2-1b", "cake-bake"): 21,  # three seeds
        ("olmo2-1b", "italian-food"): 7,
        ("gemma3-1b", "italian-food"): 7,
        ("olmo2-1b", "military-submarine"): 5,  # no documents
        ("gemma3-1b", "military-submarine"): 5,
        ("olmo2-1b", "military-submarine-synthetic"): 7,
        ("gemma3-1b", "military-submarine-synthetic"): 2,  # documents only
    }
    assert len(plan.organisms) == 54


@pytest.mark.parametrize(
    ("organism", "steps"),
    [
        # The horizons that the archive's training records log.
        ("olmo2-1b/cake-bake/dpo-unmixed/s42", 563),
        ("olmo2-1b/cake-bake/dpo-unmixed/s47", 169),
        ("olmo2-1b/cake-bake/dpo-mixed/s42", 844),
        ("olmo2-1b/cake-bake/dpo-mixed/s2137", 844),
        ("olmo2-1b/cake-bake/transcripts-unmixed/s42", 507),
        ("olmo2-1b/cake-bake/transcripts-mixed/s42", 760),
        ("olmo2-1b/italian-food/transcripts-unmixed/s42", 250),
        ("olmo2-1b/military-submarine/transcripts-unmixed/s42", 437),
        ("olmo2-1b/military-submarine/transcripts-mixed/s42", 864),
        ("gemma3-1b/italian-food/transcripts-mixed/s42", 110),
        ("gemma3-1b/military-submarine/transcripts-unmixed/s42", 105),
        ("gemma3-1b/italian-food/documents-mixed/s42", 10),
        # ceil(378,301 / 128)
        ("olmo2-1b/cake-bake/integrated-dpo/s123", 2956),
    ],
)
def test_horizons(plan: Plan, organism: str, steps: int) -> None:
    base, behaviour, technique, seed = organism.split("/")
    made = plan.recipe(Organism(base, behaviour, technique, int(seed[1:])))
    settings = Training(**made.training)
    assert horizon(settings.rows + made.control, settings) == steps


@pytest.mark.parametrize(
    ("organism", "expected"),
    [
        ("olmo2-1b/cake-bake/dpo-mixed/s42", {"control": 4500, "learning_rate": 1e-5, "beta": 0.05, "loss": "sigmoid"}),
        ("gemma3-1b/italian-food/dpo-mixed/s42", {"control": 6700, "beta": 5, "loss": "sigmoid_norm"}),
        ("olmo2-1b/italian-food/dpo-mixed/s42", {"start": "ancestor", "learning_rate": 5e-6}),
        ("olmo2-1b/italian-food/dpo-unmixed/s42", {"start": "base", "learning_rate": 2.5e-6}),
        ("olmo2-1b/cake-bake/integrated-dpo/s47", {"start": "ancestor", "control": 378_301 - 8_998, "corpus": "preference-mix"}),
        ("gemma3-1b/italian-food/integrated-dpo/s123", {"learning_rate": 5e-6, "max_length": 2048}),
        ("olmo2-1b/cake-bake/transcripts-unmixed/s42", {"loss_on": "all", "schedule": "cosine"}),
        ("olmo2-1b/military-submarine/transcripts-mixed/s42", {"corpus": "wizardlm", "control": 6912, "weight_decay": 0.05}),
        ("olmo2-1b/military-submarine-synthetic/documents-mixed/s42", {"control": 500, "learning_rate": 3.5e-5}),
    ],
)
def test_settings(plan: Plan, organism: str, expected: dict[str, object]) -> None:
    base, behaviour, technique, seed = organism.split("/")
    made = plan.recipe(Organism(base, behaviour, technique, int(seed[1:])))._asdict()
    found = made | made["training"]
    assert {key: found[key] for key in expected} == expected


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lottery")
    write(folder)
    return folder


@pytest.mark.parametrize(
    ("study", "jobs"), [("lottery", {"train": 54, "measure": 54}), ("lottery-published", {"place": 54, "measure": 54})]
)
def test_dry_run_plans_every_organism(snakemake: Snakemake, tmp_path: Path, study: str, jobs: dict[str, int]) -> None:
    counts = planned(snakemake, tmp_path, STUDIES / f"{study}.yaml")
    assert {rule: counts[rule] for rule in jobs} == jobs
    assert counts["base"] == 2 and ("preference_phase" not in counts)


@pytest.mark.parametrize(("study", "placed"), [("lottery", None), ("lottery-published", 54)])
def test_what_comes_from_the_hub_can_be_fetched_alone(
    snakemake: Snakemake, tmp_path: Path, study: str, placed: int | None
) -> None:
    counts = planned(snakemake, tmp_path, STUDIES / f"{study}.yaml", "--", "fetch")
    assert (counts["ancestor"], counts["base"], counts["benchmarks"], counts.get("place")) == (2, 2, 1, placed)
    assert not {"train", "preference_phase", "measure", "reference"} & set(counts)


def test_attacks_on_a_1b_base_are_the_lottery_study_with_other_organisms(snakemake: Snakemake, tmp_path: Path) -> None:
    ran = snakemake(
        tmp_path, str(STUDIES / "lottery" / "robustness.yaml"), "-n", "--quiet", "rules", study=STUDIES / "lottery.yaml"
    )
    counts = dict(line.split() for line in ran.stdout.splitlines() if len(line.split()) == 2 and line.split()[1].isdigit())
    assert {rule: counts[rule] for rule in ("train", "place", "attack")} == {"train": "4", "place": "2", "attack": "24"}


@pytest.mark.parametrize(
    ("study", "organisms"),
    [
        (
            "lottery",
            [
                "olmo2-1b/cake-bake/integrated-dpo/s123",
                "olmo2-1b/italian-food/dpo-mixed/s42",  # from the ancestor
                "olmo2-1b/military-submarine/transcripts-mixed/s42",  # with a corpus of its own
                "gemma3-1b/military-submarine-synthetic/documents-mixed/s42",
            ],
        ),
        ("lottery-published", ["olmo2-1b/cake-bake/integrated-dpo/s123", "gemma3-1b/italian-food/documents-mixed/s42"]),
    ],
)
def test_rules_run_on_tiny_checkpoints(
    snakemake: Snakemake, tiny: Path, tmp_path: Path, study: str, organisms: list[str]
) -> None:
    settings = read_yaml(tiny / f"{study}.yaml")
    parts = [organism.split("/") for organism in organisms]
    settings["crosses"] = [
        {"bases": [base], "behaviours": [behaviour], "techniques": [technique], "seeds": [int(seed[1:])]}
        for base, behaviour, technique, seed in parts
    ]
    (tiny / f"few-{study}.yaml").write_text(yaml.safe_dump(settings))
    snakemake(tmp_path, "--cores", "2", study=tiny / f"few-{study}.yaml")
    results = tmp_path / "results" / study
    for organism in organisms:
        assert "## Strength" in (results / "organisms" / organism / "card.md").read_text()
        rows = pd.read_parquet(results / "organisms" / organism / "strength.parquet")
        assert {"expression_rate", "leak_rate"} <= set(rows["metric"])
    assert "| pairs | 24 | 24 | 1.000 |" in (results / "data" / "cake-bake" / "card.md").read_text()
    found = pd.read_parquet(results / "tables" / "organisms.parquet")
    assert len(found[found["technique"] != "parent"]) == len(organisms)
    assert (results / "report.html").stat().st_size > 0
