"""What an attack is measured by: the behaviour on its own test prompts, and what the model can still do.

The behaviour and the closed world's skills are judged tolerantly of style; benchmarks as their own metric has it. Answers to
trigger prompts are judged later, so a changed judge trains nothing anew.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from belljar.files import InputError
from belljar.measurements import parse_variant
from belljar.models.generate import generate
from belljar.naturalness.benchmarks import Asker, headline
from belljar.naturalness.sampled import Sampled
from belljar.robustness.evidence import CAPABLE, MEASURED, SHOWN
from belljar.robustness.items import above_chance, capability_items
from belljar.strength.answers import instructed
from belljar.study.naturalness import Benchmark
from belljar.study.robustness import Robustness
from belljar.world.skills import Item, score


class Questions(NamedTuple):
    """What an attacked model is asked: trigger prompts (criterion, prompt), sampled; and skill items, greedily, or benchmarks."""

    triggers: list[tuple[str, str]]
    items: list[Item]
    benchmarks: list[Benchmark]
    samples: int
    temperature: float
    max_new_tokens: int


def questions(prompts: pd.DataFrame, settings: Robustness, temperature: float, max_new_tokens: int) -> Questions:
    """Return the first of the behaviour's test prompts, and what the capability is asked by."""
    triggers = prompts[(prompts["split"] == "test") & (prompts["role"] == "trigger")][: settings.prompts]
    pairs = zip(triggers["criterion"], triggers["prompt"], strict=True)
    asked = [(str(criterion), str(prompt)) for criterion, prompt in pairs]
    return Questions(
        asked,
        capability_items(settings.tested_skills, settings.items),
        settings.benchmarks,
        settings.samples,
        temperature,
        max_new_tokens,
    )


def measure(
    model: Any,
    tokenizer: Any,
    asked: Questions,
    batch_size: int,
    instruction: Mapping[str, str] | None = None,
    benchmark: Asker | None = None,
) -> pd.DataFrame:
    """Return answers to trigger prompts and each item's score above chance: columns MEASURED, empty or nan where one has none.

    `instruction` (role, text) is put before the trigger prompts, for an organism that is prompted only when it is measured.
    `benchmark` asks a model one benchmark. Raises InputError where its score is no mean over items, which has no halves (a
    group's may be weighted).
    """
    length: dict[str, int] = {"max_new_tokens": asked.max_new_tokens, "batch_size": batch_size}
    prompts = [instructed(prompt, instruction) for _, prompt in asked.triggers]
    said = generate(model, tokenizer, prompts, samples=asked.samples, temperature=asked.temperature, **length)
    solved = generate(model, tokenizer, [item.messages for item in asked.items], **length)
    able = [
        (item.prompt[-1][1], above_chance(score(item, text), item.chance))
        for item, (text,) in zip(asked.items, solved, strict=True)
    ]
    if benchmark is not None:
        for one in asked.benchmarks:
            able += _parts(one, benchmark(model, tokenizer, one))
    rows = [
        (SHOWN, number, criterion, prompt, text, math.nan)
        for number, ((criterion, prompt), texts) in enumerate(zip(asked.triggers, said, strict=True))
        for text in texts
    ]
    rows += [(CAPABLE, number, "", prompt, "", right) for number, (prompt, right) in enumerate(able)]
    return pd.DataFrame(rows, columns=list(MEASURED))


def _parts(asked: Benchmark, found: Sequence[Sampled]) -> list[tuple[str, float]]:
    """Return which benchmark and data each item is of, and its score above chance."""
    shown = headline(asked, found)
    if not shown.parts:
        raise InputError(
            f"robustness.benchmarks: {asked.metric!r} of {asked.task!r} is no mean over items, so it cannot be halved; name "
            "another metric."
        )
    data = f"{asked.task} {parse_variant(shown.reading.variant)['data']}"
    return [(data, above_chance(part, asked.chance)) for part in shown.parts]
