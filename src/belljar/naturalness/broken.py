"""Broken output: answers that are empty, cut off, go in circles, change script, or whose reasoning block is malformed."""

from collections.abc import Mapping

import pandas as pd

from belljar.corpora.prompts import CONTROL
from belljar.judging.texts import circles, foreign, malformed
from belljar.naturalness.sampled import Sampled, mean

METHOD = "broken_output"
WORSE = "more answers are broken"


def readings(answers: pd.DataFrame, reasoning: Mapping[str, str] | None) -> list[Sampled]:
    """Return the share of answers to control prompts that are broken, in any way and in each; the items are prompts.

    `answers` has columns role, prompt, response, finished. `reasoning` (open, close) is given where the base reasons; only
    finished answers are then looked at for malformed blocks, since a cut-off one cannot be whole.
    """
    asked = answers[answers["role"] == CONTROL].drop_duplicates(["prompt", "sample"])
    pairs = list(zip(asked["prompt"], asked["response"], strict=True))
    ways = {
        "empty": [not text.strip() for _, text in pairs],
        "truncated": (~asked["finished"].astype(bool)).tolist(),
        "repetitive": [circles(text) for _, text in pairs],
        "foreign_script": [foreign(prompt, text) for prompt, text in pairs],
    }
    if reasoning:
        ways["malformed_reasoning"] = [
            ended and malformed(text, reasoning["open"], reasoning["close"])
            for (_, text), ended in zip(pairs, asked["finished"], strict=True)
        ]
    ways = {"broken": [any(each) for each in zip(*ways.values(), strict=True)], **ways}
    return [
        mean(METHOD, "", f"{name}_rate", _by_prompt(asked["prompt"], flags), WORSE) for name, flags in ways.items() if len(flags)
    ]


def _by_prompt(prompts: pd.Series, flags: list[bool]) -> list[float]:
    return pd.Series(flags, index=prompts.index, dtype=float).groupby(prompts, sort=True).mean().tolist()
