"""One row a technique: means over seeds, and what separates organisms of one strength."""

from collections.abc import Mapping, Sequence

import pandas as pd

from belljar.measurements import BENIGN, PARENT_TECHNIQUE
from belljar.study.naturalness import Headline

ROUTE = ["base", "judged", "behaviour", "technique"]
MEANS = (
    "target",
    "expression_rate",
    "leak_rate",
    "steps",
    "samples_seen",
    "learning_rate_dose",
)


def techniques_table(organisms: pd.DataFrame, methods: Sequence[str], shown: Mapping[str, Headline]) -> pd.DataFrame:
    """Return one row for each base, judged behaviour and technique: means over seeds, <probe>_sd between seeds (nan of one seed).

    `matched` counts the seeds whose strength reached the target, `seeds` all; <probe>_above_floor compares the mean with the
    floor, and has no value for a benign twin, which is one of the readings that make the floor. Of each naturalness reading in
    `shown` there are the mean change from the parent and from the twin. Parents are left out.
    """
    rows = []
    changing = [name for name, headline in shown.items() if not headline.floor]
    means = [*MEANS, *(f"{name}_{against}" for name in changing for against in ("change", "from_twin"))]
    models = organisms[organisms["technique"] != PARENT_TECHNIQUE]
    for key, group in models.groupby(ROUTE, sort=True):
        row = dict(zip(ROUTE, key, strict=True)) | {"seeds": len(group)}
        row["matched"] = int((group["matched"] == True).sum())  # noqa: E712  missing is not matched
        row |= {name: group[name].astype(float).mean() for name in means if name in group}
        for method in methods:
            value, floor = group[method].astype(float).mean(), group[f"{method}_floor"].astype(float).mean()
            row |= {method: value, f"{method}_sd": group[method].astype(float).std(ddof=1), f"{method}_floor": floor}
            probed = row["behaviour"] != BENIGN and value == value and floor == floor
            row[f"{method}_above_floor"] = value > floor if probed else None
        rows.append(row)
    found = pd.DataFrame(rows)
    return found.sort_values(["base", "judged", "behaviour"], key=_twins_last, kind="stable", ignore_index=True)


def _twins_last(column: pd.Series) -> pd.Series:
    return column == BENIGN if column.name == "behaviour" else column
