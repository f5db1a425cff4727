"""Patchscope: a difference vector takes the place of a word in a prompt that makes the model say that word again.

The vector, at several multiples of the mean activation norm, replaces the block's output at the word's token; what is read is
the next token's distribution, averaged over prompts (Ghandeharioun et al. 2401.06102; on activation differences Minder et al.
2510.13900, section 3, where a language model picks the scale). Here the score is the best scale's, for organisms and floor
alike.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import product
from typing import Any

import pandas as pd
import torch

from belljar.files import InputError
from belljar.models.activations import edited
from belljar.models.chats import padded
from belljar.probes.difference import Side, difference
from belljar.probes.logit_lens import word_tokens
from belljar.study.probes import PLACE, Patchscope, Prompt

OTHER = "%%"  # a text that begins with another token than any word
COLUMNS = ("block", "position", "replicate", "scale", "judged", "probability")


def rendered(tokenizer: Any, prompts: Sequence[Prompt], word: str) -> list[tuple[list[int], int]]:
    """Return each prompt's tokens with `word` in its place, and the index of the word's token.

    Raises InputError where the word is not one token there.
    """
    found = []
    for prompt in prompts:
        ids, other = (_tokens(tokenizer, prompt, text) for text in (word, OTHER))
        begin = next((place for place, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b), len(ids))
        token = tokenizer(f" {word}", add_special_tokens=False).input_ids
        if len(token) != 1 or begin >= len(ids) or ids[begin] != token[0]:
            raise InputError(
                f"probes.patchscope.word {word!r} is not a single token in the prompt {prompt.question or prompt.answer!r}; "
                "choose a word that is."
            )
        found.append((ids, begin))
    return found


def _tokens(tokenizer: Any, prompt: Prompt, word: str) -> list[int]:
    """Return a prompt's tokens: a chat up to where its answer goes on, or without a question the answer as plain text."""
    answer = prompt.answer.replace(PLACE, word)
    if not prompt.question:
        return list(tokenizer(answer).input_ids)
    chat = [{"role": "user", "content": prompt.question.replace(PLACE, word)}]
    opening = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    said = tokenizer(f" {answer}", add_special_tokens=False).input_ids if answer else []
    return [*tokenizer(opening, add_special_tokens=False).input_ids, *said]


@torch.inference_mode()
def read(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[list[int], int]],
    block: int,
    vectors: torch.Tensor,
    batch_size: int,
) -> torch.Tensor:
    """Return the next token's probabilities, mean over prompts, with each of `vectors` (n, d_model) in the word's place.

    float32, (n, vocabulary), on the CPU.
    """
    found = torch.zeros(len(vectors), model.get_output_embeddings().weight.shape[0])
    for ids, place in prompts:
        for begin in range(0, len(vectors), batch_size):
            part = vectors[begin : begin + batch_size]
            tokens, attended = padded(tokenizer, [ids] * len(part), model.device)
            with _replaced(model, block, place, part):
                logits = model(input_ids=tokens, attention_mask=attended, use_cache=False).logits[:, -1].float()
            found[begin : begin + batch_size] += torch.softmax(logits, dim=-1).cpu() / len(prompts)
    return found


def _replaced(model: Any, block: int, place: int, vectors: torch.Tensor) -> AbstractContextManager[None]:
    def replace(output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, place] = vectors.to(output.device, output.dtype)
        return changed

    return edited(model, block, replace)


def evidence(
    model: Any,
    tokenizer: Any,
    own: Side,
    reference: Side,
    blocks: Sequence[int],
    positions: Sequence[str],
    words: Mapping[str, Sequence[str]],
    settings: Patchscope,
    batch_size: int,
) -> pd.DataFrame:
    """Return the summed probability of each behaviour's words, by block, position, replicate and scale, COLUMNS.

    A behaviour none of whose words is a token has no rows.
    """
    prompts = rendered(tokenizer, settings.prompts, settings.word)
    listed = {name: found for name, texts in words.items() if (found := word_tokens(tokenizer, texts))}
    moved = difference(own, reference)
    rows = []
    for (row, block), (column, position) in product(enumerate(blocks), enumerate(positions)):
        norm = reference["norms"][row, column]
        directions = torch.stack([vectors[row, column] for vectors in moved.values()])
        directions = directions / directions.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        scaled = torch.cat([directions * norm * scale for scale in settings.scales])
        seen = read(model, tokenizer, prompts, block, scaled, batch_size)
        cells = product(settings.scales, moved)
        for (scale, replicate), probabilities in zip(cells, seen, strict=True):
            rows += [
                (block, position, replicate, scale, name, float(probabilities[tokens].sum())) for name, tokens in listed.items()
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
