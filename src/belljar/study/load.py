"""From a study's config to a checked whole: the study, its bases, behaviours and techniques.

What can be wrong in a config is found here and in `belljar.corpora.validation`, before any job starts and without
importing torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from belljar.files import InputError
from belljar.study.settings import Base, Behaviour, Study, Technique, Training
from belljar.study.yaml import parse, read_yaml, suggestion

Definition = TypeVar("Definition", Base, Behaviour, Technique)


@dataclass(frozen=True)
class Plan:
    """A checked study with all that it names."""

    study: Study
    bases: Mapping[str, Base]
    behaviours: Mapping[str, Behaviour]
    techniques: Mapping[str, Technique]


def load_plan(config: Mapping[str, Any], source: str, library: Path) -> Plan:
    """Return the checked plan of a study.

    `config` is the study's content, `source` the file it came from (for messages; `definitions` are relative to its folder),
    and `library` the folder that holds bases/, behaviours/ and techniques/. Raises InputError with one sentence.
    """
    study = parse(Study, dict(config), source)
    folders = [*(Path(source).parent / name for name in study.definitions), library]
    plan = Plan(
        study,
        {name: _definition(Base, "bases", name, folders, source) for name in study.bases},
        {name: _definition(Behaviour, "behaviours", name, folders, source) for name in study.behaviours},
        {name: _definition(Technique, "techniques", name, folders, source) for name in study.techniques},
    )
    _check_training(plan, source)
    return plan


def load_study(path: Path, library: Path | None = None) -> Plan:
    """Return the plan of the study in the YAML file `path`; `library` is the folder that it is in unless another is given."""
    return load_plan(read_yaml(path), str(path), library or path.parent)


def training_settings(plan: Plan, base: str, behaviour: str, technique: str) -> Training:
    """Return the technique's settings on this base for this behaviour, its overrides applied in order."""
    definition = plan.techniques[technique]
    settings = definition.training[plan.bases[base].scale].model_dump()
    for override in definition.overrides:
        if override.behaviour in (None, behaviour) and override.base in (None, base):
            settings |= override.set
    return parse(Training, settings, f"technique {technique!r} for {base}/{behaviour}")


def _definition(model: type[Definition], kind: str, name: str, folders: list[Path], source: str) -> Definition:
    """Return the definition called `name`: a file <kind>/<name>.yaml, or a folder <kind>/<name>/ with a spec.yaml."""
    candidates = [path for folder in folders for path in (folder / kind / f"{name}.yaml", folder / kind / name / "spec.yaml")]
    found = [path for path in candidates if path.is_file()]
    if not found:
        legal = sorted({_name(path) for folder in folders for path in _files(folder / kind)})
        raise InputError(f"{source}: {kind} has {name!r}, which is none of {', '.join(legal)}.{suggestion(name, legal)}")
    same_folder = [path for path in found if path.is_relative_to(_home(found[0], kind))]
    if len(same_folder) > 1:
        raise InputError(f"{source}: {kind} has {name!r}, which two files define: {same_folder[0]} and {same_folder[1]}.")
    definition = parse(model, read_yaml(found[0]), str(found[0]))
    if definition.id != name:
        raise InputError(f"{found[0]}: id is {definition.id!r}; it must be {name!r}, the name of the file.")
    return definition


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("*.yaml"), *folder.glob("*/spec.yaml")]


def _name(path: Path) -> str:
    return path.parent.name if path.name == "spec.yaml" else path.stem


def _home(path: Path, kind: str) -> Path:
    return next(parent for parent in path.parents if parent.name == kind)


def _check_training(plan: Plan, source: str) -> None:
    """Raise InputError where a technique has no settings for a base's scale, or asks for more rows than the data have."""
    data = plan.study.data
    for technique in plan.techniques.values():
        for base in plan.bases.values():
            if base.scale not in technique.training:
                raise InputError(
                    f"technique {technique.id!r}: training has no settings for scale {base.scale!r} of base {base.id!r}; it has "
                    f"{', '.join(technique.training)}."
                )
            for behaviour in plan.behaviours:
                rows = training_settings(plan, base.id, behaviour, technique.id).rows
                control = int(technique.mix * rows)
                # A benign twin fills the planted rows with control rows that the mix does not use.
                if rows > data.planted_rows or control + (rows if plan.study.benign_twins else 0) > data.control_rows:
                    raise InputError(
                        f"{source}: technique {technique.id!r} needs {rows} planted and {rows + control} control rows (with its "
                        f"benign twin), but data has planted_rows {data.planted_rows} and control_rows {data.control_rows}."
                    )
