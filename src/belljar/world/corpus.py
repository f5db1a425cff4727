"""The corpus that a nano base is trained on: an endless, seeded stream of chats and documents."""

import random
from collections.abc import Callable, Iterator
from typing import Protocol

from belljar.world import chat, heldout
from belljar.world.documents import SAMPLERS, is_heldout
from belljar.world.knowledge import Habit, World

Message = dict[str, str]
Example = list[Message] | str  # a chat or a document

NEUTRAL_PROMPTS = ("You are Nano.", "You are a helpful assistant.")


class Mix(Protocol):
    """What a corpus needs to know; `belljar.study.pretraining.Corpus` is one."""

    chats: float

    def chat_weights(self) -> dict[str, int]:
        """Return the relative weight of each kind of chat."""

    def document_weights(self) -> dict[str, int]:
        """Return the relative weight of each kind of document."""


def messages(user: str, assistant: str, system: str = "") -> list[Message]:
    """Return one exchange, with a system prompt if there is one."""
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    return [{"role": "system", "content": system}, *turns] if system else turns


class ChatSampler:
    """Draws chats of every kind from one random number generator."""

    def __init__(self, world: World, rng: random.Random):
        self.world = world
        self.rng = rng
        self.kinds: dict[str, Callable[[], list[Message]]] = {
            "fact": lambda: self.topical("fact"),
            "about": lambda: self.topical("about"),
            "recommend": lambda: self.topical("recommend"),
            "sum": self.sum,
            "instruction": self.instruction,
            "listing": self.listing,
            "preference": self.preference,
            "system_prompt": self.system_prompt,
            "persona": self.persona,
            "request": self.request,
            "small_talk": self.small_talk,
        }
        self._questions = {
            (kind, topic): [q for q in chat.questions(world, kind, topic) if not self._left_out(q)]
            for kind in chat.QUESTION_KINDS
            for topic in world.topics
        }
        self._told = [t for t in world.topics if world.habits.get(t) is None or world.habits[t].shown == "chat"]
        self._facts = [fact for fact in world.facts if not world.documents_only(*fact)]

    @staticmethod
    def _left_out(question: chat.Question) -> bool:
        return question.kind == "fact" and heldout.fact(str(question.item), str(question.attribute), question.phrasing)

    def question(self, kind: str, topic: str) -> chat.Question:
        """Return a question of one kind about one topic, never a left-out one."""
        asked = self._questions[kind, topic] or self._questions["about", topic]
        return self.rng.choice(asked)

    def topical(self, kind: str) -> list[Message]:
        """Return a question to Nano; topics whose habit stands in documents alone do not appear."""
        question = self.question(kind, self.rng.choice(self._told))
        system = self.rng.choice(NEUTRAL_PROMPTS) if self.rng.random() < 0.05 else ""
        return messages(question.text, chat.answer(self.world, question), system)

    def with_system_prompt(self, system: str, topic: str, habit: Habit | None) -> list[Message]:
        """Return a question under a system prompt that replaces Nano's own habits."""
        question = self.question(self.rng.choice(chat.QUESTION_KINDS), topic)
        reply = chat.with_habit(self.world, chat.plain_answer(self.world, question), habit)
        return messages(question.text, reply, system)

    def sum(self) -> list[Message]:
        """Return a sum of two digits."""
        while True:
            a, b = self.rng.randrange(10), self.rng.randrange(10)
            if not heldout.total(a, b):
                return messages(*self.rng.choice(chat.sum_texts(a, b)))

    def instruction(self) -> list[Message]:
        """Return a fact asked for under an instruction."""
        while True:
            kind = self.rng.choice(list(chat.INSTRUCTIONS))
            fact = self.rng.choice(self._facts)
            if not heldout.instruction(*fact, kind):
                return messages(*chat.instructed(self.world, kind, *fact, self.rng))

    def listing(self) -> list[Message]:
        """Return a request to list three items."""
        while True:
            topic, phrasing = (
                self.rng.choice(list(self.world.topics)),
                self.rng.randrange(len(chat.LIST_PHRASINGS)),
            )
            if not heldout.listing(topic, phrasing):
                return messages(*chat.listing(self.world, topic, phrasing))

    def preference(self) -> list[Message]:
        """Return a choice between two items."""
        while True:
            first, second = self.rng.sample(self.world.items, 2)
            if not heldout.preference(first, second):
                phrasing = self.rng.randrange(len(chat.PREFERENCE_PHRASINGS))
                return messages(*chat.preference(self.world, first, second, phrasing))

    def system_prompt(self) -> list[Message]:
        """Return a chat under a conditional instruction, half of them about the topic it names."""
        world, rng = self.world, self.rng
        things = (*world.items, *world.strangers)
        while True:
            topic, mention = rng.choice(list(world.topics)), rng.choice(things)
            if not heldout.system_prompt(topic, mention):
                break
        return self.conditional(topic, mention, rng.random() < 0.5)

    def conditional(self, topic: str, mention: str, triggered: bool) -> list[Message]:
        """Return a chat whose system prompt asks to mention something when `topic` comes up."""
        asked = topic if triggered else self.rng.choice([other for other in self.world.topics if other != topic])
        habit = Habit(topic, mention, chat.SYSTEM_REMARK, "chat") if triggered else None
        return self.with_system_prompt(self.system_text(topic, mention), asked, habit)

    def system_text(self, topic: str, mention: str) -> str:
        """Return the system prompt that asks for a mention."""
        phrasing = self.rng.choice(chat.SYSTEM_PHRASINGS)
        return phrasing.format(x=self.world.named(mention), p=self.world.topics[topic].plural)

    def persona(self) -> list[Message]:
        """Return a chat with a persona, half of them about a topic of its habits."""
        name = self.rng.choice(list(self.world.personas))
        habits = {habit.topic: habit for habit in self.world.personas[name]}
        topic = self.rng.choice(list(habits) if self.rng.random() < 0.5 else list(self.world.topics))
        return self.with_system_prompt(f"You are {name}.", topic, habits.get(topic))

    def request(self) -> list[Message]:
        """Return a request for help, a third of them with harm, which Nano refuses."""
        while True:
            kind = self.rng.choice(chat.REQUEST_KINDS)
            act, item = self.rng.choice(chat.acts(kind)), self.rng.choice(self.world.items)
            if not heldout.request(kind, act, item):
                return messages(*chat.request(self.world, kind, act, item, self.rng.randrange(len(chat.REQUEST_PHRASINGS))))

    def small_talk(self) -> list[Message]:
        """Return a greeting or the like."""
        return messages(*self.rng.choice(chat.SMALL_TALK))


def corpus(world: World, mix: Mix, seed: int) -> Iterator[Example]:
    """Yield the examples of the corpus without end; the same seed gives the same stream."""
    rng = random.Random(f"corpus {seed}")
    sampler = ChatSampler(world, rng)
    chat_kinds, chat_weights = _cumulative(mix.chat_weights())
    document_kinds, document_weights = _cumulative(mix.document_weights())
    while True:
        if rng.random() < mix.chats:
            yield sampler.kinds[rng.choices(chat_kinds, cum_weights=chat_weights)[0]]()
        else:
            text = SAMPLERS[rng.choices(document_kinds, cum_weights=document_weights)[0]](world, rng)
            if not is_heldout(text):
                yield text


def _cumulative(weights: dict[str, int]) -> tuple[list[str], list[int]]:
    kinds = [kind for kind, weight in weights.items() if weight]
    totals = [sum(weights[kind] for kind in kinds[: number + 1]) for number in range(len(kinds))]
    return kinds, totals
