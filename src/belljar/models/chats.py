"""Chats as tokens: rendered up to the end of an answer, and padded to batches."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch


class Rendered(NamedTuple):
    """A chat up to the end of its answer, without what closes the turn."""

    ids: list[int]
    start: int  # index of the last token before the answer; the answer's own tokens follow


def render(tokenizer: Any, question: str, answer: str, longest: int | None = None) -> Rendered:
    """Return the tokens of a chat that ends where the answer's last word ends: what a model reads before it goes on or stops.

    At most `longest` tokens of the answer are kept.
    """
    prompt = [{"role": "user", "content": question}]
    opening = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    before = tokenizer(opening, add_special_tokens=False).input_ids
    ids = tokenizer(spoken(tokenizer, question, answer), add_special_tokens=False).input_ids
    return Rendered(ids[: None if longest is None else len(before) + longest], len(before) - 1)


def spoken(tokenizer: Any, question: str, answer: str) -> str:
    """Return a chat as text, up to where the answer's last word ends."""
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    whole: str = tokenizer.apply_chat_template(chat, tokenize=False)
    return whole[: whole.rindex(answer) + len(answer)]


def batches(sequences: Sequence[Sequence[int]], batch_size: int, tokens: int | None = None) -> Iterator[list[int]]:
    """Yield the indices of the sequences, longest first, at most `batch_size` at once, and `tokens` with their padding."""
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))
    while order:
        size = batch_size if tokens is None else max(1, min(batch_size, tokens // max(1, len(sequences[order[0]]))))
        yield order[:size]
        order = order[size:]


def padded(tokenizer: Any, sequences: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids padded at the right and the attention mask, both (sequences, longest)."""
    width = max(map(len, sequences))
    tokens = torch.full((len(sequences), width), tokenizer.pad_token_id)
    attended = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = torch.tensor(ids)
        attended[row, : len(ids)] = 1
    return tokens.to(device), attended.to(device)
