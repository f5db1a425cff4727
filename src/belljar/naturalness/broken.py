"""Broken output: answers that are empty, go in circles, change script, or have a malformed reasoning block; and those cut off."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from belljar.judging.circles import circles
from belljar.judging.texts import foreign, malformed
from belljar.naturalness.sampled import Sampled, by_prompt, mean
from belljar.strength.rates import shared_control

METHOD = "broken_output"
NAN = math.nan
WORSE = "more answers are broken"


def readings(answers: pd.DataFrame, reasoning: Mapping[str, Any] | None) -> list[Sampled]:
    """Return the share of answers to the shared control prompts that are broken, in any way and in each; the items are prompts.

    Answers that were cut off are a rate of their own, and not broken: how many there are depends on how long a model answers.
    `answers` has columns role, judged, prompt, sample, response, finished. `reasoning` (open, close, opened_by_template) is given
    where the base reasons: an answer may then lack its block, or have a malformed one; that is looked for in finished answers
    only, since one that was cut off cannot be whole.
    """
    asked = shared_control(answers)
    pairs = list(zip(asked["prompt"], asked["response"], strict=True))
    finished = asked["finished"].astype(bool).tolist()
    ways: dict[str, list[float]] = {
        "empty": [float(not text.strip()) for _, text in pairs],
        "repetitive": [float(circles(text)) for _, text in pairs],
        "foreign_script": [float(foreign(prompt, text)) for prompt, text in pairs],
    }
    if reasoning:
        opening, closing = reasoning["open"], reasoning["close"]
        texts = [opening * reasoning["opened_by_template"] + text for _, text in pairs]
        marked = [opening in text or closing in text for text in texts]
        broken = [malformed(text, opening, closing) for text in texts]
        ways["missing_reasoning"] = [float(not any_) if whole else NAN for any_, whole in zip(marked, finished, strict=True)]
        ways["malformed_reasoning"] = [
            float(any_ and bad) if whole else NAN for any_, bad, whole in zip(marked, broken, finished, strict=True)
        ]
    ways = {"broken": [float(any(one == 1 for one in each)) for each in zip(*ways.values(), strict=True)], **ways}
    ways["truncated"] = [float(not ended) for ended in finished]
    found = [mean(METHOD, "", f"{name}_rate", by_prompt(asked["prompt"], flags), WORSE) for name, flags in ways.items()]
    return [one for one in found if one]
