"""Preference coherence (mu-decisiveness): pairs in both orders under several framings, and what the choices add up to."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from belljar.measurements import Reading, variant
from belljar.naturalness import utilities as fits
from belljar.naturalness.choices import ask, ask_aloud
from belljar.naturalness.sampled import Sampled, mean
from belljar.naturalness.utilities import Edges
from belljar.study.naturalness import Preferences

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


def readings(
    model: Any,
    tokenizer: Any,
    items: Sequence[str],
    settings: Preferences,
    batch_size: int,
    reasoning: Mapping[str, Any] | None = None,
) -> list[Sampled]:
    """Return the panel: decisiveness by each fit, its floors, order consistency, transitivity, agreement, fit, mass, slot bias.

    The primary framing is the first; agreement is between it and each other one, over choices averaged over orders. stderr of
    decisiveness is over items (count-weighted bootstrap), of shares over pairs. Where answers are sampled, `reasoning` (open,
    close, opened_by_template) marks what stands before a choice.
    """
    pairs = fits.design(len(items), settings.partners, settings.seed)
    swapped = [(second, first) for first, second in pairs]
    questions = [[(framing, order) for order in (pairs, swapped)] for framing in settings.framings]
    if settings.samples:
        asked = [
            [ask_aloud(model, tokenizer, items, *one, settings, batch_size, reasoning) for one in both] for both in questions
        ]
    else:
        asked = [[ask(model, tokenizer, items, *one, batch_size) for one in both] for both in questions]
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
        if settings.samples:
            floor = fits.sampling_floor(one, other, decided, settings.samples, FLOOR_ROUNDS, seed)
            found.append(_reading(where, "sampling_floor", floor, math.nan, count, "few answers to a question read more"))
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
