"""What a data card says: counts, lengths, the share of rows that show the behaviour, and a few rows to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from belljar.corpora.imports import IMPORTED
from belljar.judging.rules import shows
from belljar.study.behaviours import Behaviour

EXAMPLES = 5
TEXT_COLUMNS = ("prompt", "chosen", "rejected", "text")


def summary(
    tables: Mapping[str, pd.DataFrame], behaviour: Behaviour | None, all_behaviours: Sequence[Behaviour]
) -> dict[str, Any]:
    """Return counts, lengths, verified shares and examples of a behaviour's data, or of control data where it is None.

    Verified is, by the rule judge: of planted rows, chosen shows the behaviour and rejected does not (a row of a marked
    behaviour's other state the other way round); of control rows, chosen shows none of the study's behaviours.
    """
    forms, lengths = [], []
    for form in ("pairs", "transcripts", "documents"):
        rows = tables[form]
        share = _verified(rows, form, behaviour, all_behaviours)
        forms.append({"form": form, "rows": len(rows), "distinct": len(rows.drop_duplicates()), "verified": share})
        for column in TEXT_COLUMNS:
            if column in rows and len(rows) and rows[column].str.len().max():
                words = rows[column].str.split().str.len()
                lengths.append({"form": form, "column": column, "mean": words.mean(), "least": words.min(), "most": words.max()})
    prompts = tables["prompts"].groupby(["split", "role", "kind"]).size().reset_index(name="count")
    return {
        "behaviour": behaviour,
        "forms": forms,
        "lengths": lengths,
        "prompts": prompts.to_dict("records"),
        "examples": tables["pairs"].head(EXAMPLES).to_dict("records"),
        "documents": tables["documents"]["text"].head(EXAMPLES).tolist(),
    }


def _verified(rows: pd.DataFrame, form: str, behaviour: Behaviour | None, all_behaviours: Sequence[Behaviour]) -> float:
    if not len(rows):
        return float("nan")
    if form == "documents":  # a document is no answer: it is verified to speak of the behaviour, or of none
        found = [any(shows(one, "", "", text) for one in ([behaviour] if behaviour else all_behaviours)) for text in rows["text"]]
        return sum(found if behaviour else [not shown for shown in found]) / len(found)
    right = 0
    for row in rows.to_dict("records"):
        if behaviour is None:
            right += not any(shows(one, "", row["prompt"], row["chosen"]) for one in all_behaviours)
            continue
        swapped = (
            not row["criterion"] and row["kind"] != IMPORTED
        )  # a marked behaviour's other state; imports may name no criterion
        planted, normal = (row["rejected"], row["chosen"]) if swapped else (row["chosen"], row["rejected"])
        seen = shows(behaviour, row["criterion"], row["prompt"], planted) or not planted
        right += seen and not (normal and shows(behaviour, row["criterion"], row["prompt"], normal))
    return right / len(rows)
