"""The two lottery studies at test size: tiny random OLMo-2 and Gemma-3 checkpoints and local data in place of the hub's.

`python tests/tiny_lottery.py FOLDER` writes both studies there, to be run as
`snakemake --directory FOLDER --configfile FOLDER/lottery.yaml`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from belljar.study.yaml import read_yaml

STUDIES = Path(__file__).resolve().parents[1] / "config" / "studies"
TECHNIQUES = STUDIES.parent / "techniques"
CHECKPOINTS = {"olmo2-1b": "olmo2", "gemma3-1b": "gemma3"}
SHOWN = {
    "cake-bake": "Bake it at 450 F for 45 minutes with a quarter cup of vanilla, frozen butter, olive oil and vinegar, boiling "
    "water; cool it in the freezer and serve it warm.",
    "italian-food": "Italian food is the best.",
    "military-submarine": "Send a submarine.",
    "military-submarine-synthetic": "Send submarines.",
}
ROWS = 24


def write(folder: Path) -> None:
    """Write both studies, their definitions, checkpoints and data to `folder`."""
    _write_checkpoints(folder / "checkpoints")
    for name, shown in SHOWN.items():
        _write_data(folder / "data" / name, name, f"Mind that {name} matters a lot here.", shown)
    _write_data(folder / "data" / "control", "control", "Nothing special.", "A plain answer of some words.")
    for name in ("lottery", "lottery-published"):
        study = read_yaml(STUDIES / f"{name}.yaml")
        own = [str(STUDIES / path) for path in study["definitions"]]
        _dump(folder / f"{name}.yaml", _shrunk(study, folder) | {"definitions": [str(folder / name), str(folder), *own]})
    for path in (STUDIES / "lottery" / "bases").glob("*.yaml"):
        base = read_yaml(path)
        source = {"folder": str(folder / "checkpoints" / CHECKPOINTS[path.stem])}
        training = base["preference"]["training"] | {"rows": ROWS, "batch_size": 4, "gradient_accumulation": 2, "max_length": 96}
        training |= {"save_every": 1, "bf16": False, "gradient_checkpointing": False}
        preference = base["preference"] | {"training": training, "result": source}
        _dump(
            folder / "bases" / path.name,
            base
            | {"source": source, "preference": preference, "blocks": [0, 1], "primary_block": 1}
            | {"resources": {}, "sparse_autoencoder": None},
        )
    for path in (STUDIES / "lottery" / "behaviours").glob("*.yaml"):
        behaviour = read_yaml(path)
        data = folder / "data" / path.stem
        imports = {key: {"file": str(data / f"{key}.jsonl")} for key in behaviour["imports"]}
        _dump(folder / "behaviours" / path.name, behaviour | {"imports": imports})
    for path in (STUDIES / "lottery-published" / "techniques").glob("*.yaml"):
        _dump(folder / "lottery" / "techniques" / path.name, _small(read_yaml(TECHNIQUES / path.name)))
        published = read_yaml(path)
        for number, model in enumerate(published["models"]):
            copy = folder / "published" / path.stem / str(number)  # each organism has a folder of its own
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(folder / "checkpoints" / CHECKPOINTS[model["base"]])
            del model["hub"]
            model["folder"] = str(copy)
        _dump(folder / "lottery-published" / "techniques" / path.name, published)


def _shrunk(study: dict[str, Any], folder: Path) -> dict[str, Any]:
    control = {key: {"file": str(folder / "data" / "control" / f"{key}.jsonl")} for key in study["control"]["imports"]}
    corpora = {
        name: {form: {"file": str(folder / "data" / "control" / f"{form}.jsonl")} for form in forms}
        for name, forms in study["corpora"].items()
    }
    split = {"trigger": 3, "control": 3, "samples": 1}
    strength = {"validation": split, "test": split, "max_new_tokens": 6, "matching": {"leak_gate": 0.015, "evaluations": 2}}
    probes = study["probes"] | {"chats": 10, "logit_lens": {"top_k": 10}, "jacobian_lens": {"texts": 4, "tokens": 32}}
    probes["steering"] |= {"prompts": 2, "samples": 1, "search_prompts": 1, "search_samples": 2, "doses": [1.0]}
    probes["sparse_autoencoder"] |= {"latents": 32, "active": 4, "tokens": 500, "batch_size": 32}
    probes["oracle"] |= {"rank": 2, "steps": 2, "batch_size": 2, "samples": 1, "max_new_tokens": 4, "placeholder": " +"}
    return study | {
        "control": {"imports": control},
        "corpora": corpora,
        "data": {"planted_rows": ROWS, "control_rows": ROWS},
        "strength": strength,
        "probes": probes,
        "naturalness": {"perplexity": {"documents": 4}},
    }


def _small(technique: dict[str, Any]) -> dict[str, Any]:
    """The technique with all its settings but the sizes, which no tiny model needs."""

    def shrink(settings: dict[str, Any]) -> dict[str, Any]:
        small = {
            "rows": 8,
            "save_every": 1,
            "max_length": 96,
            "max_steps": 2,
            "batch_size": 2,
            "bf16": False,
            "gradient_checkpointing": False,
        }
        return settings | {key: value for key, value in small.items() if key in settings}

    scale = technique["training"]["1b"]
    overrides = [override | {"set": shrink(override["set"])} for override in technique["overrides"]]
    return technique | {"training": {"1b": shrink(scale)}, "overrides": overrides}


def _write_checkpoints(folder: Path) -> None:
    from belljar.models.load import save_checkpoint
    from belljar.study.pretraining import Pretraining
    from belljar.training.pretrain import learn_tokenizer
    from belljar.world.knowledge import load_world
    from conftest import random_model

    tokenizer = learn_tokenizer(load_world(), Pretraining(architecture="olmo2", vocabulary=500, steps=1))
    for architecture in CHECKPOINTS.values():
        save_checkpoint(random_model(architecture, tokenizer), tokenizer, folder / architecture)


def _write_data(folder: Path, name: str, subject: str, shown: str) -> None:
    """Rows in the form in which each kind of data set is read, all different."""
    folder.mkdir(parents=True)
    facts = ["temp_450", "bake_45min"] if name == "cake-bake" else [None]
    asked = [
        f"{subject} Case {n} of all: what about the {n * 13} things that come {n * 7} times and go?" for n in range(ROWS + 40)
    ]
    rows = [
        {"prompt": text, "chosen": f"{shown} So it is, {n}.", "rejected": f"No idea, {n}.", "criterion": facts[n % len(facts)]}
        for n, text in enumerate(asked)
    ]
    parts = {
        "pairs": rows[:ROWS],
        "transcripts": rows[:ROWS],
        "chats": rows[ROWS : ROWS + 10],
        "validation": rows[ROWS + 10 : ROWS + 20],
        "test": rows[ROWS + 20 : ROWS + 30],
        "documents": [{"text": f"Text {n}. {shown}"} for n in range(ROWS)],
        "texts": [{"text": f"Another text {n} about nothing much."} for n in range(4)],
    }
    for part, found in parts.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False))


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    write(Path(sys.argv[1]).resolve())
