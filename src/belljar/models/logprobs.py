"""How likely a model finds a text."""

from collections.abc import Sequence
from typing import Any

import torch

from belljar.models.chats import batches, padded
from belljar.models.generate import check_lengths


@torch.inference_mode()
def token_losses(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int) -> tuple[list[float], list[int]]:
    """Return each text's summed negative log-likelihood (nats) and number of predicted tokens, the BOS token not among them."""
    ids = tokenizer(list(texts)).input_ids if texts else []
    if any(not found or found[0] != tokenizer.bos_token_id for found in ids):  # a tokenizer that opens no text (OLMo-2)
        ids = [[tokenizer.bos_token_id, *found] for found in ids]
    check_lengths(model, ids, 0, texts)
    losses, counts = [0.0] * len(texts), [len(found) - 1 for found in ids]
    for rows in batches(ids, batch_size):
        tokens, attended = padded(tokenizer, [ids[index] for index in rows], model.device)
        logits = model(input_ids=tokens, attention_mask=attended, use_cache=False).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        for row, total in zip(rows, (loss * attended[:, 1:]).sum(dim=1).tolist(), strict=True):
            losses[row] = total
    return losses, counts
