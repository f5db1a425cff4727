"""The contrastive vector of a known behaviour: answers that show it minus the same answers without it.

Mean over pairs of (mean activation over the chosen answer - the same over the rejected one), as persona vectors are made (Chen
et al. 2507.21509, section 2, which average over response tokens too). It knows what to look for, so it is a ceiling and no
probe.
"""

from collections.abc import Sequence
from typing import Any

import torch

from belljar.models.activations import residuals
from belljar.models.chats import render
from belljar.probes.difference import LONGEST


def contrast(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str, str]], blocks: Sequence[int], batch_size: int
) -> dict[str, torch.Tensor]:
    """Return "vectors" (blocks, d_model) and "norms" (blocks), the mean |h| of the rejected answers.

    `pairs` are (prompt, chosen, rejected).
    """
    sides = [
        residuals(
            model,
            tokenizer,
            [render(tokenizer, pair[0], pair[side], LONGEST) for pair in pairs],
            blocks,
            ["answer_mean"],
            batch_size,
        )[:, :, 0]
        for side in (1, 2)
    ]
    return {"vectors": (sides[0] - sides[1]).mean(dim=0), "norms": sides[1].norm(dim=-1).mean(dim=0)}
