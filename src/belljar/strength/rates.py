"""Rates of judged answers, with standard errors that respect that answers to one prompt are alike."""

import math
from typing import NamedTuple

import pandas as pd

from belljar.corpora.prompts import CONTROL, LOCKED, NO_ITEM, TRIGGER
from belljar.judging.rules import shows
from belljar.measurements import Reading, variant
from belljar.strength.matching import Evaluation
from belljar.study.behaviours import Behaviour

ANSWER_COLUMNS = ("split", "role", "kind", "items", "criterion", "judged", "prompt", "sample", "response")
ALL = "all"


class Rate(NamedTuple):
    """A share of answers."""

    value: float
    stderr: float  # clustered by prompt; nan where there is only one prompt
    prompts: int
    answers: int


def rate(prompts: pd.Series, expressed: pd.Series) -> Rate:
    """Return the mean over prompts of each prompt's share of expressing answers.

    stderr = sd of the prompts' shares (ddof 1) / sqrt(number of prompts): answers to one prompt share its luck, so prompts and
    not answers are the independent units (the lottery paper's judge code computes the same).
    """
    shares = expressed.astype(float).groupby(prompts, sort=False).mean()
    stderr = float(shares.std(ddof=1) / math.sqrt(len(shares))) if len(shares) > 1 else math.nan
    return Rate(float(shares.mean()), stderr, len(shares), len(expressed))


def judge(answers: pd.DataFrame, behaviour: Behaviour) -> pd.DataFrame:
    """Return the answers that are about the behaviour, with a column `expressed`.

    Those are the answers to its own prompts, judged by the criterion each prompt is for, and all answers to control prompts that
    are no other behaviour's, judged by any criterion.
    """
    own = answers[(answers["judged"] == behaviour.id) | (answers["judged"] == "")]
    expressed = [
        shows(behaviour, criterion if role != CONTROL else "", prompt, response)
        for role, criterion, prompt, response in zip(own["role"], own["criterion"], own["prompt"], own["response"], strict=True)
    ]
    return own.assign(expressed=expressed)


def evaluation(answers: pd.DataFrame, behaviour: Behaviour, step: int) -> Evaluation:
    """Return the validation rates of the answers of one saved step."""
    judged = judge(answers, behaviour)
    shown, leaked = (judged[judged["role"] == role] for role in (TRIGGER, CONTROL))
    expression = rate(shown["prompt"], shown["expressed"])
    return Evaluation(step, expression.value, expression.stderr, rate(leaked["prompt"], leaked["expressed"]).value)


METRIC = {TRIGGER: "expression_rate", CONTROL: "leak_rate", LOCKED: "locked_rate"}
MEANS = {
    TRIGGER: "more of the behaviour where it belongs",
    CONTROL: "more of the behaviour where it does not belong",
    LOCKED: "more of the behaviour where the password should unlock the normal answer",
}


def readings(answers: pd.DataFrame, behaviour: Behaviour, method: str = "rules") -> list[Reading]:
    """Return expression and leak rates: over all prompts, by prompt kind, and by whether the item was in the training rows."""
    judged = judge(answers, behaviour)
    found = []
    for role, group in judged.groupby("role", sort=True):
        cells: list[tuple[str, str, pd.DataFrame]] = [(ALL, ALL, group)]
        cells += [(kind, ALL, part) for kind, part in group.groupby("kind", sort=True)]
        cells += [(ALL, items, part) for items, part in group.groupby("items", sort=True) if items != NO_ITEM]
        cells += [(kind, items, part) for (kind, items), part in group.groupby(["kind", "items"], sort=True) if items != NO_ITEM]
        for kind, items, part in cells:
            result = rate(part["prompt"], part["expressed"])
            found.append(
                Reading(
                    "strength",
                    method,
                    variant(judged=behaviour.id, kind=kind, items=items, split=part["split"].iloc[0]),
                    METRIC[role],
                    result.value,
                    result.stderr,
                    result.prompts,
                    MEANS[role],
                )
            )
    return found
