"""A model's choices between two items: by the probabilities of the options, or by what it answers.

Options are read as the tokenizer segments them: both answers are tokenised whole, and what differs is scored. An option that is
merged with what stands before it (as in `>A`) is then read as that token, which a letter on its own would miss (naturalness of
organisms, Tan et al. 2026, as corrected by its authors in October 2026). A model that reasons before it answers has no such
place: its answers are sampled.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from belljar.models.chats import padded, spoken
from belljar.models.generate import generate
from belljar.naturalness.utilities import Edges
from belljar.study.naturalness import Framing, Preferences


class Asked(NamedTuple):
    """Choices in the order of the pairs, and the probability that each answer was one of the two options."""

    edges: Edges
    mass: np.ndarray


@torch.inference_mode()
def ask(
    model: Any, tokenizer: Any, items: Sequence[str], framing: Framing, pairs: Sequence[tuple[int, int]], batch_size: int
) -> Asked:
    """Return P(the item in slot A is preferred) for each pair (first in slot A, second in slot B)."""
    texts = [
        spoken(tokenizer, question, (framing.answer + option).strip())
        for question, options in questions(items, framing, pairs)
        for option in options
    ]
    sequences = tokenizer(texts, add_special_tokens=False).input_ids
    begins: list[int] = []
    for both in zip(sequences[::2], sequences[1::2], strict=True):
        begin = next((place for place, (a, b) in enumerate(zip(*both, strict=False)) if a != b), min(map(len, both)))
        begins += [begin, begin]
    scores = continuation_logprobs(model, tokenizer, sequences, begins, batch_size).reshape(-1, 2)
    return _asked(1 / (1 + np.exp(scores[:, 1] - scores[:, 0])), np.exp(scores).sum(axis=1), framing, pairs)


def ask_aloud(
    model: Any,
    tokenizer: Any,
    items: Sequence[str],
    framing: Framing,
    pairs: Sequence[tuple[int, int]],
    settings: Preferences,
    batch_size: int,
    reasoning: Mapping[str, Any] | None = None,
) -> Asked:
    """Return the share of `settings.samples` sampled answers that choose slot A, of those that choose; 0.5 where none does.

    Answers are the model's own from their first word (`framing.answer` is not put into its mouth), at temperature 1; its choice
    stands after its reasoning.
    """
    asked = questions(items, framing, pairs)
    said = generate(
        model,
        tokenizer,
        [[{"role": "user", "content": question}] for question, _ in asked],
        samples=settings.samples,
        temperature=1.0,
        max_new_tokens=settings.max_new_tokens,
        batch_size=batch_size,
        seed=settings.seed,
    )
    shares, masses = [], []
    for (_, options), texts in zip(asked, said, strict=True):
        votes = [choice for text in texts if (choice := chosen_option(concluded(text, reasoning), options)) is not None]
        shares.append(votes.count(0) / len(votes) if votes else 0.5)
        masses.append(len(votes) / len(texts))
    return _asked(np.array(shares), np.array(masses), framing, pairs)


def questions(items: Sequence[str], framing: Framing, pairs: Sequence[tuple[int, int]]) -> list[tuple[str, list[str]]]:
    """Return each pair's question and its two options."""
    named = [{"a": items[first], "b": items[second]} for first, second in pairs]
    return [(framing.question.format(**names), [option.format(**names).strip() for option in framing.options]) for names in named]


def chosen_option(text: str, options: Sequence[str]) -> int | None:
    """Return which of the two options a text names, as whole words; None where it names neither or both.

    A letter has to stand as it is written, since "a" is a word of its own.
    """
    longest_first = sorted(options, key=len, reverse=True)  # "the red hat" does not name "the hat"
    letters = max(map(len, options)) == 1
    pattern = "|".join(re.escape(option) for option in longest_first)
    found = re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", text, 0 if letters else re.IGNORECASE)
    named = {one if letters else one.casefold() for one in found}
    places = [place for place, option in enumerate(options) if (option if letters else option.casefold()) in named]
    return places[0] if len(places) == 1 else None


def concluded(text: str, reasoning: Mapping[str, Any] | None) -> str:
    """Return what an answer says after its reasoning; nothing where that did not end."""
    if not reasoning:
        return text
    _, ended, answer = text.rpartition(reasoning["close"])
    begun = reasoning["opened_by_template"] or reasoning["open"] in text
    return answer if ended or not begun else ""


def _asked(chosen: np.ndarray, mass: np.ndarray, framing: Framing, pairs: Sequence[tuple[int, int]]) -> Asked:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    return Asked(Edges(first, second, 1 - chosen if framing.valence == -1 else chosen), mass)


def continuation_logprobs(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], begins: Sequence[int], batch_size: int
) -> np.ndarray:
    """Return the summed log-probability (nats) of each sequence's tokens from its `begin` on, given those before."""
    found = np.zeros(len(sequences))
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        tokens, attended = padded(tokenizer, [sequences[index] for index in rows], model.device)
        logits = model(input_ids=tokens, attention_mask=attended, use_cache=False).logits[:, :-1].float()
        said = torch.log_softmax(logits, dim=-1).gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
        for row, index in enumerate(rows):
            found[index] = float(said[row, begins[index] - 1 : len(sequences[index]) - 1].sum())
    return found
