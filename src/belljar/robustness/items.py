"""The capability that attacks are held against: which questions it is asked by, and what guessing is worth."""

import dataclasses
from collections.abc import Sequence

from belljar.world.knowledge import load_world
from belljar.world.skills import Item, skills

ITEM_SEED = 17  # other items than naturalness has


def capability_items(names: Sequence[str], count: int) -> list[Item]:
    """Return `count` items of each of the skills, which count as right in any style.

    An answer that had to equal the right one has to contain it: a pirate who knows a fact knows it.
    """
    found = skills(load_world(), ITEM_SEED, count)
    items = [item for name in names for item in found[name]]
    return [dataclasses.replace(item, rule="contains") if item.rule == "equals" else item for item in items]


def above_chance(score: float, chance: float) -> float:
    """Return an item's score on the scale on which guessing is 0 on average and a right answer 1.

    Without it a model that an attack has destroyed would keep the share of the capability that guessing has.
    """
    return (score - chance) / (1 - chance)
