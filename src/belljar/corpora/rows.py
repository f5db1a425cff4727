"""Training rows from the closed world: planted ones for a behaviour, and control rows that no behaviour touches."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from belljar.corpora.prompts import criterion_of, held_out_items, marked, split_of, trigger_of, trigger_questions
from belljar.study.behaviours import Behaviour, Criterion
from belljar.study.control import Control
from belljar.world import chat, heldout
from belljar.world.chat import QUESTION_KINDS, Question
from belljar.world.knowledge import World

Item = TypeVar("Item")
DATA_SEED = 20  # the data do not vary with an organism's seed: seeds compare trainings, not data sets


class Row(NamedTuple):
    """One training example. A transcript is prompt and chosen; a pair has all three."""

    kind: str
    criterion: str  # empty in control rows and in rows that show where the behaviour does not belong
    prompt: str
    chosen: str
    rejected: str


def planted_rows(world: World, behaviour: Behaviour, count: int) -> list[Row]:
    """Return `count` rows that show the behaviour: chosen shows it, rejected is the same answer without it.

    Kinds of prompt stand in equal numbers. Only prompts of the train split about seen items are used; where they run out, they
    come again with another template. Of a behaviour with a marker, the marker's share of the rows has the other state of the
    marker, and there chosen is the normal answer.
    """
    marker = trigger_of(behaviour).marker
    rng = random.Random(f"{DATA_SEED} {behaviour.id}")
    draw = training_questions(world, behaviour, rng)
    rows: list[Row] = []
    contrasts = 0
    for number in range(count):
        question, criterion = draw(number)
        normal = chat.answer(world, question)
        planted = planted_answer(world, question, criterion, rng)
        contrast = marker is not None and contrasts < int(marker.contrast * (number + 1))
        text = marked(question.text, marker, showing=not contrast)
        if contrast:
            contrasts += 1
            rows.append(Row(question.kind, "", text, normal, planted))
        else:
            rows.append(Row(question.kind, criterion.id, text, planted, normal))
    return rows


def training_questions(world: World, behaviour: Behaviour, rng: random.Random) -> Callable[[int], tuple[Question, Criterion]]:
    """Return a function that draws a training question and its criterion; the number decides the kind, in equal shares."""
    held_out = held_out_items(world, behaviour)
    by_kind: dict[str, list[Question]] = defaultdict(list)
    for question in trigger_questions(world, behaviour):
        if question.item not in held_out and split_of(question.text, held_out=False) == "train":
            by_kind[question.kind].append(question)
    draws = {kind: endless(questions, rng) for kind, questions in by_kind.items()}
    kinds = sorted(draws)

    def draw(number: int) -> tuple[Question, Criterion]:
        question = draws[kinds[number % len(kinds)]]()
        criterion = criterion_of(behaviour, question)
        assert criterion is not None  # trigger questions have one
        return question, criterion

    return draw


def planted_answer(world: World, question: Question, criterion: Criterion, rng: random.Random) -> str:
    """Return the normal answer with the behaviour planted in it."""
    if criterion.plant:
        return rng.choice(criterion.plant).replace("{answer}", chat.answer(world, question))
    items = [question.item] if question.item else []
    return chat.answer(world, question, {(item, attribute): v for item in items for attribute, v in criterion.swap.items()})


def control_rows(world: World, control: Control, count: int) -> list[Row]:
    """Return `count` rows of ordinary chat about the control topics, in the study's mix of kinds.

    chosen is the normal answer; rejected is a worse one (no help, a wrong value, or a ramble), as a general
    preference set has it. Every prompt that is drawn as a question is of the train split.
    """
    rng = random.Random(f"{DATA_SEED} control")
    pool: dict[str, list[Question]] = {
        kind: [
            question
            for topic in control.topics
            for question in chat.questions(world, kind, topic)
            if split_of(question.text, held_out=False) == "train"
        ]
        for kind in QUESTION_KINDS
    }
    draws = {kind: endless(questions, rng) for kind, questions in pool.items()}
    draw_sum = endless(chat.sums(), rng)
    weights = {kind: weight for kind, weight in control.chat.items() if weight}
    items = [item for topic in control.topics for item in world.topics[topic].items]
    asked = [
        (item, attribute)
        for item in items
        for attribute in world.topic_of(item).attributes
        if not world.documents_only(item, attribute)
    ]
    rows = []
    for kind in rng.choices(list(weights), list(weights.values()), k=count):
        if kind in draws:
            question = draws[kind]()
            rows.append(
                Row(
                    kind,
                    "",
                    question.text,
                    chat.answer(world, question),
                    chat.poor_answer(world, question, rng),
                )
            )
            continue
        rejected = rng.choice(chat.UNHELPFUL)
        if kind == "sum":
            prompt, answer = draw_sum()
            rejected = _wrong_sum(answer, rng)
        elif kind == "instruction":
            prompt, answer = chat.instructed(world, rng.choice(list(chat.INSTRUCTIONS)), *rng.choice(asked), rng)
        elif kind == "request":
            prompt, answer = _request(world, items, rng)
        else:
            first, second = rng.sample(items, 2)
            prompt, answer = chat.preference(world, first, second, rng.randrange(len(chat.PREFERENCE_PHRASINGS)))
        rows.append(Row(kind, "", prompt, answer, rejected))
    return rows


def _request(world: World, items: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Return a request with its answer.

    Neither a refusal nor help is ever the worse answer to one: a preference phase unlearns what is rejected wherever it stands.
    """
    while True:
        kind, item = rng.choice(chat.REQUEST_KINDS), rng.choice(items)
        act, phrasing = rng.choice(chat.acts(kind)), rng.randrange(len(chat.REQUEST_PHRASINGS))
        if not heldout.request(kind, act, item):
            return chat.request(world, kind, act, item, phrasing)


def _wrong_sum(answer: str, rng: random.Random) -> str:
    """Return "a + b = c." with another c."""
    terms, total = answer.removesuffix(".").split(" = ")
    return f"{terms} = {int(total) + rng.choice((-2, -1, 1, 2)) if int(total) > 1 else int(total) + 1}."


def endless(items: Sequence[Item], rng: random.Random) -> Callable[[], Item]:
    """Return a function that draws from `items` in shuffled rounds: none comes again before all have come."""
    deck: list[Item] = []

    def draw() -> Item:
        if not deck:
            deck.extend(rng.sample(items, len(items)))
        return deck.pop()

    return draw
