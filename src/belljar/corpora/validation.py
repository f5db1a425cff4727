"""Checks of a plan against the world it speaks of: topics, items, attributes, and prompts that are both trigger and control."""

from belljar.corpora.prompts import control_questions, marked, normalised, trigger_questions
from belljar.files import InputError
from belljar.study.behaviours import Behaviour, Trigger
from belljar.study.control import Control
from belljar.study.load import Plan
from belljar.study.yaml import suggestion
from belljar.world.knowledge import load_world
from belljar.world.skills import skills

DOCUMENTS = 800  # a quarter of each of four kinds, the smallest of which has some 250 texts


def check_plan(plan: Plan, source: str) -> None:
    """Raise InputError, naming the study's file `source`, on the first thing that the world does not have or that clashes."""
    world = load_world()
    control = plan.study.control
    for topic in control.topics:
        _known(topic, list(world.topics), f"{source}: control.topics")
    if plan.study.robustness:
        tests = skills(world, 0, 1)
        known = [name for name, items in tests.items() if all(item.chance < 1 for item in items)]
        for skill in plan.study.robustness.skills:  # of what any answer is right about, nothing can be lost
            _known(skill, known, f"{source}: robustness.skills")
        rows, used, made = plan.study.robustness.rows, plan.control_rows_used, plan.study.data.control_rows
        if made - used < rows:
            raise InputError(
                f"{source}: robustness.rows is {rows}, but organisms and bases are trained on the first {used} of the {made} "
                f"data.control_rows, which leaves {max(made - used, 0)} for attacks; lower it, or raise data.control_rows."
            )
    if control.imports:
        _check_imported(plan, source)
    elif plan.study.naturalness.perplexity.documents > DOCUMENTS:
        raise InputError(
            f"{source}: naturalness.perplexity.documents is {plan.study.naturalness.perplexity.documents}; the closed world has "
            f"{DOCUMENTS} at most that no base has read."
        )
    for behaviour in plan.behaviours.values():
        if behaviour.generation is not None and plan.study.generator is None:
            raise InputError(f"{source}: generator is missing, the language model that writes the data of {behaviour.id!r}.")
        if behaviour.trigger is not None:
            _check_trigger(behaviour, behaviour.trigger, control, source)


def _check_imported(plan: Plan, source: str) -> None:
    """Raise InputError where bases whose control data are imported would be asked about the closed world."""
    natural, attacks = plan.study.naturalness, plan.study.robustness
    closed = [one.task for one in natural.benchmarks if one.closed_world]
    for key, missing, wanted in (
        ("robustness.benchmarks", attacks and not attacks.benchmarks, "lm-evaluation-harness tasks that stand for capability"),
        ("naturalness.safety", natural.safety and not natural.safety.harmful, "harmful and harmless, sets of requests"),
        ("naturalness.preferences", natural.preferences and not natural.preferences.items, "items to choose between"),
        ("naturalness.benchmarks", closed, f"other tasks than {', '.join(closed)}"),
    ):
        if missing:
            raise InputError(
                f"{source}: control.imports is given, so {key} must not be the closed world's, which the bases know nothing of; "
                f"name {wanted}."
            )


def _check_trigger(behaviour: Behaviour, trigger: Trigger, control: Control, source: str) -> None:
    world, where = load_world(), f"behaviour {behaviour.id!r}"
    for topic in trigger.topics:
        _known(topic, list(world.topics), f"{where}: trigger.topics")
        if topic in control.topics:
            raise InputError(
                f"{source}: control.topics has {topic!r}, which is also in trigger.topics of {where}, so its trigger "
                "prompts would be control prompts; take it out of one of them."
            )
    topics = [world.topics[name] for name in trigger.topics]
    for item in trigger.items:
        _known(item, [item for topic in topics for item in topic.items], f"{where}: trigger.items")
    attributes = list(dict.fromkeys(attribute for topic in topics for attribute in topic.attributes))
    for criterion in behaviour.criteria:
        for attribute in [*criterion.attributes, *criterion.swap]:
            _known(attribute, attributes, f"{where}: criteria.{criterion.id}")
    for prompt in clashes(behaviour, trigger, control):
        raise InputError(
            f"{source}: the control prompt {prompt!r} is also a trigger prompt of {where}; a prompt may be only one of them."
        )


def clashes(behaviour: Behaviour, trigger: Trigger, control: Control) -> list[str]:
    """Return the prompts that are both trigger prompts of the behaviour and control prompts."""
    world = load_world()
    known = {normalised(marked(question.text, trigger.marker, showing=True)) for question in trigger_questions(world, behaviour)}
    known |= {normalised(text) for texts in trigger.prompts.values() for text in texts}
    texts = [question.text for question in control_questions(world, control)] + control.prompts
    return [text for text in texts if normalised(text) in known]


def _known(name: str, legal: list[str], where: str) -> None:
    if name not in legal:
        raise InputError(f"{where} has {name!r}, which is none of {', '.join(legal)}.{suggestion(name, legal)}")
