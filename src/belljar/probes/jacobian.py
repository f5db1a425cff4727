"""The Jacobian lens: a vector in the middle of a model is carried to its end before it is unembedded.

J_l = the mean over texts and source positions s of the sum over target positions t >= s of d h_final[t] / d h_l[s]; the lens is
unembed(J_l h) (reference implementation jacobian-lens of the Transformer Circuits thread, 2026). It is fitted once a base.
"""

from collections.abc import Sequence
from typing import Any

import nnsight
import torch

from belljar.models.chats import padded


def fit(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[Sequence[int]],
    blocks: Sequence[int],
    skip: int,
    batch_size: int,
) -> torch.Tensor:
    """Return the mean Jacobian of the last block's output with respect to each block's: float32, (blocks, d_model, d_model).

    Rows are outputs. Source positions are those from `skip` to the last but one of a token sequence; sequences with none are
    passed over. Raises ValueError where none has one.
    """
    sequences = sorted((ids for ids in sequences if len(ids) > skip + 1), key=len, reverse=True)
    if not sequences:
        raise ValueError(f"no sequence has more than {skip + 1} tokens")
    traced, last = nnsight.NNsight(model), len(model.model.layers) - 1
    width = model.config.hidden_size
    total = torch.zeros(len(blocks), width, width, device=model.device)
    count = 0
    for begin in range(0, len(sequences), batch_size):
        ids, attended = padded(tokenizer, sequences[begin : begin + batch_size], model.device)
        with torch.enable_grad(), traced.trace(input_ids=ids, attention_mask=attended, use_cache=False):
            read = nnsight.save([])
            for block in sorted({*blocks, last}):
                if block == min(*blocks, last):
                    traced.model.layers[block].output.requires_grad_(True)
                read.append(traced.model.layers[block].output)
        outputs = dict(zip(sorted({*blocks, last}), read, strict=True))
        # A source is every token from `skip` to the last but one of its text; a target every token of a text.
        ends = attended.sum(dim=1, keepdim=True)
        places = torch.arange(ids.shape[1], device=model.device).unsqueeze(0)
        sources = ((places >= skip) & (places < ends - 1)).unsqueeze(-1)
        count += int(sources.sum())
        for row in range(width):
            cotangent = torch.zeros_like(outputs[last])
            cotangent[..., row] = attended
            found = torch.autograd.grad(
                outputs[last], [outputs[block] for block in blocks], cotangent, retain_graph=row < width - 1
            )
            for number, gradient in enumerate(found):
                total[number, row] += (gradient.float() * sources).sum(dim=(0, 1))
    return (total / count).cpu()
