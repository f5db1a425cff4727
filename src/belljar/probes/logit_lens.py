"""The logit lens on an activation difference: softmax(head(final_norm(v))) of the organism (Minder et al. 2510.13900, section 3).

With a mean Jacobian (`belljar.probes.jacobian`) the vector is carried to the model's end first. `belljar.probes.readings` turns
the evidence into scores, so that another judge of the tokens needs no model.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd
import torch

from belljar.probes.difference import WHOLE, Side, difference
from belljar.probes.readings import LENS_COLUMNS

log = logging.getLogger(__name__)


def evidence(
    model: Any,
    tokenizer: Any,
    own: Side,
    references: Mapping[str, Side],
    blocks: Sequence[int],
    positions: Sequence[str],
    words: Mapping[str, Sequence[str]],
    top_k: int,
    jacobian: torch.Tensor | None = None,
) -> pd.DataFrame:
    """Return what the lens shows of one organism: a row a token, by reference, block, position and replicate.

    `references` are the models that the difference is taken against, by what they are called; `words` the words that speak of
    each behaviour; `jacobian` (blocks, d_model, d_model). Columns: against, judged (the behaviour whose word the token is; empty
    for the top tokens, which are kept to be looked at), block, position, replicate (WHOLE, or the group of chats left out),
    token, probability, difference_norm, norm (the reference's mean |h|).
    """
    listed = [(name, token) for name, found in words.items() for token in word_tokens(tokenizer, found)]
    rows: list[tuple[Any, ...]] = []
    for against, reference in references.items():
        for replicate, vectors in difference(own, reference).items():
            carried = vectors if jacobian is None else torch.einsum("bij,bpj->bpi", jacobian, vectors)
            probabilities = lens(model, carried)
            for (row, block), (column, position) in product(enumerate(blocks), enumerate(positions)):
                seen = probabilities[row, column]
                # The other replicates keep one token, so that the norms' replicates are there where no word is a token.
                top = [("", token) for token in seen.topk(top_k if replicate == WHOLE else 1).indices.tolist()]
                sizes = float(vectors[row, column].norm()), float(reference["norms"][row, column])
                rows += [
                    (against, name, block, position, replicate, tokenizer.decode([token]), float(seen[token]), *sizes)
                    for name, token in listed + top
                ]
    return pd.DataFrame(rows, columns=list(LENS_COLUMNS))


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
