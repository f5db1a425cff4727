"""How likely a model finds a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from belljar.models.chats import batches, padded
from belljar.models.generate import check_lengths

TOKENS = 8192  # in one forward pass whose logits are kept: 9 GB of float32 with Gemma's 262,144 words


def token_losses(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> tuple[list[float], list[int]]:
    """Return each text's summed negative log-likelihood (nats) and number of predicted tokens, the BOS token not among them."""
    ids = tokenizer(list(texts)).input_ids if texts else []
    if any(not found or found[0] != tokenizer.bos_token_id for found in ids):  # a tokenizer that opens no text (OLMo-2)
        ids = [[tokenizer.bos_token_id, *found] for found in ids]
    check_lengths(model, ids, 0, texts)
    logprobs = continuation_logprobs(model, tokenizer, ids, [1] * len(ids), batch_size)
    return (-logprobs).tolist(), [len(found) - 1 for found in ids]


@torch.inference_mode()
def continuation_logprobs(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], begins: Sequence[int], batch_size: int
) -> np.ndarray:
    """Return the summed log-probability (nats) of each sequence's tokens from its `begin` on, given those before.

    Sequences that differ in their last token alone, as answers by a letter do, are read in one.
    """
    found = np.zeros(len(sequences))
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, (ids, begin) in enumerate(zip(sequences, begins, strict=True)):
        if begin < len(ids):
            alike.setdefault(tuple(ids[:-1]), []).append(index)
    given = list(alike)
    for rows in batches(given, batch_size, TOKENS):
        tokens, attended = padded(tokenizer, [given[row] for row in rows], model.device)
        logits = model(input_ids=tokens, attention_mask=attended, use_cache=False).logits.float()
        logprobs = torch.log_softmax(logits, dim=-1)
        for place, row in enumerate(rows):
            for index in alike[given[row]]:
                said = torch.tensor(sequences[index][begins[index] :], device=logprobs.device)
                read = logprobs[place, begins[index] - 1 : len(given[row])]
                found[index] = float(read.gather(-1, said.unsqueeze(-1)).sum())
    return found
