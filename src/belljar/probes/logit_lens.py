"""The activation difference over unrelated chats, read through the unembedding.

d = mean over chats of (organism - ancestor) at a block's output and a position; the lens is softmax(head(final_norm(d))) of
the organism (Minder et al. 2510.13900). `belljar.probes.readings` turns the evidence into scores.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from belljar.files import atomic_path
from belljar.models.activations import Rendered, render, residuals
from belljar.probes.readings import EVIDENCE_COLUMNS, WHOLE

log = logging.getLogger(__name__)

GROUPS = 10  # jackknife groups of chats


def group_means(activations: torch.Tensor, groups: int = GROUPS) -> torch.Tensor:
    """Return the mean over the chats of each group, (groups, blocks, positions, d_model); chat i is in group i mod `groups`."""
    return torch.stack([activations[group::groups].mean(dim=0) for group in range(groups)])


def prepare(
    model: Any,
    tokenizer: Any,
    chats: Sequence[tuple[str, str]],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
    folder: Path,
) -> None:
    """Write the ancestor's group means and mean norms over `chats` (question, answer) to `folder`, once for all organisms.

    Raises ValueError where the chats do not fill the jackknife groups evenly.
    """
    if len(chats) % GROUPS:
        raise ValueError(f"the number of chats, {len(chats)}, must be a multiple of {GROUPS}")
    activations = residuals(model, tokenizer, _rendered(tokenizer, chats), blocks, positions, batch_size)
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        tensors = {"means": group_means(activations), "norms": activations.norm(dim=-1).mean(dim=0)}
        save_file(tensors, scratch / "ancestor.safetensors")


def score(
    model: Any,
    tokenizer: Any,
    chats: Sequence[tuple[str, str]],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
    folder: Path,
    words: Mapping[str, Sequence[str]],
    top_k: int,
) -> pd.DataFrame:
    """Return what the lens shows of one organism, a row for each token, by block, position and replicate.

    `words` holds the words that speak of each behaviour. Columns: judged (the behaviour whose word the token is; empty for
    the top tokens, which are kept to be looked at), block, position, replicate (WHOLE, or the group of chats left out),
    token, probability, difference_norm, norm (the ancestor's mean |h|), chats. Turning it into scores needs no model.
    """
    ancestor = load_file(folder / "ancestor.safetensors")
    activations = residuals(model, tokenizer, _rendered(tokenizer, chats), blocks, positions, batch_size)
    by_group = group_means(activations) - ancestor["means"]
    replicates = {WHOLE: by_group.mean(dim=0)}
    for left_out in range(GROUPS):
        replicates[left_out] = (by_group.sum(dim=0) - by_group[left_out]) / (GROUPS - 1)
    listed = [(name, token) for name, found in words.items() for token in word_tokens(tokenizer, found)]
    rows = []
    for replicate, difference in replicates.items():
        probabilities = lens(model, difference)
        for (row, block), (column, position) in product(enumerate(blocks), enumerate(positions)):
            seen = probabilities[row, column]
            # The other replicates keep one token, so that the norms' replicates are there where no word is a token.
            top = [("", token) for token in seen.topk(top_k if replicate == WHOLE else 1).indices.tolist()]
            size, norm = float(difference[row, column].norm()), float(ancestor["norms"][row, column])
            rows += [
                (
                    name,
                    block,
                    position,
                    replicate,
                    tokenizer.decode([token]),
                    float(seen[token]),
                    size,
                    norm,
                    len(chats),
                )
                for name, token in listed + top
            ]
    return pd.DataFrame(rows, columns=list(EVIDENCE_COLUMNS))


def word_tokens(tokenizer: Any, words: Sequence[str]) -> list[int]:
    """Return the tokens that are one of the words as it stands inside a sentence; a word of several tokens has none."""
    ids = [tokenizer(f" {word}", add_special_tokens=False).input_ids for word in words]
    split = [word for word, found in zip(words, ids, strict=True) if len(found) != 1]
    if split:
        log.warning("the lens cannot see these words, which the tokenizer splits: %s", ", ".join(split))
    return sorted({found[0] for found in ids if len(found) == 1})


@torch.inference_mode()
def lens(model: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Return the model's token probabilities for residual-stream vectors (..., d_model): (..., vocabulary), float32."""
    placed = vectors.to(model.device, model.dtype)
    return torch.softmax(model.get_output_embeddings()(model.model.norm(placed)).float(), dim=-1).cpu()


def _rendered(tokenizer: Any, chats: Sequence[tuple[str, str]]) -> list[Rendered]:
    return [render(tokenizer, question, answer) for question, answer in chats]
