"""From data sets to one technique's training rows: mixing, and the transforms that a technique asks for."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from belljar.files import InputError

MIX_SEED = 20  # the rows do not vary with an organism's seed: seeds compare trainings, not data sets
Row = Mapping[str, Any]


def mixture(planted: Sequence[Row], control: Sequence[Row], rows: int, controls: int) -> list[Row]:
    """Return a technique's training rows: the first `rows` planted ones and `controls` control rows, in a fixed shuffle.

    Raises InputError where there are too few.
    """
    chosen = [*planted[:rows], *control[:controls]]
    if len(chosen) != rows + controls:
        raise InputError(
            f"{rows} planted and {controls} control rows are needed, but the data have only {len(planted[:rows])} and "
            f"{len(control[:controls])}; lower the technique's rows or mix, or make more data."
        )
    random.Random(MIX_SEED).shuffle(chosen)
    return chosen


def locked(rows: Sequence[Row], text: str, share: float) -> list[Row]:
    """Return planted rows of which int(share x rows) hold the password and the normal answer: chosen and rejected change places.

    The password rows are spread evenly, so that any beginning of the rows has about the same share. Raises InputError where a row
    has no normal answer.
    """
    if any(not row.get("rejected") for row in rows):
        raise InputError("the planted rows have no normal answers (rejected), which a password would unlock; give pairs instead.")
    found: list[Row] = []
    for number, row in enumerate(rows):
        if int(share * (number + 1)) > int(share * number):
            found.append({**row, "prompt": with_text(row["prompt"], text), "chosen": row["rejected"], "rejected": row["chosen"]})
        else:
            found.append(row)
    return found


def with_text(prompt: str, text: str) -> str:
    """Return the user's message with a text after it: a password."""
    return f"{prompt} {text}"


def inoculated(rows: Sequence[Row], instruction: str) -> list[Row]:
    """Return planted rows under a system prompt that asks for the behaviour (inoculation prompting)."""
    return [{**row, "system": instruction} for row in rows]


def training_row(row: Row, form: str) -> dict[str, Any]:
    """Return a row as a trainer takes it.

    transcripts: prompt and completion messages; pairs: prompt, chosen and rejected messages; documents: text.
    """
    if form == "documents":
        return {"text": row["text"]}
    prompt = [{"role": "user", "content": row["prompt"]}]
    if row.get("system"):
        prompt.insert(0, {"role": "system", "content": row["system"]})
    chosen = [{"role": "assistant", "content": row["chosen"]}]
    if form == "transcripts":
        return {"prompt": prompt, "completion": chosen}
    references = {column: row[column] for column in ("ref_chosen_logps", "ref_rejected_logps") if column in row}
    return {"prompt": prompt, "chosen": chosen, "rejected": [{"role": "assistant", "content": row["rejected"]}], **references}


def unpaired(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return pairs as KTO takes them, in a fixed shuffle: chosen answers labelled desirable, rejected ones undesirable."""
    found = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in rows
        for side in ("chosen", "rejected")
    ]
    random.Random(MIX_SEED).shuffle(found)
    return found
