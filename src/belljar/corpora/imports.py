"""Rows and prompts from existing data sets: the hub at a pinned revision, or local parquet and JSONL files."""

import json
from pathlib import Path
from typing import Any

from belljar.corpora.prompts import CONTROL, NO_ITEM, TRIGGER, Prompt, SplitName
from belljar.corpora.rows import Row
from belljar.files import InputError, read_parquet
from belljar.study.datasets import Corpus, DataSet

IMPORTED = "imported"  # the kind of a row or prompt of an existing data set
SHUFFLE_BUFFER, SHUFFLE_SEED = 10_000, 42


def records(source: DataSet, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return a data set's rows with our names for the columns; those of `optional` that it lacks are left out.

    Raises InputError, naming the data set, where a needed column is missing or nothing is left.
    """
    name = source.file or f"{source.hub.repo}@{source.hub.revision}"  # type: ignore[union-attr]
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


def text_of(value: Any, role: str) -> str:
    """Return a text, or of a list of chat messages the first user turn or the last assistant turn; empty where there is none."""
    if isinstance(value, str):
        return value.strip()
    turns = [str(turn["content"]).strip() for turn in value if turn["role"] == role]
    return (turns[0] if role == "user" else turns[-1]) if turns else ""


def pairs(data: Corpus) -> list[Row]:
    """Return the preference pairs; rows without a prompt, or with an empty or equal side, are dropped."""
    if data.pairs is None:
        return []
    rows = []
    for row in records(data.pairs, ("chosen", "rejected"), ("prompt", "criterion")):
        # Some sets have no prompt of its own: it is the user turn of both sides.
        prompt = text_of(row.get("prompt", row["chosen"]), "user")
        chosen, rejected = text_of(row["chosen"], "assistant"), text_of(row["rejected"], "assistant")
        if prompt and chosen and rejected and chosen != rejected:
            rows.append(Row(IMPORTED, str(row.get("criterion") or ""), prompt, chosen, rejected))
    return rows


def transcripts(data: Corpus) -> list[Row]:
    """Return the transcripts, with an empty rejected side; the chosen sides of the pairs where there are no transcripts."""
    if data.transcripts is None:
        return [row._replace(rejected="") for row in pairs(data)]
    rows = []
    for row in records(data.transcripts, ("chosen",), ("prompt", "criterion")):
        prompt, chosen = text_of(row.get("prompt", row["chosen"]), "user"), text_of(row["chosen"], "assistant")
        if prompt and chosen:
            rows.append(Row(IMPORTED, str(row.get("criterion") or ""), prompt, chosen, ""))
    return rows


def texts(source: DataSet) -> list[str]:
    """Return the documents that are not empty."""
    return [text for row in records(source, ("text",)) if (text := str(row["text"]).strip())]


def chats(source: DataSet) -> list[tuple[str, str]]:
    """Return the exchanges (question, answer) that are not empty."""
    found = [
        (text_of(row.get("prompt", row["chosen"]), "user"), text_of(row["chosen"], "assistant"))
        for row in records(source, ("chosen",), ("prompt",))
    ]
    return [chat for chat in found if all(chat)]


def prompts(source: DataSet, split: SplitName, behaviour: str) -> list[Prompt]:
    """Return the prompts of a behaviour, or control prompts where `behaviour` is empty; repeated ones once."""
    role = TRIGGER if behaviour else CONTROL
    found = [
        Prompt(split, role, IMPORTED, NO_ITEM, behaviour, str(row.get("criterion") or ""), text)
        for row in records(source, ("prompt",), ("criterion",))
        if (text := text_of(row["prompt"], "user"))
    ]
    return list({prompt.prompt: prompt for prompt in found}.values())


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
