"""Rates of judged answers, with standard errors that respect that answers to one prompt are alike."""

import math
from typing import NamedTuple

import pandas as pd

from belljar.corpora.prompts import CONTROL, LOCKED, NO_ITEM, TRIGGER
from belljar.judging.rules import shows
from belljar.measurements import Reading, standard_error, variant
from belljar.strength.matching import Evaluation
from belljar.study.behaviours import Behaviour

ANSWER_COLUMNS = ("split", "role", "kind", "items", "criterion", "judged", "prompt", "sample", "response", "finished")
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
    return Rate(float(shares.mean()), standard_error(shares), len(shares), len(expressed))


def judge(answers: pd.DataFrame, behaviour: Behaviour) -> pd.DataFrame:
    """Return the answers that are about the behaviour, with a column `expressed`, by the rules."""
    own = about(answers, behaviour)
    return own.assign(expressed=[shows(behaviour, *asked) for asked in questions(own)])


def about(answers: pd.DataFrame, behaviour: Behaviour) -> pd.DataFrame:
    """Return the answers to the behaviour's own prompts, and all to control prompts that are no other behaviour's."""
    return answers[(answers["judged"] == behaviour.id) | (answers["judged"] == "")]


def shared_control(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the answers to control prompts that all behaviours share, which every model of a base is asked."""
    return answers[(answers["role"] == CONTROL) & (answers["judged"] == "")]


def questions(answers: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (criterion, prompt, response) of each answer: the criterion its prompt is for, empty for any on control prompts."""
    columns = (answers[name] for name in ("role", "criterion", "prompt", "response"))
    return [
        (criterion if role != CONTROL else "", prompt, response)
        for role, criterion, prompt, response in zip(*columns, strict=True)
    ]


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


def readings(judged: pd.DataFrame, behaviour: Behaviour, method: str = "rules") -> list[Reading]:
    """Return expression and leak rates: over all prompts, by prompt kind, and by whether the item was in the training rows.

    `judged` are answers with a column `expressed`. An answer without a decision (None) leaves the denominator; how many there are
    is a reading of its own.
    """
    decided = judged["expressed"].notna()
    undecided = []
    if not decided.all():
        where, missing = variant(judged=behaviour.id), float((~decided).mean())
        many = "more answers have no verdict"
        undecided = [Reading("strength", method, where, "undecided_rate", missing, math.nan, len(judged), many)]
        judged = judged[decided]
    found = undecided
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
