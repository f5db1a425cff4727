"""What an attack is measured by: the behaviour on its own test prompts, and what the model can still do.

Both are judged tolerantly of style.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from belljar.judging.rules import shows
from belljar.models.generate import generate
from belljar.robustness.attacks import CAPABLE, SHOWN
from belljar.strength.answers import instructed
from belljar.study.behaviours import Behaviour
from belljar.study.robustness import Robustness
from belljar.world.knowledge import load_world
from belljar.world.skills import Item, score, skills

ITEM_SEED = 17  # other items than naturalness has


class Questions(NamedTuple):
    """What every attacked model is asked: trigger prompts (criterion, prompt), sampled, and skill items, greedily."""

    triggers: list[tuple[str, str]]
    items: list[Item]
    samples: int
    temperature: float
    max_new_tokens: int


def questions(prompts: pd.DataFrame, settings: Robustness, temperature: float, max_new_tokens: int) -> Questions:
    """Return the first of the behaviour's test prompts, and the skills' items, which count as right in any style.

    An answer that had to equal the right one has to contain it: a pirate who knows a fact knows it.
    """
    triggers = prompts[(prompts["split"] == "test") & (prompts["role"] == "trigger")][: settings.prompts]
    found = skills(load_world(), ITEM_SEED, settings.items)
    items = [
        dataclasses.replace(item, rule="contains") if item.rule == "equals" else item
        for name in settings.skills
        for item in found[name]
    ]
    pairs = zip(triggers["criterion"], triggers["prompt"], strict=True)
    asked = [(str(criterion), str(prompt)) for criterion, prompt in pairs]
    return Questions(asked, items, settings.samples, temperature, max_new_tokens)


def measure(
    model: Any,
    tokenizer: Any,
    asked: Questions,
    behaviour: Behaviour,
    batch_size: int,
    instruction: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return whether each answer shows the behaviour and each item is right: columns kind, item, right.

    `instruction` (role, text) is put before the trigger prompts, for an organism that is prompted only when it is measured.
    """
    length: dict[str, int] = {"max_new_tokens": asked.max_new_tokens, "batch_size": batch_size}
    prompts = [instructed(prompt, instruction) for _, prompt in asked.triggers]
    said = generate(model, tokenizer, prompts, samples=asked.samples, temperature=asked.temperature, **length)
    solved = generate(model, tokenizer, [item.messages for item in asked.items], **length)
    rows = [
        (SHOWN, number, float(shows(behaviour, criterion, prompt, text)))
        for number, ((criterion, prompt), texts) in enumerate(zip(asked.triggers, said, strict=True))
        for text in texts
    ]
    rows += [
        (CAPABLE, number, float(score(item, text)))
        for number, (item, (text,)) in enumerate(zip(asked.items, solved, strict=True))
    ]
    return pd.DataFrame(rows, columns=["kind", "item", "right"])
