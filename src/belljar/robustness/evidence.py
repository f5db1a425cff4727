"""The evidence of an attack: every answer on the way, and whether it is right."""

from collections.abc import Iterator, Sequence

import pandas as pd

from belljar.files import InputError
from belljar.judging.rules import shows
from belljar.study.behaviours import Behaviour
from belljar.study.robustness import BEFORE

SHOWN, CAPABLE = "shown", "capable"
MEASURED = ("kind", "item", "criterion", "prompt", "response", "right")  # of one model: kind is SHOWN or CAPABLE
ASKED = ["kind", "item", "prompt"]  # prompt: of a benchmark's items, the benchmark and a hash of its data
COLUMNS = ("attack", "method", "continued", "learning_rate", "step", "reversed", *MEASURED)


def judged(evidence: pd.DataFrame, behaviour: Behaviour) -> pd.DataFrame:
    """Return the evidence with `right` of each answer to a trigger prompt: whether it shows the behaviour, by the rules."""
    asked = evidence["kind"] == SHOWN
    answers = evidence.loc[asked, ["criterion", "prompt", "response"]].itertuples(index=False, name=None)
    found = evidence["right"].copy()
    found[asked] = [float(shows(behaviour, *answer)) for answer in answers]
    return evidence.assign(right=found)


def alike(parts: Sequence[pd.DataFrame]) -> None:
    """Raise InputError where not all attacked models were asked the same, so that their items cannot be compared."""
    first = parts[0][ASKED].drop_duplicates().reset_index(drop=True)
    for part in parts[1:]:
        for _, model in part.groupby(["step", "reversed"]):
            if not model[ASKED].drop_duplicates().reset_index(drop=True).equals(first):
                raise InputError(
                    "the kept trainings of an attack were not all asked the same (a benchmark's data have changed on the hub?); "
                    "delete evidence/attacks and evidence/before-attacks of the organism to have them made again."
                )


def pieces(evidence: pd.DataFrame) -> Iterator[tuple[tuple[str, float, int, bool], pd.DataFrame]]:
    """Yield each attacked model's (method, learning rate, step, reversed) and its rows, in a fixed order."""
    keys = ["method", "learning_rate", "step", "reversed"]
    yield from evidence[evidence["step"] != BEFORE].groupby(keys, sort=True)
