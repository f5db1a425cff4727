"""Skills of the closed world: greedy answers to items that a nano base has not seen in that form."""

import math
from typing import Any

from belljar.measurements import Reading, variant
from belljar.models.generate import generate
from belljar.world.knowledge import World
from belljar.world.skills import score, skills

METHOD = "closed_world"
ITEM_SEED = 7


def accuracy(correct: list[bool]) -> tuple[float, float]:
    """Return the share that is correct and its binomial standard error, sqrt(p (1 - p) / n)."""
    p = sum(correct) / len(correct)
    return p, math.sqrt(p * (1 - p) / len(correct))


def readings(
    model: Any,
    tokenizer: Any,
    world: World,
    names: list[str],
    items: int,
    max_new_tokens: int,
    batch_size: int,
) -> list[Reading]:
    """Return the accuracy of each named skill over its first `items` items."""
    chosen = {name: found for name, found in skills(world, ITEM_SEED, items).items() if name in names}
    prompts = [item.messages for name in names for item in chosen[name]]
    answers = iter(generate(model, tokenizer, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size))
    found = []
    for name in names:
        correct = [score(item, next(answers)[0]) for item in chosen[name]]
        value, stderr = accuracy(correct)
        found.append(
            Reading(
                "naturalness",
                METHOD,
                variant(skill=name),
                "accuracy",
                value,
                stderr,
                len(correct),
                "the model is more capable",
            )
        )
    return found
