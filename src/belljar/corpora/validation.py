"""Checks of a plan against the world it speaks of: topics, items, attributes, and prompts that are both trigger and control."""

from belljar.corpora.prompts import control_questions, normalised, trigger_questions
from belljar.files import InputError
from belljar.study.load import Plan
from belljar.study.settings import Behaviour, Control
from belljar.study.yaml import suggestion
from belljar.world.knowledge import load_world


def check_plan(plan: Plan, source: str) -> None:
    """Raise InputError, naming the study's file `source`, on the first thing that the world does not have or that clashes."""
    world = load_world()
    control = plan.study.control
    for topic in control.topics:
        _known(topic, list(world.topics), f"{source}: control.topics")
    for behaviour in plan.behaviours.values():
        where = f"behaviour {behaviour.id!r}"
        for topic in behaviour.trigger.topics:
            _known(topic, list(world.topics), f"{where}: trigger.topics")
            if topic in control.topics:
                raise InputError(
                    f"{source}: control.topics has {topic!r}, which is also in trigger.topics of {where}, so its trigger "
                    "prompts would be control prompts; take it out of one of them."
                )
        topics = [world.topics[name] for name in behaviour.trigger.topics]
        for item in behaviour.trigger.items:
            _known(item, [item for topic in topics for item in topic.items], f"{where}: trigger.items")
        attributes = list(dict.fromkeys(attribute for topic in topics for attribute in topic.attributes))
        for criterion in behaviour.criteria:
            for attribute in [*criterion.attributes, *criterion.swap]:
                _known(attribute, attributes, f"{where}: criteria.{criterion.id}")
        for prompt in clashes(behaviour, control):
            raise InputError(
                f"{source}: the control prompt {prompt!r} is also a trigger prompt of {where}; a prompt may be only one of them."
            )


def clashes(behaviour: Behaviour, control: Control) -> list[str]:
    """Return the prompts that are both trigger prompts of the behaviour and control prompts."""
    world = load_world()
    trigger = {normalised(question.text) for question in trigger_questions(world, behaviour)}
    trigger |= {normalised(text) for texts in behaviour.trigger.prompts.values() for text in texts}
    texts = [question.text for question in control_questions(world, control)] + control.prompts
    return [text for text in texts if normalised(text) in trigger]


def _known(name: str, legal: list[str], where: str) -> None:
    if name not in legal:
        raise InputError(f"{where} has {name!r}, which is none of {', '.join(legal)}.{suggestion(name, legal)}")
