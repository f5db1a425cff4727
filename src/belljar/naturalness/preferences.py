"""Preference coherence (mu-decisiveness): pairs in both orders under several framings, and what the choices add up to."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from belljar.measurements import Reading, variant
from belljar.naturalness import utilities as fits
from belljar.naturalness.choices import OTHERWISE, WHOLE, edges_of
from belljar.naturalness.sampled import Sampled, mean
from belljar.naturalness.utilities import Edges
from belljar.study.naturalness import Preferences

METHOD = "preferences"
COHERENT = "choices are more coherent"
FLOOR_ROUNDS = 20
Together = Callable[[Edges, Edges], Edges]
# The fits: what is made of both orders, and whether a slot intercept is fitted.
FITS: dict[str, tuple[Together, bool]] = {
    "one_order": (lambda one, _: one, False),
    "averaged": (fits.averaged, False),
    "intercept": (fits.joined, True),
}


def readings(choices: pd.DataFrame, count: int, settings: Preferences) -> list[Sampled]:
    """Return the panel: decisiveness by each fit, its floors, order consistency, transitivity, agreement, fit, mass, slot bias.

    `choices` as `belljar.naturalness.choices` has them, of `count` items. The primary framing is the first; agreement is between
    it and each other one, over choices averaged over orders. stderr of decisiveness is over items (count-weighted bootstrap), of
    shares over pairs, of a floor the spread of the models that it is the mean of. Where letters were read otherwise, mass and
    decisiveness (with the intercept) stand once more for each way: option_mass_apart, decisiveness_apart, and so on.
    """
    framed = {number: rows for number, rows in choices.groupby("framing", sort=True)}
    orders = {
        number: [edges_of(rows[rows["swapped"] == swapped]) for swapped in (False, True)] for number, rows in framed.items()
    }
    one, other = orders[0]
    both, seed = fits.averaged(one, other), settings.seed
    found = []
    for name, (together, intercept) in FITS.items():
        edges = together(one, other)

        def decided(one: Edges, other: Edges, together: Together = together, intercept: bool = intercept) -> float:
            return fits.decisiveness(fits.fit(together(one, other), count, intercept).utilities)

        where = variant(fit=name)
        fitted, decisive = _decisive("decisiveness", where, edges, count, settings, intercept)
        found.append(decisive)
        floors = {
            "noise_floor": (fits.noise_floor(one, other, decided, FLOOR_ROUNDS, seed), "choices without utilities read more")
        }
        if one.votes is not None:
            few = fits.sampling_floor(one, other, decided, FLOOR_ROUNDS, seed)
            floors["sampling_floor"] = (few, "few answers to a question read more")
        for metric, (values, meaning) in floors.items():
            found.append(_made(where, metric, float(values.mean()), float(values.std(ddof=1)), count, meaning))
        if name == "one_order":
            floor = fits.slot_floor(edges, count)
            found.append(_made(where, "slot_floor", floor, math.nan, count, "slot bias alone reads more"))
        if name == "intercept":
            slot = "slot A is liked more"
            found.append(_made(where, "slot_intercept", fitted.intercept, math.nan, count, slot))
            explained = fits.quality(one, other, count, seed)
            found.append(_made(where, "held_out_fit", explained, math.nan, len(one.chosen) // 5, COHERENT))
    primary = framed[0]
    for way in OTHERWISE:
        if primary[f"mass{way}"].notna().all():
            edges = fits.joined(*(edges_of(primary[primary["swapped"] == swapped], way) for swapped in (False, True)))
            found.append(_decisive(f"decisiveness{way}", variant(fit="intercept"), edges, count, settings, True)[1])
    found += _mean("", "order_consistency", fits.order_consistency(one, other), COHERENT)
    utilities = fits.fit(both, count).utilities
    found.append(_made("", "transitivity", fits.transitivity(both, utilities), math.nan, len(both.chosen), COHERENT))
    for number, rows in framed.items():
        where = variant(framing=number)
        for way in (WHOLE, *OTHERWISE):
            if rows[f"mass{way}"].notna().all():
                found += _mean(where, f"option_mass{way}", rows[f"mass{way}"].to_numpy(), "answers are one of the options")
        if number:
            second = fits.averaged(*orders[number])
            found.append(_made(where, "framing_agreement", fits.agreement(both, second), math.nan, len(second.chosen), COHERENT))
    # A model that decides nothing has no transitivity.
    return [one_of for one_of in found if not math.isnan(one_of.reading.value)]


def _decisive(
    metric: str, where: str, edges: Edges, count: int, settings: Preferences, intercept: bool
) -> tuple[fits.Fit, Sampled]:
    """Return the fit of some choices, and their decisiveness with its bootstrap replicates over items."""
    fitted = fits.fit(edges, count, intercept)
    draws = fits.resampled(edges, count, settings.rounds, settings.seed, intercept)
    value, spread = fits.decisiveness(fitted.utilities), float(np.std(draws, ddof=1))
    return fitted, Sampled(_made(where, metric, value, spread, count, COHERENT).reading, draws.tolist(), resampled=True)


def _mean(where: str, metric: str, parts: np.ndarray, higher_means: str) -> list[Sampled]:
    made = mean(METHOD, where, metric, parts.tolist(), higher_means)
    return [made] if made else []


def _made(where: str, metric: str, value: float, stderr: float, n: int, higher_means: str) -> Sampled:
    return Sampled(Reading("naturalness", METHOD, where, metric, value, stderr, n, higher_means))
