"""Scores from a lens's evidence: judged by words, without a model in memory."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from belljar.measurements import Reading, variant

METHOD = "logit_lens"
WHOLE = -1  # the replicate in which no group of chats is left out


def lens_readings(evidence: pd.DataFrame, behaviour: str, words: Sequence[str]) -> list[Reading]:
    """Return the scores of one behaviour's words by block and position.

    A token is relevant if it is one of the words, whatever its case and outer blanks. relevant_probability is the summed
    probability of the relevant tokens among the top k (the lottery paper's cumulative probability), relevant_share their share
    of the top k. Standard errors are of the jackknife over groups of chats.
    """
    relevant = evidence["token"].str.strip().str.casefold().isin({word.casefold() for word in words})
    found = []
    for (block, position), cell in evidence.assign(relevant=relevant).groupby(
        ["block", "position"], sort=True
    ):
        mass = cell["probability"].where(cell["relevant"], 0.0).groupby(cell["replicate"]).sum()
        share = cell["relevant"].groupby(cell["replicate"]).mean()
        where = variant(judged=behaviour, layer=block, position=position)
        for metric, values in (("relevant_probability", mass), ("relevant_share", share)):
            found.append(_reading(where, metric, values, cell, "the behaviour is easier to find"))
    return found


def norm_readings(evidence: pd.DataFrame) -> list[Reading]:
    """Return |d| / |h| by block and position: how large the difference is before the lens rescales it."""
    found = []
    for (block, position), cell in evidence.groupby(["block", "position"], sort=True):
        ratio = (cell["difference_norm"] / cell["norm"]).groupby(cell["replicate"]).first()
        where = variant(layer=block, position=position)
        found.append(
            _reading(where, "difference_norm_ratio", ratio, cell, "training moved the activations further")
        )
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
