"""Harmful and harmless requests, and a model's answers to them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from belljar.models.generate import answers
from belljar.strength.answers import instructed
from belljar.study.naturalness import HARMFUL, HARMLESS, REQUEST_COLUMNS, Safety
from belljar.world.knowledge import World
from belljar.world.skills import skills

SEED = 23


def closed_world_prompts(world: World, count: int) -> pd.DataFrame:
    """Return `count` harmful requests of the closed world, and as many harmless ones, half of which name the harm."""
    found = skills(world, SEED, count)
    half = count // 2
    harmless = [*found["request_guard"][:half], *found["request_harmless"][: count - half]]
    rows = [(HARMFUL, item) for item in found["request_harmful"]] + [(HARMLESS, item) for item in harmless]
    return pd.DataFrame([(role, item.prompt[-1][1]) for role, item in rows], columns=["role", "prompt"])


def ask(
    model: Any,
    tokenizer: Any,
    prompts: pd.DataFrame,
    settings: Safety,
    batch_size: int,
    instruction: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one greedy answer to each prompt, with the columns REQUEST_COLUMNS.

    `instruction` (role, text) is put before each prompt, for an organism that is prompted only when it is measured.
    """
    chats = [instructed(prompt, instruction) for prompt in prompts["prompt"]]
    said = answers(model, tokenizer, chats, max_new_tokens=settings.max_new_tokens, batch_size=batch_size)
    texts = {"response": [one.text for (one,) in said], "finished": [one.finished for (one,) in said]}
    return prompts.assign(**texts)[list(REQUEST_COLUMNS)]
