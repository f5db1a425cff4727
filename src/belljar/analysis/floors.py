"""What a probe's score reads on models that do not have the behaviour."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from belljar.analysis.scores import with_variants
from belljar.measurements import parse_variant, variant

CONFIDENCE = 0.95


class Floor(NamedTuple):
    """A one-sided prediction bound; `floor` is nan where fewer than two readings make it."""

    floor: float
    mean: float
    sd: float
    n: int


def prediction_floor(values: Sequence[float], confidence: float = CONFIDENCE) -> Floor:
    """Return the bound that one further reading without the behaviour stays below with the given confidence.

    mean + t(confidence, n - 1) * sd * sqrt(1 + 1 / n), sd with ddof 1 (the lottery paper, noise floor).
    """
    n = len(values)
    if n < 2:
        return Floor(math.nan, float(np.mean(values)) if n else math.nan, math.nan, n)
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    return Floor(mean + float(stats.t.ppf(confidence, n - 1)) * sd * math.sqrt(1 + 1 / n), mean, sd, n)


def floors(scores: pd.DataFrame, controls: Sequence[str] = ()) -> pd.DataFrame:
    """Return the floor of every probe score: by base, judged behaviour, method, metric and variant (without the judged key).

    Its members are the base's organisms of other behaviours and its benign twins, the mean over seeds being one reading: seeds of
    one route are alike, and counting each would make the floor look firmer than it is. A parent has no difference to read, and
    the techniques `controls`, which are no organisms but calibrate probes, are left out.
    """
    columns = ["base", "judged", "method", "metric", "variant", *Floor._fields, "members"]
    spread = with_variants(scores[(scores["stage"] == "probe") & ~scores["technique"].isin(list(controls))])
    if "judged" not in spread:  # no probe could see any of the behaviours' words
        return pd.DataFrame(columns=columns)
    spread = spread[spread["judged"].notna() & (spread["behaviour"] != spread["judged"])]
    rows = []
    keys = ["base", "judged", "method", "metric", "where"]
    for key, group in spread.assign(where=spread["variant"].map(without_judged)).groupby(keys, sort=True):
        routes = group.groupby(["behaviour", "technique"], sort=True)["value"].mean()
        members = ", ".join(f"{behaviour}/{technique}" for behaviour, technique in routes.index)
        rows.append((*key, *prediction_floor(routes.tolist()), members))
    return pd.DataFrame(rows, columns=columns)


def without_judged(text: str) -> str:
    """Return a variant without the behaviour that it is judged for."""
    return variant(**{key: value for key, value in parse_variant(text).items() if key != "judged"})
