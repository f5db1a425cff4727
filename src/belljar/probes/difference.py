"""The activation difference over unrelated chats: what training changed, before any method reads it.

d = mean over chats of (organism - reference) at a block's output and a position (Minder et al. 2510.13900, section 2). A model's
side of it is computed once and kept, so that a model can be compared with any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from belljar.models.activations import at_positions
from belljar.models.chats import render
from belljar.probes.readings import WHOLE

GROUPS = 10  # jackknife groups of chats
LONGEST = 128  # answer tokens that are read, as in the paper

Side = Mapping[str, torch.Tensor]


def read_side(
    model: Any,
    tokenizer: Any,
    chats: Sequence[tuple[str, str]],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
) -> dict[str, torch.Tensor]:
    """Return one model's side: "means" (groups, blocks, positions, d_model) and "norms" (blocks, positions), the mean |h|.

    Chat i is in group i mod GROUPS; a chat without a position is left out there. Raises ValueError where the chats do not fill
    the groups evenly, or where a group has no chat with a position.
    """
    if not chats or len(chats) % GROUPS:
        raise ValueError(f"the number of chats, {len(chats)}, must be a multiple of {GROUPS}")
    rendered = [render(tokenizer, question, answer, LONGEST) for question, answer in chats]
    shape = (GROUPS, len(blocks), len(positions))
    sums = torch.zeros(*shape, model.config.hidden_size, dtype=torch.float64, device=model.device)
    norms = torch.zeros(shape[1:], dtype=torch.float64, device=model.device)
    counts = torch.zeros(shape, dtype=torch.float64, device=model.device)
    for rows, read in at_positions(model, tokenizer, rendered, blocks, positions, batch_size):
        group = torch.tensor(rows, device=model.device) % GROUPS
        sums.index_add_(0, group, read.nan_to_num().double())
        counts.index_add_(0, group, (~read[..., 0].isnan()).double())
        norms += read.norm(dim=-1).nan_to_num().double().sum(dim=0)
    if (counts == 0).any():
        missing = positions[int((counts == 0).nonzero()[0][2])]
        raise ValueError(f"too few of the {len(chats)} chats are long enough for the position {missing!r}")
    means, mean_norms = sums / counts.unsqueeze(-1), norms / counts.sum(dim=0)
    return {"means": means.float().cpu(), "norms": mean_norms.float().cpu()}


def difference(own: Side, reference: Side) -> dict[int, torch.Tensor]:
    """Return d = own - reference, (blocks, positions, d_model), of all chats (WHOLE) and of all but each group."""
    return replicates(own["means"] - reference["means"])


def replicates(groups: torch.Tensor) -> dict[int, torch.Tensor]:
    """Return the mean over groups (WHOLE), and the mean over all groups but each."""
    found = {WHOLE: groups.mean(dim=0)}
    for left_out in range(len(groups)):
        found[left_out] = (groups.sum(dim=0) - groups[left_out]) / (len(groups) - 1)
    return found
