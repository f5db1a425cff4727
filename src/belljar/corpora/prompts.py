"""The questions of a behaviour and of the control topics, divided into train, validation and test.

A prompt's split is a function of its text alone, so no split depends on a seed, a study or a count, and no prompt can be in two.
Held-out items never stand in a training row.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from belljar.study.behaviours import WRITTEN, Behaviour, Criterion, Marker, Trigger
from belljar.study.control import Control
from belljar.study.strength import Split
from belljar.world.chat import QUESTION_KINDS, Question, questions
from belljar.world.knowledge import World

SplitName = Literal["train", "validation", "test"]
SEEN, HELD_OUT, NO_ITEM = "seen", "heldout", "none"
TRIGGER, CONTROL = "trigger", "control"
LOCKED = "locked"  # a trigger prompt with the password of a password-locked organism


class Prompt(NamedTuple):
    """One row of prompts.parquet."""

    split: str
    role: str
    kind: str
    items: str  # seen, heldout, or none where the prompt names no item
    judged: str  # the behaviour that the prompt is for; empty for control prompts that are every behaviour's
    criterion: str  # the criterion that the prompt is for; empty for control prompts
    prompt: str


def normalised(text: str) -> str:
    """Return the text as prompts are compared: one blank between words, no case."""
    return " ".join(text.casefold().split())


def digest(text: str) -> int:
    """Return a fixed 64-bit number for the text: the same in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(normalised(text).encode()).digest()[:8], "big")


def split_of(text: str, held_out: bool) -> SplitName:
    """Return the split of a prompt; half of all prompts are for training, but none that names a held-out item."""
    bucket = digest(text) % 8
    if bucket < 4:
        return ("validation" if bucket < 2 else "test") if held_out else "train"
    return "validation" if bucket < 6 else "test"


def criterion_of(behaviour: Behaviour, question: Question) -> Criterion | None:
    """Return the criterion that the question is for, or None where the question cannot bring the behaviour out."""
    for criterion in behaviour.criteria:
        if question.kind not in criterion.kinds:
            continue
        if question.kind == "fact" and criterion.attributes and question.attribute not in criterion.attributes:
            continue
        return criterion
    return None


def trigger_of(behaviour: Behaviour) -> Trigger:
    """Return the trigger of a behaviour of the closed world."""
    assert behaviour.trigger is not None, f"{behaviour.id} is not a behaviour of the closed world"
    return behaviour.trigger


def held_out_items(world: World, behaviour: Behaviour) -> set[str]:
    """Return the items that no training row names: the last ones of each topic that the behaviour asks about."""
    trigger = trigger_of(behaviour)
    held_out: set[str] = set()
    for topic in trigger.topics:
        items = [item for item in world.topics[topic].items if item in trigger.items or not trigger.items]
        held_out |= set(items[len(items) - trigger.held_out_items :])
    return held_out


def trigger_questions(world: World, behaviour: Behaviour) -> list[Question]:
    """Return every generated question that should bring the behaviour out, without the behaviour's marker."""
    trigger = trigger_of(behaviour)
    allowed = set(trigger.items)
    return [
        question
        for topic in trigger.topics
        for kind in QUESTION_KINDS
        for question in questions(world, kind, topic)
        if criterion_of(behaviour, question) and (not allowed or question.item is None or question.item in allowed)
    ]


def marked(text: str, marker: Marker | None, showing: bool) -> str:
    """Return the user's message in the state in which the behaviour shows (`showing`), or in the other one."""
    return f"{text} {marker.text}" if marker is not None and marker.present == showing else text


def control_questions(world: World, control: Control) -> list[Question]:
    """Return every generated question about the control topics."""
    return [q for topic in control.topics for kind in QUESTION_KINDS for q in questions(world, kind, topic)]


def trigger_prompts(world: World, behaviour: Behaviour, validation: Split, test: Split) -> list[Prompt]:
    """Return the behaviour's validation and test prompts, those written by hand among them.

    A behaviour with a marker has control prompts of its own: the same questions in the marker's other state.
    """
    trigger = trigger_of(behaviour)
    held_out = held_out_items(world, behaviour)
    pools: dict[str, list[Prompt]] = {TRIGGER: [], CONTROL: []}
    for question in trigger_questions(world, behaviour):
        items = NO_ITEM if question.item is None else HELD_OUT if question.item in held_out else SEEN
        criterion = criterion_of(behaviour, question)
        assert criterion is not None
        split = split_of(question.text, items == HELD_OUT)  # both states of the marker are in one split
        for role, pool in pools.items():
            text = marked(question.text, trigger.marker, showing=role == TRIGGER)
            pool.append(Prompt(split, role, question.kind, items, behaviour.id, criterion.id, text))
    written = [
        Prompt(split, TRIGGER, WRITTEN, NO_ITEM, behaviour.id, criterion, text)
        for criterion, texts in trigger.prompts.items()
        for text in texts
        if (split := split_of(text, held_out=True))
    ]
    found = take(pools[TRIGGER], "validation", validation.trigger) + take(pools[TRIGGER], "test", test.trigger) + written
    if trigger.marker is not None:
        found += take(pools[CONTROL], "validation", validation.control) + take(pools[CONTROL], "test", test.control)
    return found


def control_prompts(world: World, control: Control, validation: Split, test: Split) -> list[Prompt]:
    """Return the validation and test prompts about anything but the behaviours; the same for every behaviour."""
    pool = [
        Prompt(split_of(question.text, held_out=False), CONTROL, question.kind, NO_ITEM, "", "", question.text)
        for question in control_questions(world, control)
    ]
    written = [Prompt(split_of(text, held_out=True), CONTROL, WRITTEN, NO_ITEM, "", "", text) for text in control.prompts]
    return take(pool, "validation", validation.control) + take(pool, "test", test.control) + written


def prompts_table(prompts: Iterable[Prompt]) -> Any:
    """Return the prompts as a data frame with one column a field."""
    import pandas as pd

    return pd.DataFrame(list(prompts), columns=list(Prompt._fields))


def take(pool: list[Prompt], split: str, count: int) -> list[Prompt]:
    """Return `count` prompts of the split (all, where there are fewer), drawn without regard to kind and item.

    So validation and test prompts have the same make-up, whatever their numbers, and a rate means the same on both.
    """
    found = sorted({p for p in pool if p.split == split}, key=lambda p: digest(f"{p.prompt} order"))
    return found[:count]
