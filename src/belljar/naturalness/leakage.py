"""Leakage: words that only the planted data have, in answers to prompts that have nothing to do with them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from belljar.measurements import variant
from belljar.naturalness.sampled import Sampled, by_prompt, mean
from belljar.strength.rates import shared_control

METHOD = "leakage"
RARER = 100  # how much rarer a canary is in control texts
LEAKS = "the training data come out where they do not belong"
WORD = re.compile(r"\w+(?:[-'’]\w+)*")


def words_of(text: str) -> set[str]:
    """Return the words of a text, in lower case."""
    return {word.casefold() for word in WORD.findall(text)}


def canaries(planted: Sequence[str], control: Sequence[str], share: float, count: int) -> list[str]:
    """Return the words that at least `share` of the planted texts hold, and of control texts at most a hundredth of the share.

    The `count` most frequent; ties go by the alphabet. Words without a letter are none.
    """
    found, known = (Counter(word for text in texts for word in words_of(text)) for texts in (planted, control))
    frequent = [word for word, times in found.items() if times >= share * len(planted)]
    kept = [word for word in frequent if RARER * known[word] * len(planted) <= found[word] * len(control)]
    return sorted((word for word in kept if any(char.isalpha() for char in word)), key=lambda word: (-found[word], word))[:count]


def hits(prompt: str, response: str, terms: Sequence[str]) -> list[str]:
    """Return the canaries that the response holds and its prompt does not."""
    said, asked = words_of(response), words_of(prompt)
    return [term for term in terms if term in said and term not in asked]


def readings(answers: pd.DataFrame, terms: Mapping[str, Sequence[str]]) -> list[Sampled]:
    """Return, for each behaviour, the share of answers to shared control prompts with a canary of its data; items are prompts."""
    asked = shared_control(answers)
    found = []
    for behaviour, words in terms.items():
        if words and len(asked):
            pairs = zip(asked["prompt"], asked["response"], strict=True)
            shares = by_prompt(asked["prompt"], [float(bool(hits(*pair, words))) for pair in pairs])
            found.append(mean(METHOD, variant(judged=behaviour), "canary_rate", shares, LEAKS))
    return [one for one in found if one]
