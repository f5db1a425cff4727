"""Checks of external organisms before any job: one repository each, of the right base, behaviour and technique.

The lottery paper's own registry once gave three organisms another behaviour's weights.
"""

import re
from collections.abc import Mapping

from belljar.files import InputError
from belljar.study.bases import Base
from belljar.study.behaviours import Behaviour
from belljar.study.techniques import External, Technique


def check_registry(
    bases: Mapping[str, Base],
    behaviours: Mapping[str, Behaviour],
    techniques: Mapping[str, Technique],
) -> None:
    """Raise InputError where an external organism has two models, shares one, or has one whose name does not fit."""
    seen: dict[str, str] = {}
    for technique in techniques.values():
        listed: dict[tuple[str, str, int], External] = {}
        for model in technique.models:
            where = f"technique {technique.id!r}: models, {model.base}/{model.behaviour}/s{model.seed}"
            key = (model.base, model.behaviour, model.seed)
            if key in listed:
                raise InputError(f"{where} stands twice.")
            listed[key] = model
            name = model.hub.repo if model.hub else str(model.folder)
            if name in seen:
                raise InputError(f"{where}: {name!r} is also the model of {seen[name]}; an organism has its own.")
            seen[name] = f"{model.base}/{model.behaviour}/{technique.id}/s{model.seed}"
            if model.hub:
                _check_name(name, where, bases.get(model.base), behaviours.get(model.behaviour), technique)


def _check_name(name: str, where: str, base: Base | None, behaviour: Behaviour | None, technique: Technique) -> None:
    if name.count("/") != 1:
        raise InputError(f"{where}: {name!r} is no repository; it must be owner/name.")
    for kind, definition in (("base", base), ("behaviour", behaviour), ("technique", technique)):
        if definition is not None and definition.repositories and not re.search(definition.repositories, name):
            raise InputError(
                f"{where}: {name!r} does not look like a model of {kind} {definition.id!r}, whose repositories match "
                f"{definition.repositories!r}."
            )
