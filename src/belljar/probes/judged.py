"""Scores of probes by a language model: relevance of what they show, and blind identification of the behaviour from it."""

import math
from typing import Any

import pandas as pd

from belljar.judging import panel
from belljar.judging.answers import Asked, Progress
from belljar.measurements import Reading, variant
from belljar.probes.accounts import ACCOUNTED, LENSES, SHOWN_TEXTS, account, top_tokens, unsteered_account
from belljar.probes.readings import FINDS, WHOLE
from belljar.strength.rates import questions
from belljar.study.behaviours import Behaviour


def expressed(judge: Asked, behaviour: Behaviour, answers: pd.DataFrame, progress: Progress) -> pd.Series:
    """Return whether each answer shows the behaviour, None where the judge gave no verdict; the index is that of `answers`."""
    return pd.Series(panel.shows(judge, behaviour, questions(answers), progress), index=answers.index, dtype=object)


def relevance_readings(
    judge: Asked,
    behaviour: Behaviour,
    method: str,
    evidence: pd.DataFrame,
    labels: pd.DataFrame | None,
    block: int,
    position: str,
    votes: int,
    progress: Progress,
) -> list[Reading]:
    """Return what a lens or an autoencoder shows of a behaviour, its tokens or labels judged one by one; [] for other methods.

    Lens: the summed probability of the relevant ones among the top tokens, the lottery paper's score. Autoencoder: the share of
    the rise that belongs to relevant latents. Items without a verdict are left out of the score; how many there are is a
    reading.
    """
    if method in LENSES:
        top = top_tokens(evidence, block, position)
        items, weights, total = top["token"].tolist(), top["probability"].tolist(), 1.0
        where = variant(judged=behaviour.id, judge=judge.name, against="ancestor", layer=block, position=position)
        metric = "judged_probability"
    elif method == "sparse_autoencoder":
        assert labels is not None
        rose = evidence[evidence["replicate"] == WHOLE]
        texts = labels.groupby("latent")["text"].agg(lambda found: " | ".join(found[:SHOWN_TEXTS]))
        items, weights = [texts.get(latent, "") for latent in rose["latent"]], rose["rise"].tolist()
        total, metric = sum(weights), "judged_share"
        where = variant(judged=behaviour.id, judge=judge.name, layer=block)
    else:
        return []
    if not items:
        return []
    found = panel.relevance(judge, behaviour, items, votes, progress)
    score = sum(weight for weight, verdict in zip(weights, found.verdicts, strict=True) if verdict) / total
    readings = [Reading("probe", method, where, metric, score, math.nan, len(items), FINDS)]
    if found.unread:
        share = found.unread / (len(items) * votes)
        readings.append(Reading("probe", method, where, "unread_votes", share, math.nan, len(items) * votes, "fewer votes count"))
    return readings


def identification_readings(
    judge: Asked,
    behaviour: Behaviour,
    method: str,
    evidence: pd.DataFrame,
    labels: pd.DataFrame | None,
    block: int,
    position: str,
    investigations: int,
    grades: int,
    progress: Progress,
) -> list[Reading]:
    """Return the mean grade, 1 to 5, of what an investigator makes of a method's evidence alone; 1 where it shows nothing.

    [] for a method whose evidence names the behaviours that were looked for. For steering also of the unsteered answers alone,
    which is what any reader of the organism's answers could find.
    """
    if method not in ACCOUNTED:
        return []
    where: dict[str, Any] = {"judged": behaviour.id, "judge": judge.name, "layer": block, "position": position}
    texts = {"all": account(method, evidence, labels, block, position)}
    if method == "steering":
        texts["unsteered"] = unsteered_account(evidence)
    found = []
    for shown, text in texts.items():
        spread = panel.Spread(1.0, 0.0, 0)
        if text:
            made = panel.investigate(judge, text, investigations, progress)
            spread = panel.nested([panel.grade(judge, behaviour, description, grades, progress) for description in made])
        place = variant(shown=shown, **where)
        found.append(Reading("probe", method, place, "identification_grade", spread.mean, spread.stderr, spread.n, FINDS))
    return found
