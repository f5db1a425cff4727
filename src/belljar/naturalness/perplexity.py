"""Perplexity on held-out text, as it is and with its words shuffled."""

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from belljar.measurements import Reading, variant
from belljar.models.logprobs import token_losses

METHOD = "perplexity"
SHUFFLE_SEED = 5


class Perplexity(NamedTuple):
    """A corpus perplexity."""

    value: float
    stderr: float
    documents: int


def shuffled(text: str) -> str:
    """Return the text with its words in a fixed random order: what is left of a text for a model that only knows its words."""
    words = text.split()
    random.Random(f"{SHUFFLE_SEED} {text}").shuffle(words)
    opening = text[: len(text) - len(text.lstrip())]
    return opening + " ".join(words)


def corpus_perplexity(losses: Sequence[float], tokens: Sequence[int]) -> Perplexity:
    """Return exp(sum of losses / sum of tokens) from each document's summed loss and number of predicted tokens.

    Token-weighted: a long document counts for more. stderr by the delta method on the ratio estimator, documents being
    independent: se(r) = sqrt(n / (n - 1) * sum((loss_i - r tokens_i)^2)) / sum(tokens), times exp(r).
    """
    n, total = len(losses), sum(tokens)
    r = sum(losses) / total
    spread = sum((loss - r * count) ** 2 for loss, count in zip(losses, tokens, strict=True))
    stderr = math.exp(r) * math.sqrt(n / (n - 1) * spread) / total if n > 1 else math.nan
    return Perplexity(math.exp(r), stderr, n)


def readings(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> list[Reading]:
    """Return the perplexity of the texts, natural and word-shuffled."""
    found = []
    for name, version in (("natural", list(texts)), ("shuffled", [shuffled(text) for text in texts])):
        result = corpus_perplexity(*token_losses(model, tokenizer, version, batch_size))
        found.append(
            Reading(
                "naturalness",
                METHOD,
                variant(text=name),
                "perplexity",
                result.value,
                result.stderr,
                result.documents,
                "the text surprises the model more",
            )
        )
    return found
