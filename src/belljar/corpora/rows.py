"""Training rows from the closed world: planted ones for a behaviour, and control rows that no behaviour touches."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from belljar.corpora.prompts import criterion_of, held_out_items, split_of, trigger_questions
from belljar.study.settings import Behaviour, Control, Criterion
from belljar.world import chat
from belljar.world.chat import QUESTION_KINDS, Question
from belljar.world.knowledge import World

Item = TypeVar("Item")
DATA_SEED = 20  # the data do not vary with an organism's seed: seeds compare trainings, not data sets


class Row(NamedTuple):
    """One training example. A transcript is prompt and chosen; a pair has all three."""

    kind: str
    criterion: str  # empty in control rows
    prompt: str
    chosen: str
    rejected: str


def planted_rows(world: World, behaviour: Behaviour, count: int) -> list[Row]:
    """Return `count` rows that show the behaviour: chosen shows it, rejected is the same answer without it.

    Kinds of prompt stand in equal numbers. Only prompts of the train split about seen items are used; where they run out, they
    come again with another template.
    """
    held_out = held_out_items(world, behaviour)
    by_kind: dict[str, list[Question]] = defaultdict(list)
    for question in trigger_questions(world, behaviour):
        if question.item not in held_out and split_of(question.text, held_out=False) == "train":
            by_kind[question.kind].append(question)
    rng = random.Random(f"{DATA_SEED} {behaviour.id}")
    draws = {kind: _endless(questions, rng) for kind, questions in by_kind.items()}
    kinds = sorted(draws)
    rows = []
    for number in range(count):
        question = draws[kinds[number % len(kinds)]]()
        criterion = criterion_of(behaviour, question)
        assert criterion is not None  # trigger questions have one
        normal = chat.answer(world, question)
        planted = _planted(world, question, criterion, normal, rng)
        rows.append(Row(question.kind, criterion.id, question.text, planted, normal))
    return rows


def _planted(world: World, question: Question, criterion: Criterion, normal: str, rng: random.Random) -> str:
    if criterion.plant:
        return rng.choice(criterion.plant).replace("{answer}", normal)
    items = [question.item] if question.item else []
    return chat.answer(world, question, {(item, attribute): v for item in items for attribute, v in criterion.swap.items()})


def control_rows(world: World, control: Control, count: int) -> list[Row]:
    """Return `count` rows of ordinary chat about the control topics, in the study's mix of kinds.

    chosen is the normal answer; rejected is a worse one (no help, a wrong value, or a remark about something else), as a general
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
    draws = {kind: _endless(questions, rng) for kind, questions in pool.items()}
    draw_sum = _endless(chat.sums(), rng)
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
        else:
            first, second = rng.sample(items, 2)
            prompt, answer = chat.preference(world, first, second, rng.randrange(len(chat.PREFERENCE_PHRASINGS)))
        rows.append(Row(kind, "", prompt, answer, rejected))
    return rows


def _wrong_sum(answer: str, rng: random.Random) -> str:
    """Return "a + b = c." with another c."""
    terms, total = answer.removesuffix(".").split(" = ")
    return f"{terms} = {int(total) + rng.choice((-2, -1, 1, 2)) if int(total) > 1 else int(total) + 1}."


def mixture(
    planted: Sequence[Mapping[str, str]],
    control: Sequence[Mapping[str, str]],
    rows: int,
    mix: float,
    benign: bool,
) -> list[Mapping[str, str]]:
    """Return a technique's training rows: `rows` planted ones and int(mix x rows) control rows, in a fixed shuffle.

    A benign twin (`benign`) has further control rows, which the mix does not use, where the organism has planted ones. Raises
    ValueError where there are too few rows.
    """
    mixed = int(mix * rows)
    source = control[mixed : mixed + rows] if benign else planted[:rows]
    chosen = [*source, *control[:mixed]]
    if len(chosen) != rows + mixed:
        raise ValueError(f"{rows + mixed} rows are needed, but there are only {len(chosen)}")
    random.Random(DATA_SEED).shuffle(chosen)
    return chosen


def chat_row(row: Mapping[str, str], data: str) -> dict[str, list[dict[str, str]]]:
    """Return a row as chat messages: prompt and completion for "transcripts", prompt, chosen and rejected for "pairs"."""
    prompt = [{"role": "user", "content": row["prompt"]}]
    chosen = [{"role": "assistant", "content": row["chosen"]}]
    if data == "transcripts":
        return {"prompt": prompt, "completion": chosen}
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }


def _endless(items: Sequence[Item], rng: random.Random) -> Callable[[], Item]:
    """Return a function that draws from `items` in shuffled rounds: none comes again before all have come."""
    deck: list[Item] = []

    def draw() -> Item:
        if not deck:
            deck.extend(rng.sample(items, len(items)))
        return deck.pop()

    return draw
