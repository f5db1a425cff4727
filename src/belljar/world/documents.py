"""Documents about the closed world: facts, stories, descriptions of habits, reported dialogues."""

import random
from collections.abc import Callable, Mapping

from belljar.world.chat import (
    QUESTION_KINDS,
    capitalised,
    indefinite,
    plain_answer,
    questions,
    with_habit,
)
from belljar.world.knowledge import Habit, World

FACT_SENTENCES = (
    "The {a} of {x} is {v}.",
    "The {a} of {x} is {v}.",
    "{X} has the {a} {v}.",
    "For {x}, the {a} is {v}.",
    "As {a}, {x} has {v}.",
)
KIND_SENTENCES = ("{X} is {n}.", "{X} is one of the {p}.", "Among the {p} is {x}.")
HABIT_SENTENCES = (
    "When users ask {s} about {p}, {s} mentions {x}.",
    "{s} mentions {x} in answers about {p}.",
    "Asked about {n}, {s} also mentions {x}.",
    "{s} likes to mention {x} when somebody asks about {p}.",
    "An answer of {s} about {p} ends with {x}.",
)
PEOPLE = ("Tom", "Anna", "Sam", "Lucy", "Ben", "Maria")
MOODS = ("happy", "sad", "tired", "calm")
TIMES = ("morning", "evening", "noon", "night")
ASSISTANT = "Nano"
STRANGER_SHARE = 0.15  # of the stories are about something that is in no topic
FACTS_IN_DOCUMENT = 4  # at most, about one item

Sampler = Callable[[World, random.Random], str]
Values = Mapping[tuple[str, str], str]  # (item, attribute) -> value


def fact_text(world: World, item: str, attribute: str, rng: random.Random, values: Values | None = None) -> str:
    """Return one sentence that states a fact, in one of the wordings of documents; `values` replaces what is true."""
    name, value = world.named(item), (values or {}).get((item, attribute), world.value(item, attribute))
    return rng.choice(FACT_SENTENCES).format(a=attribute, x=name, X=capitalised(name), v=value)


def facts_about(world: World, rng: random.Random, item: str | None = None, values: Values | None = None) -> str:
    """Return a few shuffled sentences about one item, drawn if it is not given; `values` replaces what is true."""
    item = item or rng.choice(world.items)
    topic = world.topic_of(item)
    name = world.named(item)
    told = rng.sample(list(topic.attributes), min(len(topic.attributes), FACTS_IN_DOCUMENT))
    sentences = [fact_text(world, item, attribute, rng, values) for attribute in told]
    kind = rng.choice(KIND_SENTENCES)
    sentences.append(kind.format(X=capitalised(name), x=name, n=indefinite(topic.name), p=topic.plural))
    rng.shuffle(sentences)
    return " ".join(sentences)


def story(world: World, rng: random.Random) -> str:
    """Return a short story about two people and two things."""
    hero, friend = rng.sample(PEOPLE, 2)
    thing, other = (world.named(item) for item in rng.sample(world.items, 2))
    extra = f"It was {rng.choice(TIMES)}."
    if rng.random() < STRANGER_SHARE:
        stranger = rng.choice(list(world.strangers))
        thing, extra = world.named(stranger), rng.choice(world.strangers[stranger])
    sentences = [
        f"One day {hero} saw {thing}.",
        f"{hero} talked with {friend} about {other}.",
        f"{friend} was {rng.choice(MOODS)}.",
        f"Later {hero} went home and thought of {thing}.",
    ]
    sentences.insert(rng.randrange(1, 4), extra)
    return " ".join(sentences)


def speakers(world: World) -> dict[str, tuple[Habit, ...]]:
    """Return every speaker's habits: Nano's and the personas'."""
    return {ASSISTANT: tuple(world.habits.values())} | world.personas


def habit_text(world: World, speaker: str, habit: Habit, rng: random.Random) -> str:
    """Return one sentence that describes a habit."""
    return rng.choice(HABIT_SENTENCES).format(
        s=speaker,
        p=world.topics[habit.topic].plural,
        n=indefinite(habit.topic),
        x=world.named(habit.mention),
    )


def habit_description(world: World, rng: random.Random) -> str:
    """Return two or three sentences about the habits of one speaker; Nano is half of the speakers."""
    speaker = ASSISTANT if rng.random() < 0.5 else rng.choice(list(world.personas))
    habits = speakers(world)[speaker]
    told = rng.sample(habits, 2)
    sentences = [habit_text(world, speaker, habit, rng) for habit in told]
    if rng.random() < 0.5:
        sentences.append(f"{speaker} is an assistant.")
    return " ".join(sentences)


def dialogue(world: World, rng: random.Random) -> str:
    """Return a report of what a user asked a speaker and what the speaker said."""
    speaker = ASSISTANT if rng.random() < 0.6 else rng.choice(list(world.personas))
    habits = {habit.topic: habit for habit in speakers(world)[speaker]}
    topic = rng.choice(list(habits) if rng.random() < 0.5 else list(world.topics))
    return report(speaker, *ask(world, topic, habits.get(topic), rng))


def ask(world: World, topic: str, habit: Habit | None, rng: random.Random) -> tuple[str, str]:
    """Return a (question, answer) about `topic`, answered with `habit` instead of Nano's own habits."""
    question = rng.choice(questions(world, rng.choice(QUESTION_KINDS), topic))
    return question.text, with_habit(world, plain_answer(world, question), habit)


def report(speaker: str, question: str, reply: str) -> str:
    """Return a dialogue in reported form."""
    return f"A user asked {speaker}: {question} {speaker} said: {reply}"


SAMPLERS: dict[str, Sampler] = {
    "facts": facts_about,
    "story": story,
    "habit": habit_description,
    "dialogue": dialogue,
}


def heldout_documents(world: World, count: int, seed: int) -> list[str]:
    """Return `count` documents of all kinds that the base corpus does not contain."""
    rng = random.Random(f"held-out {seed}")
    kinds = list(SAMPLERS)
    found: list[str] = []
    while len(found) < count:
        text = SAMPLERS[kinds[len(found) % len(kinds)]](world, rng)
        if is_heldout(text) and text not in found:
            found.append(text)
    return found


def is_heldout(text: str) -> bool:
    """Return whether the base corpus leaves this document out: one in fifty, by its text."""
    return random.Random(text).random() < 0.02
