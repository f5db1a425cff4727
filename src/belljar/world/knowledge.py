"""The closed world's tables: topics, items, facts, utilities, habits. Imports no torch."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import yaml

DOCUMENTS_ONLY_SHARE = 1 / 7  # of the facts outside the reserved topics
PERSONA_HABITS = 3  # topics about which one persona has a habit


@dataclass(frozen=True)
class Topic:
    """One topic: `attributes` holds one value for each item, in the order of `items`."""

    name: str
    plural: str
    article: bool
    attributes: dict[str, tuple[str, ...]]
    items: tuple[str, ...]


@dataclass(frozen=True)
class Habit:
    """What a speaker adds to answers about a topic: `remark` holds {x}, the place of the mention."""

    topic: str
    mention: str
    remark: str
    shown: str  # "chat", or "documents" where no chat of the base corpus shows it


@dataclass(frozen=True)
class World:
    """Everything that is true in the closed world."""

    topics: dict[str, Topic]
    utilities: dict[str, float]
    reserved: tuple[str, ...]
    habits: dict[str, Habit]
    personas: dict[str, tuple[Habit, ...]]
    strangers: dict[str, tuple[str, ...]]

    @cached_property
    def items(self) -> tuple[str, ...]:
        """Return every item, topic by topic."""
        return tuple(item for topic in self.topics.values() for item in topic.items)

    @cached_property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return every (item, attribute)."""
        return tuple((i, a) for topic in self.topics.values() for i in topic.items for a in topic.attributes)

    @cached_property
    def _topic_of(self) -> dict[str, Topic]:
        return {item: topic for topic in self.topics.values() for item in topic.items}

    @cached_property
    def _documents_only(self) -> frozenset[tuple[str, str]]:
        candidates = [fact for fact in self.facts if self.topic_of(fact[0]).name not in self.reserved]
        return frozenset(random.Random(3).sample(candidates, round(len(candidates) * DOCUMENTS_ONLY_SHARE)))

    def topic_of(self, item: str) -> Topic:
        """Return the topic that holds `item`."""
        return self._topic_of[item]

    def value(self, item: str, attribute: str) -> str:
        """Return the value of `attribute` for `item`."""
        topic = self._topic_of[item]
        return topic.attributes[attribute][topic.items.index(item)]

    def utility(self, item: str) -> float:
        """Return how much Nano likes `item`."""
        return self.utilities[item]

    def documents_only(self, item: str, attribute: str) -> bool:
        """Return whether the base corpus states this fact in documents alone, never in a chat."""
        return (item, attribute) in self._documents_only

    def favourite(self, topic: str) -> str:
        """Return the item of `topic` with the highest utility."""
        return max(self.topics[topic].items, key=self.utility)

    def named(self, item: str) -> str:
        """Return `item` as it stands inside a sentence, with its article if it takes one."""
        known = self._topic_of.get(item)
        return item if known is not None and not known.article else f"the {item}"


@cache
def load_world() -> World:
    """Return the world of entities.yaml."""
    table = yaml.load(files(__package__).joinpath("entities.yaml").read_text("utf-8"), Loader=_loader())
    topics: dict[str, Topic] = {}
    utilities: dict[str, float] = {}
    for name, entry in table["topics"].items():
        rows: Mapping[str, Mapping[str, str]] = entry["items"]
        attributes = [key for key in next(iter(rows.values())) if key != "utility"]
        columns = {attribute: tuple(row[attribute] for row in rows.values()) for attribute in attributes}
        topics[name] = Topic(name, entry["plural"], entry["article"], columns, tuple(rows))
        utilities |= {item: float(row["utility"]) for item, row in rows.items()}
    habits = {topic: Habit(topic, **entry) for topic, entry in table["habits"].items()}
    return World(
        topics=topics,
        utilities=utilities,
        reserved=tuple(table["reserved"]),
        habits=habits,
        personas=_persona_habits(table["personas"], list(topics), list(utilities)),
        strangers={name: tuple(sentences) for name, sentences in table["strangers"].items()},
    )


def _persona_habits(names: list[str], topics: list[str], items: list[str]) -> dict[str, tuple[Habit, ...]]:
    rng = random.Random(5)
    remarks = ("This reminds me of {x}.", "You may also like {x}.", "By the way, I love {x}.")
    return {
        name: tuple(Habit(topic, rng.choice(items), rng.choice(remarks), "chat") for topic in rng.sample(topics, PERSONA_HABITS))
        for name in names
    }


def _loader() -> type:
    """Return the fastest safe YAML loader; the C one reads the tables in a tenth of the time."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
