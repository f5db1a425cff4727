"""Sampled and greedy answers of a chat model, in batches."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch

from belljar.files import InputError

Message = dict[str, str]
Chat = Sequence[Message]


class Answer(NamedTuple):
    """One answer, and whether the model ended it itself rather than being cut off."""

    text: str
    finished: bool


def encode_prompts(tokenizer: Any, prompts: Sequence[Chat]) -> list[list[int]]:
    """Return the token ids of each chat, rendered with the tokenizer's template up to where the assistant would speak."""
    rendered = [tokenizer.apply_chat_template(list(p), add_generation_prompt=True, tokenize=False) for p in prompts]
    # The template itself writes the BOS token, so the tokenizer must not add a second one.
    return tokenizer(rendered, add_special_tokens=False).input_ids if rendered else []


def context_length(model: Any) -> int:
    """Return how many tokens the model can hold."""
    return int(model.config.max_position_embeddings)


def check_lengths(model: Any, ids: Sequence[Sequence[int]], room: int, texts: Sequence[str]) -> None:
    """Raise InputError where a prompt with `room` further tokens would not fit the model's context."""
    limit = context_length(model)
    for tokens, text in zip(ids, texts, strict=True):
        if len(tokens) + room > limit:
            raise InputError(
                f"the prompt {text[:60]!r} has {len(tokens)} tokens, and with {room} tokens of answer it exceeds the "
                f"context of {limit}; shorten the prompt or lower max_new_tokens."
            )


def generate(model: Any, tokenizer: Any, prompts: Sequence[Chat], **settings: Any) -> list[list[str]]:
    """Return the texts of `answers`, which takes the same settings: shape (prompts, samples)."""
    return [[answer.text for answer in given] for given in answers(model, tokenizer, prompts, **settings)]


@torch.inference_mode()
def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Chat],
    *,
    samples: int = 1,
    temperature: float = 0.0,
    max_new_tokens: int = 48,
    batch_size: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    around: Callable[[list[int], torch.Tensor], AbstractContextManager[Any]] | None = None,
) -> list[list[Answer]]:
    """Return `samples` answers to each chat, stripped of special tokens and outer blanks: shape (prompts, samples).

    Temperature 0 is greedy decoding; any other temperature samples from the whole distribution (no top-k, no top-p).
    The same arguments give the same answers on one machine. `around` takes the indices of a batch's prompts and their tokens,
    (batch, width), and gives a context that its answers are generated in, for edits of the model that differ from prompt to
    prompt. Raises InputError where a prompt does not fit the context.
    """
    model.eval()
    ids = encode_prompts(tokenizer, prompts)
    check_lengths(model, ids, max_new_tokens, [prompt[-1]["content"] for prompt in prompts])
    jobs = [(index, sample) for index in range(len(prompts)) for sample in range(samples)]
    jobs.sort(key=lambda job: (-len(ids[job[0]]), job))  # like lengths together: less padding; longest first: memory shows early
    found = [[Answer("", False)] * samples for _ in prompts]
    stops = torch.tensor(stop_tokens(model, tokenizer))
    decoding: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        decoding = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    device = model.device
    for number, start in enumerate(range(0, len(jobs), batch_size)):
        batch = jobs[start : start + batch_size]
        width = max(len(ids[index]) for index, _ in batch)
        tokens = torch.full((len(batch), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, (index, _) in enumerate(batch):
            tokens[row, width - len(ids[index]) :] = torch.tensor(ids[index])
            mask[row, width - len(ids[index]) :] = 1
        torch.manual_seed(seed * 1_000_003 + number)
        with around([index for index, _ in batch], tokens.to(device)) if around else nullcontext():
            output = model.generate(
                input_ids=tokens.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=stops.tolist(),
                **decoding,
            )
        said = output[:, width:].cpu()
        texts = tokenizer.batch_decode(said, skip_special_tokens=True)
        finished = torch.isin(said, stops).any(dim=1).tolist()
        for (index, sample), text, ended in zip(batch, texts, finished, strict=True):
            found[index][sample] = Answer(text.strip(), ended)
        if progress is not None:
            progress(number + 1, math.ceil(len(jobs) / batch_size))
    return found


def stop_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end an answer: the tokenizer's and the model's own (Gemma's chat turn ends on a second one)."""
    own = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
    return sorted(token for token in ids if token is not None)
