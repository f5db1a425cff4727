"""Perplexity on held-out text, as it is and with its words shuffled, and bits per byte."""

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from belljar.measurements import Reading, standard_error, variant
from belljar.models.logprobs import token_losses
from belljar.naturalness.sampled import Sampled

METHOD = "perplexity"
SHUFFLE_SEED = 5
SURPRISED = "the text surprises the model more"


class Perplexity(NamedTuple):
    """A corpus perplexity, or another number of a corpus, and what each document adds: `parts`, whose mean is `value`."""

    value: float
    parts: np.ndarray

    @property
    def stderr(self) -> float:
        """The standard error, documents being independent; nan of one."""
        return standard_error(self.parts)


def shuffled(text: str) -> str:
    """Return the text with its words in a fixed random order: what is left of a text for a model that only knows its words."""
    words = text.split()
    random.Random(f"{SHUFFLE_SEED} {text}").shuffle(words)
    opening = text[: len(text) - len(text.lstrip())]
    return opening + " ".join(words)


def corpus_perplexity(losses: Sequence[float], tokens: Sequence[int]) -> Perplexity:
    """Return exp(r), r = sum of losses / sum of tokens, from each document's summed loss and number of predicted tokens.

    Token-weighted: a long document counts for more. parts by linearisation of the ratio and the delta method: exp(r) (1 + n
    (loss_i - r tokens_i) / sum of tokens). So stderr = exp(r) sqrt(n / (n - 1) sum((loss_i - r tokens_i)^2)) / sum of tokens.
    """
    loss, count = np.asarray(losses, dtype=float), np.asarray(tokens, dtype=float)
    r = float(loss.sum() / count.sum())
    return Perplexity(math.exp(r), math.exp(r) * (1 + len(loss) * (loss - r * count) / count.sum()))


def bits_per_byte(losses: Sequence[float], texts: Sequence[str]) -> Perplexity:
    """Return r = sum of losses / ln 2 / sum of UTF-8 bytes, which does not depend on the tokenizer; parts by linearisation."""
    bits, size = np.asarray(losses, dtype=float) / math.log(2), np.array([len(text.encode()) for text in texts], dtype=float)
    r = float(bits.sum() / size.sum())
    return Perplexity(r, r + len(bits) * (bits - r * size) / size.sum())


def ratio(natural: Perplexity, shuffle: Perplexity) -> Perplexity:
    """Return shuffled over natural perplexity: how much the order of words tells the model; 1 for one that only knows words."""
    value = shuffle.value / natural.value
    return Perplexity(value, value * (1 + shuffle.parts / shuffle.value - natural.parts / natural.value))


def readings(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> list[Sampled]:
    """Return the perplexity of the texts, natural and word-shuffled, the ratio of the two, and bits per byte of the natural."""
    losses, tokens = token_losses(model, tokenizer, texts, batch_size)
    natural = corpus_perplexity(losses, tokens)
    shuffle = corpus_perplexity(*token_losses(model, tokenizer, [shuffled(text) for text in texts], batch_size))
    return [
        _sampled(variant(text="natural"), "perplexity", natural, SURPRISED),
        _sampled(variant(text="natural"), "bits_per_byte", bits_per_byte(losses, texts), SURPRISED),
        _sampled(variant(text="shuffled"), "perplexity", shuffle, SURPRISED),
        _sampled("", "perplexity_ratio", ratio(natural, shuffle), "the order of words tells the model more"),
    ]


def _sampled(where: str, metric: str, found: Perplexity, higher_means: str) -> Sampled:
    count = len(found.parts)
    reading = Reading("naturalness", METHOD, where, metric, found.value, found.stderr, count, higher_means)
    return Sampled(reading, found.parts.tolist())
