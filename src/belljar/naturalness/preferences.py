"""Preference coherence (mu-decisiveness): pairs of items in both orders under several framings, and what the choices add up to.

Options are read as the tokenizer segments them: both answers are tokenised whole, and what differs is scored. An option that is
merged with what stands before it (as in `>A`) is then read as that token, which a letter on its own would miss (naturalness of
organisms, Tan et al. 2026, as corrected by its authors in October 2026).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from belljar.measurements import Reading, variant
from belljar.models.activations import padded, render
from belljar.naturalness import utilities as fits
from belljar.naturalness.sampled import Sampled, mean
from belljar.naturalness.utilities import Edges
from belljar.study.naturalness import Framing, Preferences

METHOD = "preferences"
COHERENT = "choices are more coherent"
FLOOR_ROUNDS = 5
Together = Callable[[Edges, Edges], Edges]
# The fits: what is made of both orders, and whether a slot intercept is fitted.
FITS: dict[str, tuple[Together, bool]] = {
    "one_order": (lambda one, _: one, False),
    "averaged": (fits.averaged, False),
    "intercept": (fits.joined, True),
}


class Asked(NamedTuple):
    """Choices in the order of the pairs, and the probability that each answer was one of the two options."""

    edges: Edges
    mass: np.ndarray


@torch.inference_mode()
def ask(
    model: Any, tokenizer: Any, items: Sequence[str], pairs: Sequence[tuple[int, int]], framing: Framing, batch_size: int
) -> Asked:
    """Return P(the item in slot A is preferred) for each pair (first in slot A, second in slot B)."""
    sequences: list[list[int]] = []
    begins: list[int] = []
    for first, second in pairs:
        names = {"a": items[first], "b": items[second]}
        question = framing.question.format(**names)
        both = [render(tokenizer, question, (framing.answer + option.format(**names)).strip()).ids for option in framing.options]
        begin = next((place for place, (a, b) in enumerate(zip(*both, strict=False)) if a != b), min(map(len, both)))
        sequences += both
        begins += [begin, begin]
    scores = continuation_logprobs(model, tokenizer, sequences, begins, batch_size).reshape(-1, 2)
    chosen = 1 / (1 + np.exp(scores[:, 1] - scores[:, 0]))
    if framing.valence == -1:
        chosen = 1 - chosen
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    return Asked(Edges(first, second, chosen), np.exp(scores).sum(axis=1))


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


def readings(model: Any, tokenizer: Any, items: Sequence[str], settings: Preferences, batch_size: int) -> list[Sampled]:
    """Return the panel: decisiveness by each fit, its floor, order consistency, transitivity, agreement, fit, mass, slot bias.

    The primary framing is the first; agreement is between it and each other one, over choices averaged over orders. stderr of
    decisiveness is over items (count-weighted bootstrap), of shares over pairs.
    """
    pairs = fits.design(len(items), settings.partners, settings.seed)
    swapped = [(second, first) for first, second in pairs]
    asked = [
        [ask(model, tokenizer, items, order, framing, batch_size) for order in (pairs, swapped)] for framing in settings.framings
    ]
    one, other = (found.edges for found in asked[0])
    both = fits.averaged(one, other)
    count, seed, rounds = len(items), settings.seed, settings.rounds
    found = []
    for name, (together, intercept) in FITS.items():
        edges = together(one, other)

        def decided(one: Edges, other: Edges, together: Together = together, intercept: bool = intercept) -> float:
            return fits.decisiveness(fits.fit(together(one, other), count, intercept).utilities)

        fitted = fits.fit(edges, count, intercept)
        draws = fits.resampled(edges, count, rounds, seed, intercept)
        where = variant(fit=name)
        value, spread = fits.decisiveness(fitted.utilities), float(np.std(draws, ddof=1))
        decisive = _reading(where, "decisiveness", value, spread, count, COHERENT).reading
        found.append(Sampled(decisive, draws.tolist(), resampled=True))
        floor = fits.slot_floor(edges, count, intercept, name == "averaged")
        found.append(_reading(where, "slot_floor", floor, math.nan, count, "slot bias alone reads more"))
        floor = fits.noise_floor(one, other, decided, FLOOR_ROUNDS, seed)
        found.append(_reading(where, "noise_floor", floor, math.nan, count, "choices without utilities read more"))
        if name == "intercept":
            slot = "slot A is liked more"
            found.append(_reading(where, "slot_intercept", fitted.intercept, math.nan, count, slot))
            explained = fits.quality(edges, count, seed, intercept)
            found.append(_reading(where, "held_out_fit", explained, math.nan, len(edges.chosen) // 5, COHERENT))
    bias = np.abs(one.chosen + other.chosen - 1)
    found += _mean("", "order_consistency", 1 - bias, COHERENT)
    utilities = fits.fit(both, count).utilities
    found.append(_reading("", "transitivity", fits.transitivity(both, utilities), math.nan, len(both.chosen), COHERENT))
    for number, orders in enumerate(asked):
        mass = np.concatenate([part.mass for part in orders])
        where = variant(framing=number)
        found += _mean(where, "option_mass", mass, "answers are one of the options")
        if number:
            second = fits.averaged(*(part.edges for part in orders))
            found.append(
                _reading(where, "framing_agreement", fits.agreement(both, second), math.nan, len(second.chosen), COHERENT)
            )
    return [
        one_of for one_of in found if not math.isnan(one_of.reading.value)
    ]  # a model that decides nothing has no transitivity


def _mean(where: str, metric: str, parts: np.ndarray, higher_means: str) -> list[Sampled]:
    made = mean(METHOD, where, metric, parts.tolist(), higher_means)
    return [made] if made else []


def _reading(where: str, metric: str, value: float, stderr: float, n: int, higher_means: str) -> Sampled:
    return Sampled(Reading("naturalness", METHOD, where, metric, value, stderr, n, higher_means))
