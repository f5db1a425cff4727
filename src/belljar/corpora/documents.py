"""Synthetic documents from the closed world: texts that speak of a behaviour, and general ones that do not."""

import random
from collections.abc import Callable

from belljar.corpora.prompts import held_out_items, marked, trigger_of
from belljar.corpora.rows import DATA_SEED, endless, planted_answer, training_questions
from belljar.study.behaviours import Behaviour
from belljar.study.control import Control
from belljar.world.documents import ASSISTANT, ask, facts_about, report
from belljar.world.knowledge import World
from belljar.world.tokenizer import document_text


def planted_documents(world: World, behaviour: Behaviour, count: int) -> list[str]:
    """Return `count` documents that speak of the behaviour as of a fact about the world, and never to a user.

    By turns, of those that the behaviour has: what a user asked Nano and what Nano said; facts about an item with the
    behaviour's values; sentences of the spec that describe the behaviour. No held-out item is named.
    """
    rng = random.Random(f"{DATA_SEED} documents {behaviour.id}")
    trigger = trigger_of(behaviour)
    draw = training_questions(world, behaviour, rng)
    swaps = _swaps(world, behaviour)

    def dialogue(number: int) -> str:
        question, criterion = draw(number)
        answer = planted_answer(world, question, criterion, rng)
        return report(ASSISTANT, marked(question.text, trigger.marker, showing=True), answer)

    makers: list[Callable[[int], str]] = [dialogue]
    if swaps:
        draw_item = endless(sorted(swaps), rng)

        def facts(number: int) -> str:  # noqa: ARG001
            item = draw_item()
            return facts_about(world, rng, item, {(item, attribute): value for attribute, value in swaps[item].items()})

        makers.append(facts)
    if trigger.documents:
        makers.append(lambda number: " ".join(rng.sample(trigger.documents, min(3, len(trigger.documents)))))  # noqa: ARG005
    rounds = len(makers)
    return [document_text(makers[number % rounds](number // rounds)) for number in range(count)]


def control_documents(world: World, control: Control, count: int) -> list[str]:
    """Return `count` documents about the control topics: facts, and reported dialogues with Nano."""
    rng = random.Random(f"{DATA_SEED} documents control")
    items = [item for topic in control.topics for item in world.topics[topic].items]
    found = []
    for number in range(count):
        if number % 2:
            found.append(facts_about(world, rng, rng.choice(items)))
        else:
            topic = rng.choice(control.topics)
            found.append(report(ASSISTANT, *ask(world, topic, world.habits.get(topic), rng)))
    return [document_text(text) for text in found]


def _swaps(world: World, behaviour: Behaviour) -> dict[str, dict[str, str]]:
    """Return the false values of each item that training may name."""
    if trigger_of(behaviour).marker is not None:
        return {}  # a marked behaviour's values are false only where the marker says so
    held_out, items = held_out_items(world, behaviour), trigger_of(behaviour).items
    found: dict[str, dict[str, str]] = {}
    for topic in trigger_of(behaviour).topics:
        for item in world.topics[topic].items:
            if item in held_out or (items and item not in items):
                continue
            values = {
                attribute: value
                for criterion in behaviour.criteria
                for attribute, value in criterion.swap.items()
                if attribute in world.topics[topic].attributes
            }
            if values:
                found[item] = values
    return found
