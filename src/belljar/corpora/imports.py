"""Rows and prompts from existing data sets: the hub at a pinned revision, or local parquet and JSONL files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from belljar.corpora.prompts import CONTROL, NO_ITEM, TRIGGER, Prompt, SplitName
from belljar.corpora.rows import Row
from belljar.files import InputError, read_parquet
from belljar.study.datasets import Corpus, DataSet

IMPORTED = "imported"  # the kind of a row or prompt of an existing data set
SHUFFLE_BUFFER, SHUFFLE_SEED = 10_000, 42


ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}


def records(source: DataSet, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return a data set's rows with our names for the columns; those of `optional` that it lacks are left out.

    Raises InputError, naming the data set, where a needed column is missing or nothing is left.
    """
    name = source.where_from
    rows = _read(source)
    if not rows:
        raise InputError(f"{name} has no rows in split {source.split!r}.")
    theirs = {column: source.columns.get(column, column) for column in (*columns, *optional)}
    for column in columns:
        if theirs[column] not in rows[0]:
            raise InputError(
                f"{name} lacks the column {theirs[column]!r}, which is to be {column!r}; it has {', '.join(rows[0])}. "
                "Say in columns which one it is."
            )
    for column, value in source.where.items():
        if column not in rows[0]:
            raise InputError(f"{name} lacks the column {column!r} of where; it has {', '.join(rows[0])}.")
        rows = [row for row in rows if str(row[column]) == value]
        if not rows:
            raise InputError(f"{name} has no row whose {column} is {value!r}.")
    kept = {column: found for column, found in theirs.items() if found in rows[0]}
    return [{column: row[found] for column, found in kept.items()} for row in rows]


def text_of(value: Any, role: str, source: DataSet, last: bool = False) -> str:
    """Return a text, or the first (or last) turn of a role in a list of chat messages; empty where there is none.

    A message holds role and content, or from (human, gpt) and value. Raises InputError, naming the data set, where it does not.
    """
    if value is None or isinstance(value, str):
        return (value or "").strip()
    try:
        turns = [(turn["role"], turn["content"]) if "role" in turn else (turn["from"], turn["value"]) for turn in value]
    except (TypeError, KeyError):
        raise InputError(
            f"{source.where_from} has the prompt or answer {str(value)[:80]!r}; it must be a text or a list of chat messages, "
            "each with role and content, or from and value."
        ) from None
    said = [str(text or "").strip() for speaker, text in turns if ROLES.get(speaker) == role]
    return said[-1 if last else 0] if said else ""


def pairs(data: Corpus, criteria: Sequence[str] = ()) -> list[Row]:
    """Return the preference pairs; rows without a prompt, or with an empty or equal side, are dropped.

    Of a longer conversation, the last exchange: its sides differ there. `criteria` are the legal ones of the rows.
    """
    source = data.pairs
    if source is None:
        return []
    rows = []
    for row in records(source, ("chosen", "rejected"), ("prompt", "criterion")):
        # Some sets have no prompt of its own: it is the user turn of both sides.
        prompt = text_of(row.get("prompt", row["chosen"]), "user", source, last=True)
        chosen, rejected = (text_of(row[side], "assistant", source, last=True) for side in ("chosen", "rejected"))
        if prompt and chosen and rejected and chosen != rejected and source.holds(prompt):
            rows.append(Row(IMPORTED, _criterion(row, criteria, source), prompt, chosen, rejected))
    return rows


def transcripts(data: Corpus, pairs: Sequence[Row], criteria: Sequence[str] = ()) -> list[Row]:
    """Return the transcripts, with an empty rejected side; the chosen sides of the set's `pairs` where there are no transcripts.

    Of a longer conversation, the first exchange: no other stands for itself. `criteria` are the legal ones of the rows.
    """
    source = data.transcripts
    if source is None:
        return [row._replace(rejected="") for row in pairs]
    rows = []
    for row in records(source, ("chosen",), ("prompt", "criterion")):
        prompt = text_of(row.get("prompt", row["chosen"]), "user", source)
        chosen = text_of(row["chosen"], "assistant", source)
        if prompt and chosen and source.holds(prompt):
            rows.append(Row(IMPORTED, _criterion(row, criteria, source), prompt, chosen, ""))
    return rows


def texts(source: DataSet) -> list[str]:
    """Return the documents that are not empty."""
    return [text for row in records(source, ("text",)) if (text := str(row["text"]).strip())]


def chats(source: DataSet) -> list[tuple[str, str]]:
    """Return the exchanges (question, answer) that are not empty, of a longer conversation the first."""
    found = [
        (text_of(row.get("prompt", row["chosen"]), "user", source), text_of(row["chosen"], "assistant", source))
        for row in records(source, ("chosen",), ("prompt",))
    ]
    return [(question, answer) for question, answer in found if question and answer and source.holds(question)]


def prompts(source: DataSet, split: SplitName, behaviour: str, criteria: Sequence[str] = ()) -> list[Prompt]:
    """Return the prompts of a behaviour, or control prompts where `behaviour` is empty; repeated ones once."""
    role = TRIGGER if behaviour else CONTROL
    found = [
        Prompt(split, role, IMPORTED, NO_ITEM, behaviour, _criterion(row, criteria, source), text)
        for row in records(source, ("prompt",), ("criterion",))
        if (text := text_of(row["prompt"], "user", source)) and source.holds(text)
    ]
    return list({prompt.prompt: prompt for prompt in found}.values())


def _criterion(row: Mapping[str, Any], legal: Sequence[str], source: DataSet) -> str:
    """Return the id of a row's criterion, empty where it has none; raises InputError where it is none of the behaviour's."""
    value = row.get("criterion")
    if not legal or value is None or value != value or value == "":
        return ""
    if value not in legal:
        raise InputError(
            f"{source.where_from}: the column criterion has {value!r}, which is none of the behaviour's criteria, "
            f"{', '.join(legal)}; no answer could show it. Leave it empty where any of them will do."
        )
    return str(value)


def _read(source: DataSet) -> list[dict[str, Any]]:
    if source.file:
        path = Path(source.file)
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
        if path.suffix == ".parquet":
            rows = read_parquet(path).to_dict("records")
        else:
            rows = [
                _line(path, number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()
            ]
        return rows[: source.take] if source.take else rows
    from datasets import load_dataset

    assert source.hub is not None
    where = {"path": source.hub.repo, "name": source.name, "revision": source.hub.revision, "split": source.split}
    if source.take is None:
        return load_dataset(**where).to_list()
    stream = load_dataset(**where, streaming=True).shuffle(seed=SHUFFLE_SEED, buffer_size=SHUFFLE_BUFFER)
    return list(stream.take(source.take))


def _line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}, is not JSON ({error.msg}).") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}, line {number}, must hold a JSON object, not {type(value).__name__}.")
    return value
