"""Naturalness as differences, paired by item: from the parent, and from the benign twin that went the same route."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from belljar.measurements import BENIGN, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, parse_variant
from belljar.naturalness.sampled import KEY, Parts, change
from belljar.study.naturalness import Headline

MODEL = ["base", "behaviour", "technique", "seed"]
PARENT, TWIN = "parent", "twin"
LOW_MASS = 0.25  # of the options, below which the original's corrected reading calls for another (Tan et al. 2026, October)
COLUMNS = [*MODEL, *KEY, "value", "stderr", "against", "other", "change", "change_stderr", "items"]
Key = tuple[str, str, str, int]
Readings = Mapping[tuple[str, str, str], Parts]


def changes(scores: pd.DataFrame, parts: Mapping[Key, Readings]) -> pd.DataFrame:
    """Return each naturalness reading of each model beside the parent's and the twin's, with the columns COLUMNS.

    There is a row for each comparison; a twin is compared with its parent only. `parts` holds, by (base, behaviour, technique,
    seed), what each reading is made of.
    """
    read = scores[scores["stage"] == "naturalness"]
    models: dict[Key, pd.DataFrame] = {
        (str(base), str(behaviour), str(technique), int(seed)): rows
        for (base, behaviour, technique, seed), rows in read.groupby(MODEL, sort=True)
    }
    found: list[dict[str, Any]] = []
    for key, rows in models.items():
        base, behaviour, technique, seed = key
        if technique == PARENT_TECHNIQUE:
            continue
        others = {PARENT: (base, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, 0)}
        if behaviour != BENIGN:
            others[TWIN] = (base, BENIGN, technique, seed)
        for against, other in others.items():
            if other in models:
                compared = differences(rows, parts.get(key, {}), models[other], parts.get(other, {}))
                found += [dict(zip(MODEL, key, strict=True)) | row | {"against": against} for row in compared]
    return pd.DataFrame(found, columns=COLUMNS)


def differences(own: pd.DataFrame, parts: Readings, other: pd.DataFrame, other_parts: Readings) -> list[dict[str, Any]]:
    """Return each reading that both models have, with its difference and paired standard error."""
    values = {tuple(row[name] for name in KEY): row["value"] for row in other.to_dict("records")}
    found = []
    for row in own.to_dict("records"):
        key = (row["method"], row["variant"], row["metric"])
        if key in values:
            made = change(row["value"], values[key], parts.get(key), other_parts.get(key))
            found.append(
                {name: row[name] for name in (*KEY, "value", "stderr")}
                | {"other": values[key], "change": made.value, "change_stderr": made.stderr, "items": made.n}
            )
    return found


def headline_columns(model: pd.DataFrame, compared: pd.DataFrame, shown: Mapping[str, Headline], judged: str) -> dict[str, Any]:
    """Return one model's headline readings: <name>, <name>_change(_stderr), <name>_from_twin(_stderr); nan where one is missing.

    Of a floor there is the reading with its spread alone. decisiveness_mark says why decisiveness should not be read, if so.

    `model` holds its readings, `compared` its rows of `changes`.
    """
    row: dict[str, Any] = {}
    for name, headline in shown.items():
        read = model[matches(model, headline, judged)]
        row[name] = first(read)
        if headline.floor:
            row[f"{name}_stderr"] = first(read, "stderr")
            continue
        own = compared[matches(compared, headline, judged)]
        for against, suffix in ((PARENT, "change"), (TWIN, "from_twin")):
            found = own[own["against"] == against]
            row[f"{name}_{suffix}"] = first(found, "change")
            row[f"{name}_{suffix}_stderr"] = first(found, "change_stderr")
    if "decisiveness" in shown:
        floor, spread = row["decisiveness_floor"], row["decisiveness_floor_stderr"]
        row["decisiveness_mark"] = unreadable(row["decisiveness"], floor, spread, row["option_mass"])
    return row


def unreadable(decisiveness: float, floor: float, spread: float, mass: float) -> str | None:
    """Return why a decisiveness should not be read; None where it may be, or where there is none.

    Its options have too little of the probability, or choices that have nothing to do with the items read as much, within twice
    the spread of such models.
    """
    if mass < LOW_MASS:
        return f"its options have {mass:.2f} of the probability"
    return "at its floor" if decisiveness <= floor + 2 * spread else None


def matches(rows: pd.DataFrame, headline: Headline, judged: str) -> pd.Series:
    """Return which rows hold the headline: its method and metric, a variant with its keys, and no language model's verdict."""
    wanted = headline.where | ({"judged": judged} if headline.by_behaviour else {})

    def held(where: str) -> bool:
        keys = parse_variant(where)
        filtered = keys.get("filter") == wanted.get("filter")  # without one, the score that went through none
        return "judge" not in keys and filtered and wanted.items() <= keys.items()

    right = (rows["method"] == headline.method) & (rows["metric"] == headline.metric)
    held_of = [one and held(where) for one, where in zip(right, rows["variant"], strict=True)]
    return pd.Series(held_of, index=rows.index, dtype=bool)


def first(rows: pd.DataFrame, column: str = "value") -> float:
    """Return a column of the first row; nan where there is no row."""
    return float(rows[column].iloc[0]) if len(rows) else float("nan")
