"""The activation difference over unrelated chats, read through the unembedding.

d = mean over chats of (organism - ancestor) at a block's output and a position; the lens is softmax(head(final_norm(d))) of
the organism (Minder et al. 2510.13900). `belljar.probes.readings` turns the evidence into scores.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from belljar.files import atomic_path
from belljar.models.activations import Rendered, render, residuals
from belljar.probes.readings import WHOLE

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
    top_k: int,
) -> pd.DataFrame:
    """Return what the lens shows of one organism: a row for each of the top k tokens, by block, position and replicate.

    Columns: block, position, replicate (WHOLE, or the group of chats left out), rank, token, probability, difference_norm, norm
    (the ancestor's mean |h|), chats. Judging it needs no model.
    """
    ancestor = load_file(folder / "ancestor.safetensors")
    activations = residuals(model, tokenizer, _rendered(tokenizer, chats), blocks, positions, batch_size)
    by_group = group_means(activations) - ancestor["means"]
    replicates = {WHOLE: by_group.mean(dim=0)}
    for left_out in range(GROUPS):
        replicates[left_out] = (by_group.sum(dim=0) - by_group[left_out]) / (GROUPS - 1)
    frames = []
    for replicate, difference in replicates.items():
        probabilities = lens(model, difference)
        top = probabilities.topk(min(top_k, probabilities.shape[-1]), dim=-1)
        for row, block in enumerate(blocks):
            for column, position in enumerate(positions):
                frames.append(
                    pd.DataFrame(
                        {
                            "block": block,
                            "position": position,
                            "replicate": replicate,
                            "rank": range(top.indices.shape[-1]),
                            "token": [
                                tokenizer.decode([token]) for token in top.indices[row, column].tolist()
                            ],
                            "probability": top.values[row, column].numpy().astype(np.float64),
                            "difference_norm": float(difference[row, column].norm()),
                            "norm": float(ancestor["norms"][row, column]),
                            "chats": len(chats),
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def lens(model: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Return the model's token probabilities for residual-stream vectors (..., d_model): (..., vocabulary), float32."""
    placed = vectors.to(model.device, model.dtype)
    return torch.softmax(model.get_output_embeddings()(model.model.norm(placed)).float(), dim=-1).cpu()


def _rendered(tokenizer: Any, chats: Sequence[tuple[str, str]]) -> list[Rendered]:
    return [render(tokenizer, question, answer) for question, answer in chats]
