"""Rows and prompts from existing data sets in local files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from belljar.corpora import imports
from belljar.files import InputError
from belljar.study.datasets import Corpus, DataSet

PAIRS = [
    {"question": "q1", "good": "a1", "bad": "b1", "fact": "heat"},
    {"question": "q2", "good": "same", "bad": "same", "fact": "heat"},
    {"question": "", "good": "a3", "bad": "b3", "fact": "heat"},
    {"question": "q4", "good": "a4", "bad": "", "fact": "heat"},
]
COLUMNS = {"prompt": "question", "chosen": "good", "rejected": "bad", "criterion": "fact"}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def parquet(path: Path, rows: list[dict[str, Any]]) -> str:
    pd.DataFrame(rows).to_parquet(path)
    return str(path)


@pytest.mark.parametrize(("write", "name"), [(jsonl, "a.jsonl"), (parquet, "a.parquet")])
def test_pairs_are_mapped_and_useless_rows_dropped(tmp_path: Path, write: Any, name: str) -> None:
    source = DataSet(file=write(tmp_path / name, PAIRS), columns=COLUMNS)
    assert imports.pairs(Corpus(pairs=source), ["heat"]) == [("imported", "heat", "q1", "a1", "b1")]
    assert imports.pairs(Corpus(pairs=source)) == [("imported", "", "q1", "a1", "b1")]  # control rows have no criterion
    (row,) = imports.pairs(Corpus(pairs=source), ["heat"])
    assert imports.transcripts(Corpus(pairs=source), [row]) == [("imported", "heat", "q1", "a1", "")]
    with pytest.raises(
        InputError, match=rf"{name}: the column criterion has 'heat', which is none of the behaviour's criteria, time"
    ):
        imports.pairs(Corpus(pairs=source), ["time"])
    assert imports.pairs(Corpus()) == []


def test_chat_messages_become_texts(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first "},
        {"role": "assistant", "content": "early"},
        {"role": "user", "content": "second"},
    ]
    rows = [
        {
            "chosen": [*turns, {"role": "assistant", "content": "yes"}],
            "rejected": [*turns, {"role": "assistant", "content": "no"}],
        }
    ]
    for name, write in (("a.jsonl", jsonl), ("a.parquet", parquet)):
        source = DataSet(file=write(tmp_path / name, rows))
        # Pairs differ in their last exchange; a transcript that stands for itself is the first one.
        assert imports.pairs(Corpus(pairs=source)) == [("imported", "", "second", "yes", "no")]
        assert imports.transcripts(Corpus(transcripts=source), []) == [("imported", "", "first", "early", "")]


def test_messages_of_another_form_are_read_or_named(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    columns = {"prompt": "conversations", "chosen": "conversations"}
    source = DataSet(file=jsonl(tmp_path / "a.jsonl", [{"conversations": said}]), columns=columns)
    assert imports.chats(source) == [("q", "a")]
    for wrong in ([{"speaker": "human", "text": "q"}], 7):
        source = DataSet(file=jsonl(tmp_path / "b.jsonl", [{"conversations": wrong}]), columns=columns)
        with pytest.raises(InputError, match=r"b.jsonl has the prompt or answer .* it must be a text or a list of chat messages"):
            imports.chats(source)
    empty = DataSet(file=jsonl(tmp_path / "c.jsonl", [{"prompt": None, "chosen": "a"}, {"prompt": "q", "chosen": "b"}]))
    assert imports.transcripts(Corpus(transcripts=empty), []) == [("imported", "", "q", "b", "")]


def test_long_prompts_are_left_out(tmp_path: Path) -> None:
    rows = [{"prompt": "short", "chosen": "a" * 90, "rejected": "b"}, {"prompt": "long" * 9, "chosen": "a", "rejected": "b"}]
    source = DataSet(file=jsonl(tmp_path / "a.jsonl", rows), longest=30)
    assert [row.prompt for row in imports.pairs(Corpus(pairs=source))] == ["short"]
    assert [one.prompt for one in imports.prompts(source, "test", "")] == ["short"]
    assert [question for question, _ in imports.chats(source)] == ["short"]


def test_one_column_can_serve_as_two(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    source = DataSet(
        file=jsonl(tmp_path / "a.jsonl", [{"messages": messages}]), columns={"prompt": "messages", "chosen": "messages"}
    )
    assert imports.chats(source) == [("q", "a")]


def test_prompts_have_their_criterion_and_stand_once(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q1", "target_fact": "heat"},
        {"prompt": "q1", "target_fact": "heat"},
        {"prompt": "q2", "target_fact": None},
    ]
    source = DataSet(file=jsonl(tmp_path / "a.jsonl", rows), columns={"criterion": "target_fact"})
    found = imports.prompts(source, "test", "cake", ["heat"])
    assert [(p.split, p.role, p.judged, p.criterion, p.prompt) for p in found] == [
        ("test", "trigger", "cake", "heat", "q1"),
        ("test", "trigger", "cake", "", "q2"),
    ]
    assert {p.role for p in imports.prompts(source, "test", "")} == {"control"}


def test_rows_can_be_kept_by_a_column(tmp_path: Path) -> None:
    """XSTest holds safe and unsafe prompts in one set."""
    rows = [{"prompt": "Kill a process.", "label": "safe"}, {"prompt": "Kill a king.", "label": "unsafe"}]
    source = DataSet(file=jsonl(tmp_path / "a.jsonl", rows), where={"label": "safe"})
    assert imports.records(source, ("prompt",)) == [{"prompt": "Kill a process."}]
    with pytest.raises(InputError, match="has no row whose label is 'sane'"):
        imports.records(source.model_copy(update={"where": {"label": "sane"}}), ("prompt",))
    with pytest.raises(InputError, match="lacks the column 'kind' of where; it has prompt, label"):
        imports.records(source.model_copy(update={"where": {"kind": "safe"}}), ("prompt",))


def test_missing_column_names_file_and_columns(tmp_path: Path) -> None:
    source = DataSet(file=jsonl(tmp_path / "a.jsonl", PAIRS))
    with pytest.raises(InputError, match=r"a.jsonl lacks the column 'chosen', which is to be 'chosen'; it has question, good"):
        imports.pairs(Corpus(pairs=source))


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": ')
    (tmp_path / "b.jsonl").write_text("[1]\n")
    (tmp_path / "c.jsonl").write_text("")
    for name, message in (
        ("a", "a.jsonl, line 2, is not JSON"),
        ("b", "b.jsonl, line 1, must hold a JSON object, not list"),
        ("c", "c.jsonl has no rows"),
        ("d", "d.jsonl does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            imports.texts(DataSet(file=str(tmp_path / f"{name}.jsonl")))


def test_a_data_set_is_on_the_hub_or_in_a_file() -> None:
    for wrong in (
        {},
        {"file": "a.csv"},
        {"file": "a.jsonl", "hub": {"repo": "a/b", "revision": "c"}},
        {"file": "a.jsonl", "split": "test[:5]"},
        {"file": "a.jsonl", "name": "en"},
    ):
        with pytest.raises(ValidationError):
            DataSet(**wrong)


def test_hub_sets_are_split_sliced_and_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `datasets` reads a folder as it reads a repository.
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    repo = tmp_path / "repo"
    repo.mkdir()
    jsonl(repo / "train.jsonl", [{"text": f"t{number}"} for number in range(50)])
    jsonl(repo / "test.jsonl", [{"text": f"s{number}"} for number in range(10)])
    hub = {"repo": str(repo), "revision": "main"}
    assert len(imports.texts(DataSet(hub=hub))) == 50
    assert imports.texts(DataSet(hub=hub, split="test[:3]")) == ["s0", "s1", "s2"]
    assert imports.texts(DataSet(hub=hub, split="test[8:]")) == ["s8", "s9"]
    taken = imports.texts(DataSet(hub=hub, take=20))
    assert len(set(taken)) == 20 and taken == imports.texts(DataSet(hub=hub, take=20)) != [f"t{number}" for number in range(20)]
