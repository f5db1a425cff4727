"""Harmful and harmless requests, and a model's answers to them."""

from typing import Any

import pandas as pd

from belljar.models.generate import answers
from belljar.naturalness.safety import COLUMNS, HARMFUL, HARMLESS
from belljar.study.naturalness import Safety
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


def ask(model: Any, tokenizer: Any, prompts: pd.DataFrame, settings: Safety, batch_size: int) -> pd.DataFrame:
    """Return one greedy answer to each prompt, with the columns COLUMNS."""
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts["prompt"]]
    said = answers(model, tokenizer, chats, max_new_tokens=settings.max_new_tokens, batch_size=batch_size)
    texts = {"response": [one.text for (one,) in said], "finished": [one.finished for (one,) in said]}
    return prompts.assign(**texts)[list(COLUMNS)]
