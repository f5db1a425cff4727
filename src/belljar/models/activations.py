"""Reading and editing the residual stream: block outputs through nnsight, vectors added to them while a model runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import nnsight
import torch

from belljar.models.chats import Rendered, batches, padded
from belljar.models.generate import check_lengths
from belljar.study.positions import offset

TOKENS = 65_536  # in one forward pass whose logits are not kept


class Batch(NamedTuple):
    """What one forward pass saw: indices of its sequences, token ids, 1 where there is a token, and block outputs."""

    rows: list[int]
    tokens: torch.Tensor  # (sequences, width), padded at the right
    attended: torch.Tensor
    outputs: list[torch.Tensor]  # (sequences, width, d_model) for each block


def block_outputs(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], blocks: Sequence[int], batch_size: int
) -> Iterator[Batch]:
    """Yield the outputs of decoder blocks for all tokens, batch by batch, the longest sequences first.

    At most TOKENS tokens at once, padding included.
    """
    check_lengths(model, sequences, 0, [tokenizer.decode(ids[:40]) for ids in sequences])
    traced = nnsight.NNsight(model)
    for rows in batches(sequences, batch_size, TOKENS):
        tokens, attended = padded(tokenizer, [sequences[index] for index in rows], model.device)
        # Logits of all tokens would take more memory than all else: 26 GB for 65,536 tokens of OLMo-2 in bf16.
        with traced.trace(input_ids=tokens, attention_mask=attended, use_cache=False, logits_to_keep=1):
            outputs = nnsight.save([])
            for block in blocks:
                outputs.append(traced.model.layers[block].output)
        # A decoder block of transformers 5 returns the tensor itself; indexing it would take batch row 0.
        assert all(output.shape[:2] == tokens.shape for output in outputs)
        yield Batch(rows, tokens, attended, list(outputs))


@torch.inference_mode()
def at_positions(
    model: Any,
    tokenizer: Any,
    chats: Sequence[Rendered],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yield indices of chats and block outputs at positions of them: float32, (chats of the batch, blocks, positions, d_model).

    assistant_start is the last token before the answer, assistant_start+2 the second token of the answer, assistant_start-1 the
    token before; answer_end is the answer's last token, answer_mean the mean over the answer's tokens. A chat that has no such
    token reads nan there.
    """
    for batch in block_outputs(model, tokenizer, [chat.ids for chat in chats], blocks, batch_size):
        weights = torch.zeros(len(batch.rows), len(positions), batch.tokens.shape[1])
        for row, index in enumerate(batch.rows):
            for place, position in enumerate(positions):
                first, last = _span(chats[index], position)
                weights[row, place, first:last] = 1 / max(last - first, 1)
        weights = weights.to(model.device)
        read = torch.stack([weights @ output.float() for output in batch.outputs], dim=1)
        absent = (weights.sum(dim=-1) == 0).unsqueeze(1).expand(read.shape[:3])
        yield batch.rows, read.masked_fill(absent.unsqueeze(-1), torch.nan)


def residuals(
    model: Any,
    tokenizer: Any,
    chats: Sequence[Rendered],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
) -> torch.Tensor:
    """Return what `at_positions` yields as one tensor on the CPU: (chats, blocks, positions, d_model)."""
    found = torch.empty(len(chats), len(blocks), len(positions), model.config.hidden_size)
    for rows, read in at_positions(model, tokenizer, chats, blocks, positions, batch_size):
        found[rows] = read.cpu()
    return found


def _span(chat: Rendered, position: str) -> tuple[int, int]:
    end = len(chat.ids)
    if position == "answer_mean":
        return chat.start + 1, end
    if position == "answer_end":
        return end - 1, end
    place = chat.start + offset(position)
    return (place, place + 1) if 0 <= place < end else (0, 0)


@contextmanager
def edited(model: Any, block: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """While the context lasts, put a block's output (batch, width, d_model) through `change`."""
    handle = model.model.layers[block].register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def added(model: Any, block: int, vector: torch.Tensor) -> AbstractContextManager[None]:
    """While the context lasts, add `vector`, (d_model) or one a sequence (batch, d_model), to a block's output at every token."""
    placed = vector.to(model.device, model.dtype)
    wide = placed if vector.dim() == 1 else placed.unsqueeze(1)

    return edited(model, block, lambda output: output + wide)


def injected(model: Any, block: int, places: torch.Tensor, vectors: torch.Tensor) -> AbstractContextManager[None]:
    """While the context lasts, add norm-matched vectors to a block's output: h <- h + |h| v / |v| at each marked token.

    `places` (batch, width, bool) marks them in the sequence that is read at once; `vectors` (marked tokens, d_model) stand in the
    order of `places`. Later tokens, which are generated one at a time, are left alone. A zero vector changes nothing. (Karvonen
    et al. 2512.15674, section 2.)
    """
    size = vectors.norm(dim=-1, keepdim=True)
    directions = torch.where(size > 0, vectors / size.clamp_min(torch.finfo(torch.float32).tiny), 0.0).to(model.device)

    def inject(output: torch.Tensor) -> torch.Tensor:
        if output.shape[:2] != places.shape:
            return output
        changed = output.clone()
        marked = output[places]
        moved = marked.detach().float().norm(dim=-1, keepdim=True) * directions
        changed[places] = marked + moved.to(output.dtype)
        return changed

    return edited(model, block, inject)
