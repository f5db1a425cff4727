"""Putting a base's checkpoint folder in place, from wherever it comes."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from belljar.files import InputError, atomic_path, read_json, write_json
from belljar.study.bases import Source
from belljar.study.pretraining import Pretraining
from belljar.study.provenance import code_version, packages
from belljar.work import stamp

CARD = "belljar_card.json"
Progress = Callable[[int, int, str], None]


def cache_root() -> Path:
    """Return the folder that keeps trained bases for all studies: $BELLJAR_CACHE, or belljar/ in the user's cache folder."""
    named = os.environ.get("BELLJAR_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "belljar"


def cache_key(source: Source) -> str:
    """Return the hash of everything that a base's weights depend on: its recipe, the code that trains it, the packages.

    Of a local folder, the names, sizes and times of its files.
    """
    recipe = source.model_dump(exclude={"pretraining": {"require"}})  # what is demanded of a base does not change it
    made_from: dict[str, Any] = {"recipe": recipe}
    if source.pretraining is not None:
        made_from |= {"code": code_version("belljar.training.pretrain"), "packages": packages()}
    if source.folder is not None and Path(source.folder).is_dir():
        made_from |= {"files": stamp(Path(source.folder))}  # not their content: weights are large
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def provide(source: Source, output: Path, cache: Path, progress: Progress) -> None:
    """Make `output` a checkpoint folder of the base.

    A base that is trained from nothing is trained once in `cache` and copied from there; `cache` is locked by the caller. A
    hub snapshot or a local folder is linked, not copied. Raises InputError where the folder is no whole checkpoint, or the
    trained base falls short of what its recipe requires; nothing that was trained is lost then.
    """
    if source.pretraining is not None:
        trained = cache / "model"
        if not trained.is_dir():
            _pretrain(source.pretraining, trained, cache / "state", progress)
        check_requirements(source.pretraining.require, trained)
        with atomic_path(output) as scratch:
            shutil.copytree(trained, scratch)
            state_requirements(scratch, source.pretraining.require)
        return
    from belljar.models.load import check_folder  # imports torch

    folder = Path(source.folder) if source.folder else download(source.hub.repo, source.hub.revision)  # type: ignore[union-attr]
    check_folder(folder)
    with atomic_path(output) as scratch:
        scratch.mkdir()
        for file in folder.iterdir():
            (scratch / file.name).symlink_to(file.resolve())


def _pretrain(settings: Pretraining, trained: Path, state: Path, progress: Progress) -> None:
    from belljar.models.load import load_model, load_tokenizer
    from belljar.training.pretrain import pretrain, report_card

    with atomic_path(trained) as scratch:
        pretrain(settings, scratch, state, progress)
        model, tokenizer = load_model(scratch), load_tokenizer(scratch)
        write_json(scratch / CARD, report_card(model, tokenizer, settings.require))


def check_requirements(require: Mapping[str, float], trained: Path) -> None:
    """Raise InputError where a base falls short of a required accuracy, or one is required of a skill that it has not."""
    accuracy = {entry["skill"]: entry["accuracy"] for entry in read_json(trained / CARD)}
    for skill, least in require.items():
        if skill not in accuracy:
            raise InputError(f"require names the skill {skill!r}, which is none of {', '.join(accuracy)}.")
        if accuracy[skill] < least:
            raise InputError(
                f"the base in {trained} reaches {accuracy[skill]:.3f} in {skill}, but require.{skill} is {least}; train it "
                "longer or lower the requirement."
            )


def state_requirements(folder: Path, require: Mapping[str, float]) -> None:
    """Write into a base's card what is required of it now; the cache keeps one trained under another requirement."""
    rows = [entry | {"required": require.get(entry["skill"])} for entry in read_json(folder / CARD)]
    write_json(folder / CARD, rows)


def download(repo: str, revision: str) -> Path:
    """Return the folder of a hub snapshot; what is already there is not fetched again."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo, revision=revision))
