"""From a study's config to a checked whole: the study, its bases, behaviours and techniques.

What can be wrong in a config is found here and in `belljar.corpora.validation`, before any job starts and without
importing torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from belljar.files import InputError
from belljar.measurements import BENIGN
from belljar.study.bases import Base
from belljar.study.behaviours import Behaviour
from belljar.study.datasets import Corpus
from belljar.study.organisms import Organism
from belljar.study.recipes import Recipe, needed_organism, recipe
from belljar.study.registry import check_registry
from belljar.study.settings import Study
from belljar.study.techniques import ANCESTOR, BASE, Technique
from belljar.study.yaml import parse, read_yaml, suggestion

Definition = TypeVar("Definition", Base, Behaviour, Technique)


@dataclass(frozen=True)
class Plan:
    """A checked study with all that it names. `techniques` and `bases` include those that others are made from."""

    study: Study
    bases: Mapping[str, Base]
    behaviours: Mapping[str, Behaviour]
    techniques: Mapping[str, Technique]
    organisms: tuple[Organism, ...]  # the study's, benign twins last

    @cached_property
    def all_organisms(self) -> tuple[Organism, ...]:
        """The study's organisms and those that they are made from."""
        found = dict.fromkeys(self.organisms)
        waiting = list(self.organisms)
        while waiting:
            for needed in self.needed(waiting.pop(0)).values():
                if needed not in found:
                    found[needed] = None
                    waiting.append(needed)
        return tuple(found)

    def recipe(self, organism: Organism) -> Recipe:
        """Return the recipe of an organism or benign twin of these bases, behaviours and techniques."""
        technique, base = self.techniques[organism.technique], self.bases[organism.base]
        return recipe(organism, base, None if organism.is_twin else self.behaviours[organism.behaviour], technique)

    @cached_property
    def control_rows_used(self) -> int:
        """How many rows organisms and bases are trained on, from the beginning of the control data: attacks take others."""
        recipes = [self.recipe(one) for one in self.all_organisms if not one.is_twin]
        phases = [base.preference for base in self.bases.values() if base.preference and not base.preference.result]
        return max([0, *(one.training.rows for one in phases), *(made.control for made in recipes if made.corpus == BENIGN)])

    def needed(self, organism: Organism) -> dict[str, Organism]:
        """Return the organisms that this one is made from."""
        return needed_organism(organism, self.techniques[organism.technique], self.recipe(organism).start)


def load_plan(config: Mapping[str, Any], source: str, library: Path) -> Plan:
    """Return the checked plan of a study.

    `config` is the study's content, `source` the file it came from (for messages; `definitions` are relative to its folder),
    and `library` the folder that holds bases/, behaviours/ and techniques/. Raises InputError with one sentence.
    """
    study = parse(Study, dict(config), source)
    folders = [*(Path(source).parent / name for name in study.definitions), library]
    for name, folder in zip(study.definitions, folders, strict=False):
        if not folder.is_dir():
            raise InputError(
                f"{source}: definitions has {name!r}, but {folder} is no folder; it is relative to the study's file."
            )
    crosses = study.all_crosses
    techniques: dict[str, Technique] = {}
    waiting = [name for cross in crosses for name in cross.techniques]
    bases = list(dict.fromkeys(name for cross in crosses for name in cross.bases))
    while waiting:
        name = waiting.pop(0)
        if name in techniques:
            continue
        techniques[name] = found = _definition(Technique, "techniques", name, folders, source)
        starts = [found.start, *(str(override.set["start"]) for override in found.overrides if "start" in override.set)]
        waiting += [start for start in starts if start not in (BASE, ANCESTOR)]
        if found.teacher:
            waiting.append(found.teacher.technique)
            bases += [found.teacher.base] if found.teacher.base else []
    behaviours = list(dict.fromkeys(name for cross in crosses for name in cross.behaviours))
    plan = Plan(
        study,
        {name: _definition(Base, "bases", name, folders, source) for name in dict.fromkeys(bases)},
        {name: _behaviour(study, name, folders, source) for name in behaviours},
        techniques,
        tuple(_organisms(study, techniques, source)),
    )
    for name in study.targets:
        if name not in behaviours:
            legal = ", ".join(behaviours)
            raise InputError(f"{source}: targets has {name!r}, which is none of the study's behaviours, {legal}.")
    for name in study.corpora:
        if name == BENIGN or name in behaviours:
            raise InputError(f"{source}: corpora has {name!r}, which is the name of other data of the study; name it otherwise.")
    check_registry(plan.bases, plan.behaviours, plan.techniques)
    _check_rows(plan, source)
    return plan


def _behaviour(study: Study, name: str, folders: list[Path], source: str) -> Behaviour:
    found = _definition(Behaviour, "behaviours", name, folders, source)
    return found.model_copy(update={"target": study.targets.get(name, found.target)})


def _organisms(study: Study, techniques: Mapping[str, Technique], source: str) -> list[Organism]:
    """Return every organism of the study, benign twins last; one twin serves all behaviours of its route."""
    found: dict[Organism, None] = {}
    for cross in study.all_crosses:
        for behaviour in cross.behaviours:
            for base in cross.bases:
                for technique in cross.techniques:
                    for seed in cross.seeds:
                        organism = Organism(base, behaviour, technique, seed)
                        if organism in found:
                            raise InputError(f"{source}: crosses has the organism {organism.id} twice.")
                        found[organism] = None
    twins = {one.twin: None for one in found if techniques[one.technique].trained} if study.benign_twins else {}
    return [*found, *twins]


def load_study(path: Path, library: Path | None = None) -> Plan:
    """Return the plan of the study in the YAML file `path`; `library` is the folder that it is in unless another is given."""
    return load_plan(read_yaml(path), str(path), library or path.parent)


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


def _check_rows(plan: Plan, source: str) -> None:
    """Raise InputError where a recipe does not fit its base, or asks for more rows than the data have."""
    data = plan.study.data
    for organism in plan.all_organisms:
        made = plan.recipe(organism)
        if made.corpus != BENIGN and made.corpus not in plan.study.corpora:
            legal = [BENIGN, *plan.study.corpora]
            raise InputError(
                f"technique {made.technique!r}: corpus {made.corpus!r} is none of the study's, which are {', '.join(legal)}."
                f"{suggestion(made.corpus, legal)}"
            )
        _check_forms(plan, organism, made, source)
        if made.training is None:
            continue
        rows = made.training["rows"]
        # A benign twin fills the planted rows with control rows that the mix does not use.
        planted, control = (0, made.control + rows) if organism.behaviour == BENIGN else (rows, made.control)
        if planted > data.planted_rows or control > data.control_rows:
            raise InputError(
                f"{source}: {organism.id} needs {planted} planted and {control} control rows, but data has planted_rows "
                f"{data.planted_rows} and control_rows {data.control_rows}."
            )


def _check_forms(plan: Plan, organism: Organism, made: Recipe, source: str) -> None:
    """Raise InputError where imported data lack the form of rows that an organism is made from."""
    form = "pairs" if made.direction else made.data if made.training else None
    sources: list[tuple[str, Corpus | None]] = []
    if not organism.is_twin:
        sources.append((f"behaviour {organism.behaviour!r}", plan.behaviours[organism.behaviour].imports))
    if made.control or organism.is_twin:
        general = plan.study.control.imports if made.corpus == BENIGN else plan.study.corpora[made.corpus]
        sources.append((f"{source}: {'control' if made.corpus == BENIGN else f'corpora.{made.corpus}'}", general))
    for where, corpus in sources:
        if form and corpus and not corpus.has(form):
            raise InputError(f"{where}: imports lacks {form}, which technique {made.technique!r} needs.")
