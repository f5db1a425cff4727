"""The one table shape of every measurement, and its check."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from belljar.files import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "study",
    "base",
    "behaviour",
    "technique",
    "seed",
    "stage",
    "method",
    "variant",
    "metric",
    "value",
    "stderr",
    "n",
    "higher_means",
)
KEY = COLUMNS[:9]
STAGES = ("training", "strength", "probe", "naturalness", "robustness")
# The parent base is measured like an organism, under these two words.
PARENT_BEHAVIOUR, PARENT_TECHNIQUE = "none", "parent"
BENIGN = "benign"


class Model(NamedTuple):
    """Which model a measurement is of."""

    study: str
    base: str
    behaviour: str
    technique: str
    seed: int


class Reading(NamedTuple):
    """One measured number, before it is said which model it is of."""

    stage: str
    method: str
    variant: str
    metric: str
    value: float
    stderr: float
    n: int
    higher_means: str


def standard_error(values: Any) -> float:
    """Return sd (ddof 1) / sqrt(n) of an array or Series; nan of one value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def variant(**keys: Any) -> str:
    """Return "key=value;key=value" with the keys in order; values may hold neither ';' nor '='."""
    parts = []
    for key in sorted(keys):
        text = str(keys[key])
        if ";" in text or "=" in text:
            raise ValueError(f"a variant's value may hold neither ';' nor '=': {key}={text!r}")
        parts.append(f"{key}={text}")
    return ";".join(parts)


def parse_variant(text: str) -> dict[str, str]:
    """Return the keys and values of a variant; the empty text has none."""
    return dict(part.split("=", 1) for part in text.split(";")) if text else {}


def table(model: Model, readings: Sequence[Reading]) -> "pd.DataFrame":
    """Return the checked measurement table of `readings` of one model, in COLUMNS order."""
    import pandas as pd

    rows = [dict(zip(COLUMNS, (*model, *reading), strict=True)) for reading in readings]
    return check(pd.DataFrame(rows, columns=list(COLUMNS)), "these readings")


def check(rows: "pd.DataFrame", source: str) -> "pd.DataFrame":
    """Return `rows` with exact column types, or raise InputError naming `source` and what is wrong."""
    kinds: Mapping[str, str] = {"seed": "int64", "n": "int64", "value": "float64", "stderr": "float64"}
    if tuple(rows.columns) != COLUMNS:
        raise InputError(f"{source}: the columns are {', '.join(rows.columns)}; they must be {', '.join(COLUMNS)}.")
    rows = rows.astype({column: kinds.get(column, "str") for column in COLUMNS})
    bad = rows[~rows["stage"].isin(STAGES)]
    if len(bad):
        raise InputError(f"{source}: stage {bad['stage'].iloc[0]!r} is none of {', '.join(STAGES)}.")
    if rows["value"].isna().any():
        row = rows[rows["value"].isna()].iloc[0]
        raise InputError(
            f"{source}: {row['method']} {row['metric']} ({row['variant']}) has no value; leave a missing measurement out."
        )
    repeated = rows[rows.duplicated(list(KEY))]
    if len(repeated):
        raise InputError(f"{source}: two rows measure the same thing: {', '.join(map(str, repeated.iloc[0][list(KEY)]))}.")
    return rows
