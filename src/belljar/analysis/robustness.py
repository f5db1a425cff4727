"""What attacks left of each organism, one row an attack, and the points of its dose curve."""

from typing import Any

import pandas as pd

from belljar.analysis.naturalness import MODEL, first
from belljar.analysis.scores import with_variants
from belljar.study.robustness import BEFORE

COLUMNS = [
    *MODEL,
    "attack",
    "expression_rate",
    "capability",
    "frontier_area",
    "frontier_area_stderr",
    "best_removal",
    "best_removal_stderr",
    "removed",
    "returned",
]


def robustness_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each organism and attack, with the columns COLUMNS; no rows where nothing was attacked.

    expression_rate and capability are the organism's before the attack. removed: the share of the behaviour that is gone after
    the last step, mean over the trainings of the grid. returned: of what they removed, the share that training back returned,
    summed over the trainings that removed something.
    """
    rows = with_variants(scores[scores["stage"] == "robustness"])
    found: list[dict[str, Any]] = []
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS)
    for key, part in rows.groupby([*MODEL, "attack"], sort=True):
        row = dict(zip([*MODEL, "attack"], key, strict=True))
        before = part[part["step"] == str(BEFORE)].set_index("metric")["value"]
        row |= {metric: before[metric] for metric in ("expression_rate", "capability")}
        for metric in ("frontier_area", "best_removal"):
            read = part[part["metric"] == metric]
            row |= {metric: first(read), f"{metric}_stderr": first(read, "stderr")}
        found.append(row | _removal(part, before["expression_rate"]))
    return pd.DataFrame(found, columns=COLUMNS)


def dose_curve(scores: pd.DataFrame) -> pd.DataFrame:
    """Return each attacked model's share of the behaviour that is left, by the attack's dose (learning rate x steps).

    Columns MODEL, attack, training, learning_rate, step, dose, left; organisms without behaviour are left out.
    """
    rows = with_variants(scores[(scores["stage"] == "robustness") & (scores["metric"] == "expression_rate")])
    if rows.empty:
        return pd.DataFrame(columns=[*MODEL, "attack", "training", "learning_rate", "step", "dose", "left"])
    forward = rows[rows["reversed"].isna()] if "reversed" in rows else rows
    key = [*MODEL, "attack"]
    before = forward[forward["step"] == str(BEFORE)].set_index(key)["value"].rename("before")
    after = forward[forward["step"] != str(BEFORE)].join(before, on=key)
    after = after[after["before"] > 0]
    after = after.assign(step=after["step"].astype(int), learning_rate=after["learning_rate"].astype(float))
    after = after.assign(dose=after["step"] * after["learning_rate"], left=after["value"] / after["before"])
    return after[[*key, "training", "learning_rate", "step", "dose", "left"]].reset_index(drop=True)


def _removal(part: pd.DataFrame, before: float) -> dict[str, float]:
    rates = part[(part["metric"] == "expression_rate") & (part["step"] != str(BEFORE))]
    rates = rates.assign(step=rates["step"].astype(int))
    again = rates["reversed"].notna() if "reversed" in rates else pd.Series(False, index=rates.index)
    training = ["training", "learning_rate"]
    last = rates[~again].sort_values("step").groupby(training)["value"].last()
    back = rates[again].groupby(training)["value"].last()
    removed = before - last
    gone = removed[removed > 0]
    returned = (back - last).reindex(gone.index).sum() / gone.sum() if len(back) and len(gone) else float("nan")
    return {"removed": float(removed.mean() / before) if before > 0 else float("nan"), "returned": float(returned)}
