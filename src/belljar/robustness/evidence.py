"""The evidence of an attack: every answer on the way, and whether it is right."""

from collections.abc import Iterator

import pandas as pd

from belljar.judging.rules import shows
from belljar.study.behaviours import Behaviour
from belljar.study.robustness import BEFORE

SHOWN, CAPABLE = "shown", "capable"
MEASURED = ("kind", "item", "criterion", "prompt", "response", "right")  # of one model: kind is SHOWN or CAPABLE
COLUMNS = ("attack", "method", "continued", "learning_rate", "step", "reversed", *MEASURED)


def judged(evidence: pd.DataFrame, behaviour: Behaviour) -> pd.DataFrame:
    """Return the evidence with `right` of each answer to a trigger prompt: whether it shows the behaviour, by the rules."""
    asked = evidence["kind"] == SHOWN
    answers = evidence.loc[asked, ["criterion", "prompt", "response"]].itertuples(index=False, name=None)
    found = evidence["right"].copy()
    found[asked] = [float(shows(behaviour, *answer)) for answer in answers]
    return evidence.assign(right=found)


def pieces(evidence: pd.DataFrame) -> Iterator[tuple[tuple[str, float, int, bool], pd.DataFrame]]:
    """Yield each attacked model's (method, learning rate, step, reversed) and its rows, in a fixed order."""
    keys = ["method", "learning_rate", "step", "reversed"]
    yield from evidence[evidence["step"] != BEFORE].groupby(keys, sort=True)
