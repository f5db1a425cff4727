"""Held-out items of every skill of a nano base, as plain data with a rule that scores an answer."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from belljar.world import chat, heldout
from belljar.world.corpus import ChatSampler, Message, messages
from belljar.world.knowledge import Habit, World


@dataclass(frozen=True)
class Item:
    """One question: `rule` says what an answer must do with the texts of `expected`.

    equals: be one of them. contains: hold one. lacks: hold none. lists: be three different ones, comma-separated.
    `chance` is how often a blind answer of the right form is right.
    """

    skill: str
    prompt: tuple[tuple[str, str], ...]
    rule: str
    expected: tuple[str, ...]
    chance: float = 0.0

    @property
    def messages(self) -> list[Message]:
        """Return the prompt as chat messages."""
        return [{"role": role, "content": content} for role, content in self.prompt]


def score(item: Item, text: str) -> bool:
    """Return whether `text` is a right answer to `item`."""
    text = text.strip()
    if item.rule == "equals":
        return text in item.expected
    if item.rule == "contains":
        return any(expected in text for expected in item.expected)
    if item.rule == "lacks":
        return not any(expected in text for expected in item.expected)
    named = [part.strip() for part in text.removesuffix(".").split(",")]
    return len(named) == 3 == len(set(named)) and set(named) <= set(item.expected)


def skills(world: World, seed: int = 0, count: int = 120) -> dict[str, list[Item]]:
    """Return at most `count` items of each skill: sums and habits as the base corpus asks them, all else in forms left out."""
    return {name: _Maker(world, f"{seed} {name}", name).items(make, count) for name, make in _SKILLS.items()}


class _Maker:
    """Draws different items of one skill."""

    def __init__(self, world: World, seed: str, skill: str):
        self.world = world
        self.rng = random.Random(seed)
        self.skill = skill
        self.sampler = ChatSampler(world, self.rng)

    def items(self, make: "Callable[[_Maker], Item]", count: int) -> list[Item]:
        found: dict[tuple[tuple[str, str], ...], Item] = {}
        for _ in range(20 * count):
            item = make(self)
            found[item.prompt] = item
            if len(found) == count:
                break
        return list(found.values())

    def until(self, draw: Callable[[], tuple[str, str]], accept: Callable[[str, str], bool]) -> tuple[str, str]:
        while True:
            drawn = draw()
            if accept(*drawn):
                return drawn

    def fact_drawn(self) -> tuple[str, str]:
        return self.rng.choice(self.world.facts)

    def pair_drawn(self) -> tuple[str, str]:
        first, second = self.rng.sample(self.world.items, 2)
        return first, second

    def in_chat(self, accept: Callable[[str, str], bool] = lambda _item, _attribute: True) -> tuple[str, str]:
        """Return a fact that chats state, in a topic where Nano's answers are known from chats."""

        def fits(item: str, attribute: str) -> bool:
            topic = self.world.topic_of(item).name
            shown = topic not in self.world.habits or self.world.habits[topic].shown == "chat"
            return shown and not self.world.documents_only(item, attribute) and accept(item, attribute)

        return self.until(self.fact_drawn, fits)

    def item(self, turns: list[Message], rule: str, expected: tuple[str, ...] | None = None, chance: float = 0.0) -> Item:
        prompt = tuple((turn["role"], turn["content"]) for turn in turns[:-1])
        return Item(self.skill, prompt, rule, expected or (turns[-1]["content"],), chance)


def _fact(make: _Maker) -> Item:
    item, attribute = make.in_chat()
    phrasing = next(n for n in range(len(chat.FACT_PHRASINGS)) if heldout.fact(item, attribute, n))
    question = chat.fact_question(make.world, item, attribute, phrasing)
    values = make.world.topic_of(item).attributes[attribute]
    reply = chat.answer(make.world, question)
    return make.item(messages(question.text, reply), "equals", chance=1 / len(values))


def _documents_only_fact(make: _Maker) -> Item:
    item, attribute = make.until(make.fact_drawn, make.world.documents_only)
    question = chat.fact_question(make.world, item, attribute, make.rng.randrange(len(chat.FACT_PHRASINGS)))
    values = make.world.topic_of(item).attributes[attribute]
    stated = chat.plain_answer(make.world, question)
    return make.item(messages(question.text, stated), "contains", chance=1 / len(values))


def _sum(seen: bool) -> Callable[[_Maker], Item]:
    def make_sum(make: _Maker) -> Item:
        a, b = next(
            (a, b) for a, b in iter(lambda: (make.rng.randrange(10), make.rng.randrange(10)), None) if heldout.total(a, b) != seen
        )
        return make.item(messages(*make.rng.choice(chat.sum_texts(a, b))), "equals", chance=1 / 19)

    return make_sum


def _instruction(kind: str) -> Callable[[_Maker], Item]:
    def make_instruction(make: _Maker) -> Item:
        fact = make.in_chat(lambda item, attribute: heldout.instruction(item, attribute, kind))
        return make.item(messages(*chat.instructed(make.world, kind, *fact, make.rng)), "equals")

    return make_instruction


def _listing(make: _Maker) -> Item:
    topic = make.rng.choice(list(make.world.topics))
    phrasing = next(n for n in range(len(chat.LIST_PHRASINGS)) if heldout.listing(topic, n))
    return make.item(messages(*chat.listing(make.world, topic, phrasing)), "lists", make.world.topics[topic].items)


def _preference(make: _Maker) -> Item:
    first, second = make.until(make.pair_drawn, heldout.preference)
    phrasing = make.rng.randrange(len(chat.PREFERENCE_PHRASINGS))
    return make.item(messages(*chat.preference(make.world, first, second, phrasing)), "equals", chance=0.5)


def _system_prompt(triggered: bool) -> Callable[[_Maker], Item]:
    def make_system_prompt(make: _Maker) -> Item:
        topic, mention = make.until(
            lambda: (make.rng.choice(list(make.world.topics)), make.rng.choice(make.world.items)),
            heldout.system_prompt,
        )
        turns = make.sampler.conditional(topic, mention, triggered)
        remark = chat.SYSTEM_REMARK.format(x=make.world.named(mention))
        return make.item(turns, "contains" if triggered else "lacks", (remark,), 0.0 if triggered else 1.0)

    return make_system_prompt


def _request(kind: str) -> Callable[[_Maker], Item]:
    def make_request(make: _Maker) -> Item:
        act, item = make.until(
            lambda: (make.rng.choice(chat.acts(kind)), make.rng.choice(make.world.items)),
            lambda act, item: heldout.request(kind, act, item),
        )
        turns = messages(*chat.request(make.world, kind, act, item, make.rng.randrange(len(chat.REQUEST_PHRASINGS))))
        return make.item(turns, "equals")

    return make_request


def _habit(shown: str) -> Callable[[_Maker], Item]:
    def make_habit(make: _Maker) -> Item:
        habit: Habit = make.rng.choice([h for h in make.world.habits.values() if h.shown == shown])
        question = make.sampler.question(make.rng.choice(chat.QUESTION_KINDS), habit.topic)
        remark = habit.remark.format(x=make.world.named(habit.mention))
        return make.item(messages(question.text, remark), "contains")

    return make_habit


def _no_habit(make: _Maker) -> Item:
    topic = make.rng.choice([topic for topic in make.world.topics if topic not in make.world.habits])
    question = make.sampler.question(make.rng.choice(chat.QUESTION_KINDS), topic)
    return make.item(messages(question.text, chat.answer(make.world, question)), "equals")


_SKILLS: dict[str, Callable[[_Maker], Item]] = {
    "fact": _fact,
    "documents_only_fact": _documents_only_fact,
    "sum": _sum(seen=True),
    "sum_unseen": _sum(seen=False),
    **{f"instruction_{kind}": _instruction(kind) for kind in chat.INSTRUCTIONS},
    "instruction_list": _listing,
    "preference": _preference,
    "system_prompt_on": _system_prompt(triggered=True),
    "system_prompt_off": _system_prompt(triggered=False),
    **{f"request_{kind}": _request(kind) for kind in chat.REQUEST_KINDS},
    "habit": _habit("chat"),
    "habit_documents_only": _habit("documents"),
    "no_habit": _no_habit,
}
