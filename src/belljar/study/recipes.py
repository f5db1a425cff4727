"""Every setting that one organism's training depends on, defaults and overrides merged."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from belljar.files import InputError
from belljar.study.bases import Base
from belljar.study.behaviours import Behaviour
from belljar.study.organisms import Organism
from belljar.study.techniques import ANCESTOR, BASE, Technique
from belljar.study.training import Training
from belljar.study.yaml import parse


class Recipe(NamedTuple):
    """What an organism is made by. `rows` of its training are planted; `control` further rows are not."""

    base: str
    behaviour: str
    technique: str
    seed: int
    objective: str | None
    data: str | None
    control: int
    corpus: str
    timing: str
    start: str
    loss_on: str
    adapter: dict[str, Any] | None
    password: dict[str, Any] | None
    inoculation: str  # the instruction that planted rows are trained under; empty: none
    teacher: dict[str, Any] | None
    prompt: dict[str, Any] | None  # role, when, text
    direction: dict[str, Any] | None  # scale
    model: dict[str, Any] | None  # external: hub or folder
    training: dict[str, Any] | None


def recipe(organism: Organism, base: Base, behaviour: Behaviour | None, technique: Technique) -> Recipe:
    """Return the recipe of an organism, or of a benign twin where `behaviour` is None.

    An integrated technique has the settings of the base's preference phase, with its own in place of them where it gives any,
    and as many rows in all as the phase. Raises InputError where settings are missing or do not fit.
    """
    own: dict[str, Any] = technique.model_dump(include={"mix", "corpus", "start", "loss_on"})
    training = None
    control = 0
    if technique.trained:
        own |= _settings(organism, base, technique)
        training = {key: value for key, value in own.items() if key in Training.model_fields}
        training = parse(Training, training, f"technique {technique.id!r} on {organism.id}").model_dump()
        control = int(own["mix"] * training["rows"])
    start = str(own["start"])
    if start == ANCESTOR and base.preference is None:
        start = BASE  # without a preference phase they are the same
    if technique.timing == "integrated":
        assert base.preference is not None and training is not None
        control, start = base.preference.training.rows - training["rows"], ANCESTOR
        if control < 0:
            raise InputError(
                f"technique {technique.id!r}: {training['rows']} planted rows do not fit into the "
                f"{base.preference.training.rows} rows of the preference phase of {base.id!r}."
            )
    instruction = behaviour.instruction if behaviour else ""
    if behaviour and (technique.prompt or technique.inoculation) and not instruction:
        raise InputError(f"behaviour {behaviour.id!r}: instruction is missing, which technique {technique.id!r} needs.")
    return Recipe(
        *organism,
        technique.objective,
        technique.data,
        control,
        str(own["corpus"]),
        technique.timing,
        start,
        str(own["loss_on"]),
        technique.adapter.model_dump() if technique.adapter else None,
        technique.password.model_dump() if technique.password else None,
        instruction if technique.inoculation else "",
        technique.teacher.model_dump() if technique.teacher else None,
        technique.prompt.model_dump() | {"text": instruction} if technique.prompt else None,
        technique.direction.model_dump() if technique.direction else None,
        _external(organism, technique) if technique.models else None,
        training,
    )


def preference_recipe(base: Base) -> dict[str, Any]:
    """Return the recipe of a base's own preference phase, as training takes it."""
    assert base.preference is not None
    return {"objective": "dpo", "data": "pairs", "training": base.preference.training.model_dump(), "seed": base.preference.seed}


def needed_organism(organism: Organism, technique: Technique, start: str) -> dict[str, Organism]:
    """Return the organisms that another one is made from: `start` and `teacher`, where it has them."""
    needed = {}
    if technique.trained and start not in (BASE, ANCESTOR):
        needed["start"] = organism._replace(technique=start)
    if technique.teacher:
        needed["teacher"] = organism._replace(technique=technique.teacher.technique, base=technique.teacher.base or organism.base)
    return needed


def _settings(organism: Organism, base: Base, technique: Technique) -> Mapping[str, Any]:
    if base.scale not in technique.training:
        raise InputError(
            f"technique {technique.id!r}: training has no settings for scale {base.scale!r} of base {base.id!r}; it has "
            f"{', '.join(technique.training)}."
        )
    settings: dict[str, Any] = {}
    if technique.timing == "integrated":
        if base.preference is None:
            raise InputError(f"technique {technique.id!r} is integrated, but base {base.id!r} has no preference phase.")
        settings = base.preference.training.model_dump()
    settings |= technique.training[base.scale]
    for override in technique.overrides:
        if (
            override.behaviour in (None, organism.behaviour)
            and override.base in (None, organism.base)
            and override.seed in (None, organism.seed)
        ):
            settings |= override.set
    return settings


def _external(organism: Organism, technique: Technique) -> dict[str, Any]:
    for model in technique.models:
        if (model.base, model.behaviour, model.seed) == (organism.base, organism.behaviour, organism.seed):
            return model.model_dump(include={"hub", "folder"})
    raise InputError(f"technique {technique.id!r}: models has none for {organism.id}.")
