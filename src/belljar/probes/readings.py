"""Scores from a lens's evidence, without a model in memory."""

import math

import numpy as np
import pandas as pd

from belljar.measurements import Reading, variant

METHOD = "logit_lens"
EVIDENCE_COLUMNS = (
    "judged",
    "block",
    "position",
    "replicate",
    "token",
    "probability",
    "difference_norm",
    "norm",
    "chats",
)
WHOLE = -1  # the replicate in which no group of chats is left out


def lens_readings(evidence: pd.DataFrame, behaviour: str) -> list[Reading]:
    """Return the behaviour's scores by block and position: the summed probability of its words, over the whole vocabulary.

    The lottery paper sums over those of the top 100 tokens that a language model calls relevant; a word list needs no cut,
    and without one the floor is a measured number instead of 0. A behaviour none of whose words is a token gives no reading.
    """
    found = []
    words = evidence[evidence["judged"] == behaviour]
    for (block, position), cell in words.groupby(["block", "position"], sort=True):
        where = variant(judged=behaviour, layer=block, position=position)
        mass = cell.groupby("replicate")["probability"].sum()
        found.append(_reading(where, "relevant_probability", mass, cell, "the behaviour is easier to find"))
    return found


def norm_readings(evidence: pd.DataFrame) -> list[Reading]:
    """Return |d| / |h| by block and position: how large the difference is before the lens rescales it."""
    found = []
    for (block, position), cell in evidence.groupby(["block", "position"], sort=True):
        ratio = (cell["difference_norm"] / cell["norm"]).groupby(cell["replicate"]).first()
        where = variant(layer=block, position=position)
        found.append(_reading(where, "difference_norm_ratio", ratio, cell, "training moved the activations further"))
    return found


def jackknife_stderr(replicates: np.ndarray) -> float:
    """Return the delete-one-group standard error: sqrt((g - 1) / g * sum((x_i - mean)^2)) over g equal groups."""
    g = len(replicates)
    return math.sqrt((g - 1) / g * float(((replicates - replicates.mean()) ** 2).sum()))


def _reading(where: str, metric: str, values: pd.Series, cell: pd.DataFrame, higher_means: str) -> Reading:
    return Reading(
        "probe",
        METHOD,
        where,
        metric,
        float(values[WHOLE]),
        jackknife_stderr(values.drop(WHOLE).to_numpy(dtype=float)),
        int(cell["chats"].iloc[0]),
        higher_means,
    )
