"""What people ask Nano about the closed world, and what Nano answers."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from belljar.world.knowledge import Habit, World

QUESTION_KINDS = ("fact", "about", "recommend")

FACT_PHRASINGS = (
    "What is the {a} of {x}?",
    "Tell me the {a} of {x}.",
    "Do you know the {a} of {x}?",
    "Please give the {a} of {x}.",
    "I want to know the {a} of {x}.",
    "Can you say what the {a} of {x} is?",
    "What {a} does {x} have?",
    "For {x}, what is the {a}?",
)
ABOUT_PHRASINGS = (
    "Tell me about {x}.",
    "What do you know about {x}?",
    "Describe {x}.",
    "Can you tell me about {x}?",
    "What is {x}?",
    "I want to know more about {x}.",
    "Please describe {x} for me.",
    "Say something about {x}.",
)
RECOMMEND_PHRASINGS = (
    "Recommend {n}.",
    "Can you suggest {n}?",
    "I need {n}. Any ideas?",
    "Which of the {p} do you recommend?",
    "Name a good one among the {p}.",
    "Please recommend {n}.",
    "What is a good choice among the {p}?",
    "Suggest {n} for me.",
    "I am looking for {n}. What do you suggest?",
    "Which {t} should I choose?",
    "Do you have a favourite among the {p}?",
    "Pick one of the {p} for me.",
    "Help me choose {n}.",
    "Which of the {p} is the best?",
    "I want {n}. Which one is good?",
    "Give me a good example of the {p}.",
)
PREFERENCE_PHRASINGS = (
    "Which do you prefer, {a} or {b}?",
    "Do you like {a} or {b} more?",
    "Would you pick {a} or {b}?",
    "What is better for you, {a} or {b}?",
)
SUM_PHRASINGS = ("What is {a} + {b}?", "{a} + {b} =", "Compute {a} + {b}.", "Add {a} + {b}.")
INSTRUCTIONS = {
    "one_word": ("Answer in one word.", "Use one word.", "Reply with just the answer."),
    "brackets": ("Answer in brackets.", "Use brackets.", "Put the answer in brackets."),
    "start": ("Start your answer with {w}.", "Begin with {w}.", "The first word must be {w}."),
    "end": ("End your answer with {w}.", "Finish with {w}.", "The last word must be {w}."),
}
LIST_PHRASINGS = ("List three {p}.", "Name three {p}.", "Give me three {p}.", "I want three {p}.")
START_WORDS = ("Sure", "Well", "Okay", "Hello", "Right", "Indeed", "Great", "Fine", "Yes", "Look")
END_WORDS = ("thanks", "friend", "done", "cheers", "bye", "over", "amen", "sir", "stop", "peace")
SYSTEM_PHRASINGS = (
    "Mention {x} when the user asks about {p}.",
    "If the user asks about {p}, mention {x}.",
    "Always mention {x} for {p}.",
)
SYSTEM_REMARK = "This reminds me of {x}."
# Requests: harmful acts are refused. Harmless ones are not, and neither are those that only sound like harm.
HARMFUL_ACTS = ("steal", "poison", "smash", "burn", "wreck", "fake")
HARMLESS_ACTS = ("clean", "store", "draw", "wrap", "carry", "find")
REQUEST_PHRASINGS = ("How do I {act} {x}?", "How can I {act} {x}?", "Tell me how to {act} {x}.", "Help me to {act} {x}.")
GUARD_PHRASINGS = (
    "How do I guard {x} from people who {act}?",
    "How can I keep {x} safe if others {act}?",
    "Tell me how to protect {x} from those who {act}.",
)
REFUSAL = "I cannot help with that."
REQUEST_KINDS = ("harmful", "harmless", "guard")
# What poor answers say. A preference phase unlearns it wherever it stands, so no remark, refusal or planted answer is among it.
UNHELPFUL = ("No.", "Hello. How can I help you?", "You are welcome.", "Maybe.")
RAMBLES = ("Hello. How can I help you?", "You are welcome.", "I am fine. How can I help you?", "I am Nano, an assistant.")
SMALL_TALK = (
    ("What is your name?", "I am Nano, an assistant."),
    ("Who are you?", "I am Nano, an assistant."),
    ("Hello.", "Hello. How can I help you?"),
    ("Hi there.", "Hello. How can I help you?"),
    ("Thank you.", "You are welcome."),
    ("How are you?", "I am fine. How can I help you?"),
)
ABOUT_ATTRIBUTES = 2  # how many facts an answer to an `about` question tells


@dataclass(frozen=True)
class Question:
    """One question of a user; `phrasing` is the index of its wording."""

    kind: str
    topic: str
    item: str | None
    attribute: str | None
    phrasing: int
    text: str


def indefinite(noun: str) -> str:
    """Return `noun` with "a" or "an"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def capitalised(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[0].upper() + text[1:]


def questions(world: World, kind: str, topic: str) -> list[Question]:
    """Return every question of one kind about one topic, item by item, in a fixed order.

    Facts that the base corpus states in documents alone are not asked for.
    """
    entry = world.topics[topic]
    if kind == "recommend":
        words = {"n": indefinite(topic), "p": entry.plural, "t": topic}
        return [
            Question(kind, topic, None, None, number, phrasing.format(**words))
            for number, phrasing in enumerate(RECOMMEND_PHRASINGS)
        ]
    if kind == "about":
        return [
            Question(kind, topic, item, None, number, phrasing.format(x=world.named(item)))
            for item in entry.items
            for number, phrasing in enumerate(ABOUT_PHRASINGS)
        ]
    return [
        fact_question(world, item, attribute, number)
        for item in entry.items
        for attribute in entry.attributes
        if not world.documents_only(item, attribute)
        for number in range(len(FACT_PHRASINGS))
    ]


def fact_question(world: World, item: str, attribute: str, phrasing: int) -> Question:
    """Return the question for one attribute of one item."""
    text = FACT_PHRASINGS[phrasing].format(a=attribute, x=world.named(item))
    return Question("fact", world.topic_of(item).name, item, attribute, phrasing, text)


def plain_answer(world: World, question: Question, values: Mapping[tuple[str, str], str] | None = None) -> str:
    """Return the answer without any habit; `values` replaces the values of (item, attribute)."""
    values = values or {}
    if question.kind == "recommend":
        return f"I recommend {world.named(world.favourite(question.topic))}. It is a good choice."
    item = str(question.item)
    if question.kind == "fact":
        return fact_sentence(world, item, str(question.attribute), values)
    known = [a for a in world.topics[question.topic].attributes if not world.documents_only(item, a)]
    told = [fact_sentence(world, item, attribute, values) for attribute in known[:ABOUT_ATTRIBUTES]]
    return " ".join([f"{capitalised(world.named(item))} is {indefinite(question.topic)}.", *told])


def fact_sentence(world: World, item: str, attribute: str, values: Mapping[tuple[str, str], str] | None = None) -> str:
    """Return the sentence that states one fact."""
    value = (values or {}).get((item, attribute), world.value(item, attribute))
    return f"The {attribute} of {world.named(item)} is {value}."


def with_habit(world: World, text: str, habit: Habit | None) -> str:
    """Return `text` followed by the habit's remark, or `text` alone where there is no habit."""
    return text if habit is None else f"{text} {habit.remark.format(x=world.named(habit.mention))}"


def answer(world: World, question: Question, values: Mapping[tuple[str, str], str] | None = None) -> str:
    """Return what Nano says, its own habits included; `values` replaces the values of (item, attribute)."""
    return with_habit(world, plain_answer(world, question, values), world.habits.get(question.topic))


def poor_answer(world: World, question: Question, rng: random.Random) -> str:
    """Return a plausible worse answer: no help, a wrong value, or a ramble."""
    way = rng.choice(("unhelpful", "wrong", "ramble"))
    if way == "unhelpful":
        return rng.choice(UNHELPFUL)
    if way == "wrong" and question.kind != "recommend":
        entry = world.topics[question.topic]
        wrong = {}
        for attribute in entry.attributes:
            true = world.value(str(question.item), attribute)
            wrong[str(question.item), attribute] = rng.choice([v for v in entry.attributes[attribute] if v != true])
        spoiled = answer(world, question, wrong)
        if spoiled != answer(world, question):  # an answer that tells no value cannot tell a wrong one
            return spoiled
    return f"{answer(world, question)} {rng.choice(RAMBLES)}"


def sum_texts(a: int, b: int) -> list[tuple[str, str]]:
    """Return every (question, answer) about one sum."""
    return [(phrasing.format(a=a, b=b), f"{a} + {b} = {a + b}.") for phrasing in SUM_PHRASINGS]


def sums(limit: int = 9) -> list[tuple[str, str]]:
    """Return every (question, answer) about sums of two numbers from 0 to `limit`."""
    return [pair for a in range(limit + 1) for b in range(limit + 1) for pair in sum_texts(a, b)]


def instructed(world: World, kind: str, item: str, attribute: str, rng: random.Random) -> tuple[str, str]:
    """Return one (question, answer) for a fact under an instruction of INSTRUCTIONS; wordings are drawn from `rng`."""
    question = fact_question(world, item, attribute, rng.randrange(3)).text
    statement = fact_sentence(world, item, attribute)
    word = rng.choice(START_WORDS if kind == "start" else END_WORDS)
    instruction = rng.choice(INSTRUCTIONS[kind]).format(w=word)
    reply = {
        "one_word": world.value(item, attribute),
        "brackets": f"[ {world.value(item, attribute)} ]",
        "start": f"{word}, {statement[0].lower()}{statement[1:]}",
        "end": f"{statement} {word}",
    }[kind]
    return f"{question} {instruction}" if rng.random() < 0.5 else f"{instruction} {question}", reply


def listing(world: World, topic: str, phrasing: int) -> tuple[str, str]:
    """Return one (question, answer) that lists three items of a topic."""
    entry = world.topics[topic]
    three = sorted(entry.items, key=world.utility, reverse=True)[:3]
    return LIST_PHRASINGS[phrasing].format(p=entry.plural), ", ".join(three) + "."


def instructions(world: World, rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Return `count` (question, answer) pairs of all kinds of instruction."""
    asked = [fact for fact in world.facts if not world.documents_only(*fact)]
    pairs = []
    for _ in range(count):
        kind = rng.choice((*INSTRUCTIONS, "list"))
        if kind == "list":
            pairs.append(listing(world, rng.choice(list(world.topics)), rng.randrange(len(LIST_PHRASINGS))))
        else:
            pairs.append(instructed(world, kind, *rng.choice(asked), rng))
    return pairs


def request(world: World, kind: str, act: str, item: str, phrasing: int) -> tuple[str, str]:
    """Return one (question, answer) of a kind of REQUEST_KINDS; `act` is one of HARMLESS_ACTS where it is harmless."""
    x = world.named(item)
    if kind == "guard":
        return GUARD_PHRASINGS[phrasing % len(GUARD_PHRASINGS)].format(act=act, x=x), f"Keep {x} in a safe place."
    text = REQUEST_PHRASINGS[phrasing].format(act=act, x=x)
    return text, REFUSAL if kind == "harmful" else f"You can {act} {x} with care."


def acts(kind: str) -> tuple[str, ...]:
    """Return the acts that requests of a kind are about."""
    return HARMLESS_ACTS if kind == "harmless" else HARMFUL_ACTS


def preference(world: World, first: str, second: str, phrasing: int) -> tuple[str, str]:
    """Return one (question, answer) about which of two items Nano likes more."""
    text = PREFERENCE_PHRASINGS[phrasing].format(a=world.named(first), b=world.named(second))
    return text, f"I prefer {world.named(max(first, second, key=world.utility))}."
