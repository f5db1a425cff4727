"""One tidy table of every measurement, and one row an organism."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from belljar.analysis.naturalness import MODEL, first, headline_columns
from belljar.measurements import BENIGN, COLUMNS, KEY, PARENT_TECHNIQUE, check, parse_variant, variant
from belljar.study.naturalness import Headline

OVERALL = {"kind": "all", "items": "all", "split": "test"}


def collect(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return all measurements as one checked table in a fixed order; a repeated measurement is an InputError."""
    table = pd.concat(list(frames), ignore_index=True)[list(COLUMNS)]
    return check(table, "scores").sort_values(list(KEY), ignore_index=True, kind="stable")


def with_variants(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the table with each key of the variants as a column of its own (missing where a variant has no such key)."""
    keys = pd.DataFrame([parse_variant(text) for text in scores["variant"]], index=scores.index)
    return pd.concat([scores, keys], axis=1)


def organisms_table(
    scores: pd.DataFrame,
    floors: pd.DataFrame,
    primary: Mapping[str, Mapping[str, tuple[str, Mapping[str, str]]]],
    compared: pd.DataFrame,
    shown: Mapping[str, Headline],
) -> pd.DataFrame:
    """Return one row for each model and the behaviour it is judged for.

    An organism is judged for its own behaviour; a parent and a benign twin for every one. `primary` gives, by base and probe, the
    metric and variant that are its score: fixed by the config, never chosen by looking. Each probe has columns <probe>,
    <probe>_stderr, <probe>_floor and <probe>_above_floor. `compared` holds the differences from parent and twin, and `shown`
    names those that get columns: <name>, <name>_change and <name>_from_twin, each difference with its <...>_stderr.
    """
    spread = with_variants(scores)
    behaviours = sorted(set(spread["judged"].dropna()))
    rows = []
    differences = dict(list(compared.groupby(MODEL)))
    for key, model in spread.groupby(MODEL, sort=True):
        named = dict(zip(MODEL, key, strict=True))
        parent = spread[(spread["technique"] == PARENT_TECHNIQUE) & (spread["base"] == named["base"])]
        own = [named["behaviour"]] if named["behaviour"] in behaviours else behaviours
        for judged in own:
            row = named | {"judged": judged} | _strength(model, parent, judged)
            for method, (metric, where) in primary[named["base"]].items():
                row |= _probe(model, floors, named, judged, method, metric, where)
            lens = primary[named["base"]]["logit_lens"][1]
            row["norm_ratio"] = first(_of(model, "difference", "difference_norm_ratio", variant(**lens)))
            rows.append(row | headline_columns(model, differences.get(key, compared[:0]), shown, judged) | _training(model))
    return pd.DataFrame(rows)


def _strength(model: pd.DataFrame, parent: pd.DataFrame, judged: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    model, parent = (rows[rows["method"] == "rules"] for rows in (model, parent))  # a language model may have judged too
    for metric in ("expression_rate", "leak_rate"):
        row |= _cell(model, metric, metric, judged=judged, **OVERALL)
    return row | _cell(parent, "expression_rate", "parent_expression_rate", judged=judged, **OVERALL)


def _probe(
    model: pd.DataFrame,
    floors: pd.DataFrame,
    named: Mapping[str, Any],
    judged: str,
    method: str,
    metric: str,
    where: Mapping[str, str],
) -> dict[str, Any]:
    found = _of(model, method, metric, variant(judged=judged, **where))
    value = first(found)
    floor = _of(floors, method, metric, variant(**where))
    floor = floor[(floor["base"] == named["base"]) & (floor["judged"] == judged)]
    probed = len(floor) and (model["stage"] == "probe").any()  # a parent has no difference to hold against a floor
    bound = float(floor["floor"].iloc[0]) if probed else float("nan")
    # A twin is one of the readings that make the floor, and a missing floor decides nothing.
    decidable = named["behaviour"] != BENIGN and bound == bound and value == value
    return {
        method: value,
        f"{method}_stderr": first(found, "stderr"),
        f"{method}_floor": bound,
        f"{method}_above_floor": value > bound if decidable else None,
    }


def _training(model: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"target": first(model[model["metric"] == "target"])}
    reached = model[model["metric"] == "target_reached"]
    row["matched"] = bool(first(reached)) if len(reached) else None
    for metric in ("steps", "samples_seen", "learning_rate_dose"):
        row[metric] = first(model[model["metric"] == metric])
    return row


def _of(rows: pd.DataFrame, method: str, metric: str, where: str) -> pd.DataFrame:
    return rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["variant"] == where)]


def _cell(rows: pd.DataFrame, metric: str, name: str, **keys: str) -> dict[str, float]:
    found = rows[rows["metric"] == metric]
    for key, value in keys.items():
        found = found[found[key] == value] if key in found else found[:0]
    return {name: first(found), f"{name}_stderr": first(found, "stderr")}
