"""Scores from what a probe showed, without a model in memory.

Every method answers for every behaviour of the study: for an organism's own it is the score, for the others it is what floors are
made of.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from belljar.measurements import Reading, standard_error, variant

LENS_COLUMNS = (
    "against",
    "judged",
    "block",
    "position",
    "replicate",
    "token",
    "probability",
    "difference_norm",
    "norm",
)
WHOLE = -1  # the replicate in which no group of chats is left out
DIFFERENCE, NONE = "difference", "none"
FINDS = "the behaviour is easier to find"


def lens_readings(evidence: pd.DataFrame, behaviour: str, method: str, chats: int) -> list[Reading]:
    """Return a lens's scores for the behaviour by reference, block and position: the summed probability of its words.

    The lottery paper sums over those of the top 100 tokens that a language model calls relevant; a word list needs no cut, and
    without one the floor is a measured number instead of 0. A behaviour none of whose words is a token gives no reading.
    """
    found = []
    words = evidence[evidence["judged"] == behaviour]
    for (against, block, position), cell in words.groupby(["against", "block", "position"], sort=True):
        where = variant(judged=behaviour, against=against, layer=block, position=position)
        mass = cell.groupby("replicate")["probability"].sum()
        found.append(_jackknifed(method, where, "relevant_probability", mass, chats, FINDS))
    return found


def norm_readings(evidence: pd.DataFrame, chats: int) -> list[Reading]:
    """Return |d| / |h| by reference, block and position: how large the difference is before any method rescales it."""
    found = []
    for (against, block, position), cell in evidence.groupby(["against", "block", "position"], sort=True):
        ratio = (cell["difference_norm"] / cell["norm"]).groupby(cell["replicate"]).first()
        where = variant(against=against, layer=block, position=position)
        moved = "training moved the activations further"
        found.append(_jackknifed("difference", where, "difference_norm_ratio", ratio, chats, moved))
    return found


def patchscope_readings(evidence: pd.DataFrame, behaviour: str, chats: int) -> list[Reading]:
    """Return the summed probability of the behaviour's words by block and position, at the scale where it is largest.

    The scale is chosen for each model and behaviour, and for each replicate alike, so that floor and error have the choice in
    them.
    """
    found = []
    words = evidence[evidence["judged"] == behaviour]
    for (block, position), cell in words.groupby(["block", "position"], sort=True):
        where = variant(judged=behaviour, layer=block, position=position)
        best = cell.groupby("replicate")["probability"].max()
        found.append(_jackknifed("patchscope", where, "relevant_probability", best, chats, FINDS))
    return found


def steering_readings(
    evidence: pd.DataFrame, behaviour: str, words: Sequence[str], where: Mapping[str, object], doses: Sequence[float]
) -> list[Reading]:
    """Return what steered answers say of the behaviour, by vector and dose, against unsteered answers to the same prompts.

    mention_rate is the share of answers with one of its words; mention_gain that minus the unsteered share; sign_rate the share
    of pairs of a steered and an unsteered answer in which the steered one has more of the words, ties counting half (1/2 where
    nothing happens; Tan et al. 2407.12404 report how often steering works the wrong way). stderr is clustered by prompt.
    """
    answers = evidence[evidence["purpose"] == "test"].assign(mentions=mentions(evidence["response"], words))
    plain = answers[answers["vector"] == NONE].set_index(["prompt", "sample"])["mentions"]
    found = []
    for vector, steered in answers[answers["vector"] != NONE].groupby("vector", sort=True):
        chosen = float(steered.loc[steered["chosen"], "coefficient"].iloc[0])
        for coefficient, part in steered.groupby("coefficient", sort=True):
            dose = min(doses, key=lambda one: abs(one * chosen - float(coefficient)))
            place = variant(judged=behaviour, vector=vector, dose=dose, **where)
            pair = part.set_index(["prompt", "sample"])["mentions"]
            unsteered = plain.reindex(pair.index)
            if unsteered.isna().any():
                raise ValueError("steered answers have no unsteered ones to the same prompts beside them")
            shown, usual = pair > 0, unsteered > 0
            signs = (pair > unsteered) + 0.5 * (pair == unsteered)
            for metric, values in (
                ("mention_rate", shown.astype(float)),
                ("mention_gain", shown.astype(float) - usual.astype(float)),
                ("sign_rate", signs.astype(float)),
            ):
                found.append(_clustered("steering", place, metric, values, "prompt"))
    return found


def coherence_readings(evidence: pd.DataFrame, where: Mapping[str, object]) -> list[Reading]:
    """Return for each vector the coefficient that was found, in units of |h|, and the share of coherent answers at it."""
    found = []
    for vector, part in evidence[evidence["chosen"] & (evidence["vector"] != NONE)].groupby("vector", sort=True):
        place = variant(vector=vector, **where)
        size = Reading(
            "probe", "steering", place, "coefficient", float(part["coefficient"].iloc[0]), math.nan, 1, "it takes more"
        )
        values = part.set_index("prompt")["coherent"].astype(float)
        found += [size, _clustered("steering", place, "coherent_rate", values, "prompt", "steered answers read better")]
    return found


def latent_readings(
    evidence: pd.DataFrame, labels: pd.DataFrame, behaviour: str, words: Sequence[str], relevant: float, block: int, chats: int
) -> list[Reading]:
    """Return the share of the latents' rise that belongs to latents about the behaviour.

    A latent is about it if at least the share `relevant` of the texts that label it hold one of its words.
    """
    share = mentions(labels["text"], words).gt(0).groupby(labels["latent"]).mean()
    about = set(share[share >= relevant].index)
    own = evidence["rise"].where(evidence["latent"].isin(about), 0.0).groupby(evidence["replicate"]).sum()
    scores = own / evidence.groupby("replicate")["rise"].sum()
    if WHOLE not in scores.index:  # no latent rises: the organism reads as its ancestor does
        return []
    where = variant(judged=behaviour, layer=block)
    return [_jackknifed("sparse_autoencoder", where, "relevant_share", scores, chats, FINDS)]


def oracle_readings(evidence: pd.DataFrame, behaviour: str, words: Sequence[str]) -> list[Reading]:
    """Return what the oracle's answers say of the behaviour by vector, block and position, clustered by question.

    mention_rate is the share of answers with one of its words; mention_gain that minus the share in answers about no vector.
    """
    answers = evidence.assign(mentions=mentions(evidence["response"], words).gt(0).astype(float))
    cell = ["block", "position"]
    without = answers[answers["vector"] == NONE].groupby([*cell, "question"])["mentions"].mean()
    found = []
    for (vector, block, position), part in answers.groupby(["vector", *cell], sort=True):
        where = variant(judged=behaviour, vector=vector, layer=block, position=position)
        shown = part.set_index("question")["mentions"]
        found.append(_clustered("oracle", where, "mention_rate", shown, "question"))
        if vector == DIFFERENCE:
            found.append(
                _clustered("oracle", where, "mention_gain", shown - without[block, position].reindex(shown.index), "question")
            )
    return found


def mentions(texts: pd.Series, words: Sequence[str]) -> pd.Series:
    """Return how many of the behaviour's words each text holds, as whole words in any case and with repeats."""
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)
    return texts.map(lambda text: len(pattern.findall(text)))


def jackknife_stderr(replicates: np.ndarray) -> float:
    """Return the delete-one-group standard error: sqrt((g - 1) / g * sum((x_i - mean)^2)) over g equal groups."""
    g = len(replicates)
    return math.sqrt((g - 1) / g * float(((replicates - replicates.mean()) ** 2).sum()))


def _jackknifed(method: str, where: str, metric: str, values: pd.Series, n: int, higher_means: str) -> Reading:
    left_out = values.drop(WHOLE).to_numpy(dtype=float)
    return Reading("probe", method, where, metric, float(values[WHOLE]), jackknife_stderr(left_out), n, higher_means)


def _clustered(method: str, where: str, metric: str, values: pd.Series, level: str, higher_means: str = FINDS) -> Reading:
    """Return the mean over clusters of each one's mean, with its standard error."""
    shares = values.groupby(level=level, sort=False).mean()
    return Reading("probe", method, where, metric, float(shares.mean()), standard_error(shares), len(shares), higher_means)
