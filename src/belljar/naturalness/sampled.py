"""Readings together with what they are made of, so that two models can be compared item by item."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from belljar.measurements import Reading, standard_error

COLUMNS = ("method", "variant", "metric", "resampled", "item", "part")
KEY = ["method", "variant", "metric"]


class Sampled(NamedTuple):
    """A reading, and its parts: per item (nan where one has none), with the value as their mean, or replicates of the value."""

    reading: Reading
    parts: Sequence[float] = ()
    resampled: bool = False


class Parts(NamedTuple):
    """What a reading is made of: values of the items, or replicates of the reading."""

    values: np.ndarray
    resampled: bool


class Change(NamedTuple):
    """A difference between two models, its standard error (nan where it has none), and how many items were paired."""

    value: float
    stderr: float
    n: int


def mean(method: str, where: str, metric: str, parts: Sequence[float], higher_means: str) -> Sampled | None:
    """Return the mean over items as a reading; stderr = sd (ddof 1) / sqrt(n), nan of one item.

    An item without a verdict is nan: it keeps its place, so that other models' items are compared with their own, and leaves the
    mean. None where no item has one.
    """
    every = np.asarray(parts, dtype=float)
    values = every[~np.isnan(every)]
    if not len(values):
        return None
    reading = Reading(
        "naturalness", method, where, metric, float(values.mean()), standard_error(values), len(values), higher_means
    )
    return Sampled(reading, every.tolist())


def by_prompt(prompts: pd.Series, flags: Sequence[float]) -> list[float]:
    """Return the mean of each prompt's answers, in the order of the prompts' texts: the items that models are compared on."""
    return pd.Series(list(flags), index=prompts.index, dtype=float).groupby(prompts, sort=True).mean().tolist()


def parts_table(found: Sequence[Sampled]) -> pd.DataFrame:
    """Return the parts of all readings, one row each, with the columns COLUMNS."""
    rows = [
        (one.reading.method, one.reading.variant, one.reading.metric, one.resampled, item, float(part))
        for one in found
        for item, part in enumerate(one.parts)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def parts_by_reading(table: pd.DataFrame) -> dict[tuple[str, str, str], Parts]:
    """Return a parts_table as one entry a reading, (method, variant, metric), with its parts in order."""
    ordered = table.sort_values([*KEY, "item"], kind="stable")
    return {
        (str(method), str(where), str(metric)): Parts(rows["part"].to_numpy(dtype=float), bool(rows["resampled"].iloc[0]))
        for (method, where, metric), rows in ordered.groupby(KEY, sort=False)
    }


def change(value: float, other: float, parts: Parts | None, others: Parts | None) -> Change:
    """Return the difference of two models' readings and its standard error, paired by item where both have their parts.

    Over the items that have a value in both: mean of the differences, sd (ddof 1) / sqrt(n). Of replicates: value - other, and
    the sd of the replicates' differences. Otherwise value - other, without a standard error.
    """
    if parts is None or others is None or len(parts.values) != len(others.values):
        return Change(value - other, math.nan, 0)
    differences = parts.values - others.values
    if parts.resampled:
        return Change(value - other, float(differences.std(ddof=1)), 0)
    shared = differences[~np.isnan(differences)]
    if len(shared) < 2:
        return Change(value - other, math.nan, len(shared))
    return Change(float(shared.mean()), float(shared.std(ddof=1) / math.sqrt(len(shared))), len(shared))
