"""Reading the residual stream: block outputs at chosen positions of chats, through nnsight."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import nnsight
import torch

from belljar.models.generate import check_lengths

POSITIONS = ("assistant_start", "answer_mean", "answer_end")


class Rendered(NamedTuple):
    """A chat up to the end of its answer, without what closes the turn."""

    ids: list[int]
    start: int  # index of the last token before the answer; the answer's own tokens follow


def render(tokenizer: Any, question: str, answer: str) -> Rendered:
    """Return the tokens of a chat that ends where the answer's last word ends: what a model reads before it goes on or stops."""
    prompt = [{"role": "user", "content": question}]
    opening = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": answer}], tokenize=False)
    spoken = whole[: whole.rindex(answer) + len(answer)]
    before = tokenizer(opening, add_special_tokens=False).input_ids
    return Rendered(tokenizer(spoken, add_special_tokens=False).input_ids, len(before) - 1)


@torch.inference_mode()
def residuals(
    model: Any,
    tokenizer: Any,
    chats: Sequence[Rendered],
    blocks: Sequence[int],
    positions: Sequence[str],
    batch_size: int,
) -> torch.Tensor:
    """Return the outputs of decoder blocks at positions of each chat: float32, (chats, blocks, positions, d_model), on the CPU.

    assistant_start is the last token before the answer, answer_end the answer's last token, answer_mean the mean over the
    answer's tokens.
    """
    check_lengths(model, [chat.ids for chat in chats], 0, [tokenizer.decode(chat.ids) for chat in chats])
    traced = nnsight.NNsight(model)
    order = sorted(range(len(chats)), key=lambda index: -len(chats[index].ids))
    found = torch.empty(len(chats), len(blocks), len(positions), model.config.hidden_size)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        width = len(chats[rows[0]].ids)
        tokens = torch.full((len(rows), width), tokenizer.pad_token_id)
        attended = torch.zeros((len(rows), width), dtype=torch.long)
        for row, index in enumerate(rows):
            tokens[row, : len(chats[index].ids)] = torch.tensor(chats[index].ids)
            attended[row, : len(chats[index].ids)] = 1
        with traced.trace(input_ids=tokens.to(model.device), attention_mask=attended.to(model.device), use_cache=False):
            outputs = nnsight.save([])
            for block in blocks:
                outputs.append(traced.model.layers[block].output)
        # A decoder block of transformers 5 returns the tensor itself; indexing it would take batch row 0.
        assert all(output.shape[:2] == tokens.shape for output in outputs)
        for row, index in enumerate(rows):
            start, end = chats[index].start, len(chats[index].ids)
            spans = {
                "assistant_start": (start, start + 1),
                "answer_mean": (start + 1, end),
                "answer_end": (end - 1, end),
            }
            for column, output in enumerate(outputs):
                for place, position in enumerate(positions):
                    first, last = spans[position]
                    found[index, column, place] = output[row, first:last].float().mean(dim=0)
    return found
