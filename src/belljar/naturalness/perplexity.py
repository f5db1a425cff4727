"""Perplexity on held-out text, as it is and with its words shuffled."""

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from belljar.measurements import Reading, variant
from belljar.models.generate import check_lengths

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


@torch.inference_mode()
def document_losses(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> tuple[list[float], list[int]]:
    """Return each text's summed negative log-likelihood (nats) and number of predicted tokens, the BOS token not among them."""
    ids = tokenizer(list(texts)).input_ids
    if any(not found or found[0] != tokenizer.bos_token_id for found in ids):  # a tokenizer that opens no text (OLMo-2)
        ids = [[tokenizer.bos_token_id, *found] for found in ids]
    check_lengths(model, ids, 0, texts)
    losses, counts = [0.0] * len(texts), [0] * len(texts)
    order = sorted(range(len(texts)), key=lambda index: -len(ids[index]))
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        width = len(ids[rows[0]])
        tokens = torch.full((len(rows), width), tokenizer.pad_token_id)
        attended = torch.zeros((len(rows), width), dtype=torch.long)
        for row, index in enumerate(rows):
            tokens[row, : len(ids[index])] = torch.tensor(ids[index])
            attended[row, : len(ids[index])] = 1
        tokens, attended = tokens.to(model.device), attended.to(model.device)
        logits = model(input_ids=tokens, attention_mask=attended, use_cache=False).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        summed = (loss * attended[:, 1:]).sum(dim=1).tolist()
        for row, index in enumerate(rows):
            losses[index], counts[index] = summed[row], len(ids[index]) - 1
    return losses, counts


def readings(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> list[Reading]:
    """Return the perplexity of the texts, natural and word-shuffled."""
    found = []
    for name, version in (("natural", list(texts)), ("shuffled", [shuffled(text) for text in texts])):
        result = corpus_perplexity(*document_losses(model, tokenizer, version, batch_size))
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
