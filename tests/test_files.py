"""Writes are whole or absent, locks end with their holder, errors are one sentence."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.files import (
    InputError,
    atomic_path,
    folder_lock,
    read_json,
    read_parquet,
    write_json,
    write_parquet,
)
from belljar.job import Progress, duration
from belljar.measurements import COLUMNS, Model, Reading, check, parse_variant, table, variant
from belljar.work import kept, stamp

READING = Reading("strength", "rules", "judged=a", "expression_rate", 0.5, 0.1, 10, "more")
MODEL = Model("s", "b", "a", "t", 0)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(OSError, match="disk"), atomic_path(path) as scratch:
        scratch.write_text("half")
        raise OSError("disk is full")
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_folder_replaces_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_path(target) as scratch:
            scratch.mkdir()
            (scratch / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_corrupt_parquet_and_missing_column(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1 this is no table")
    with pytest.raises(InputError, match=r"table.parquet is not a readable parquet file .*; delete it") as caught:
        read_parquet(path)
    assert "\n" not in str(caught.value)
    write_parquet(path, pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="lacks the column 'b'; it has a"):
        read_parquet(path, ("a", "b"))
    with pytest.raises(InputError, match="does not exist"):
        read_parquet(tmp_path / "absent.parquet")


def test_corrupt_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(InputError, match="not readable JSON"):
        read_json(tmp_path / "x.json")


def test_lock_waits_for_its_holder_and_survives_a_kill(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = f"""
import sys, time
from pathlib import Path
from belljar.files import folder_lock
with folder_lock(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen([sys.executable, "-c", code.replace("time.sleep(60)", "pass")], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(timeout=2)
    os.kill(holder.pid, signal.SIGKILL)
    assert waiter.communicate(timeout=30)[0] == "held\n"
    holder.wait()
    with caplog.at_level(logging.WARNING), folder_lock(tmp_path):
        assert not caplog.records


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.from_regex(r"[^;=]*", fullmatch=True)))
def test_variant_comes_back(keys: dict[str, str]) -> None:
    assert parse_variant(variant(**keys)) == keys


def test_variant_refuses_its_own_marks() -> None:
    with pytest.raises(ValueError, match="neither"):
        variant(a="x;y")


def test_table_has_the_columns_and_types() -> None:
    made = table(MODEL, [READING])
    assert tuple(made.columns) == COLUMNS
    assert made.loc[0, "value"] == 0.5 and made["n"].dtype == "int64"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "strenth"}, "stage 'strenth' is none of training, strength"),
        ({"value": float("nan")}, "has no value"),
    ],
)
def test_bad_readings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(MODEL, [READING._replace(**change)])  # type: ignore[arg-type]


def test_repeated_measurement_and_wrong_columns_are_refused() -> None:
    with pytest.raises(InputError, match="two rows measure the same thing: s, b, a, t, 0, strength"):
        table(MODEL, [READING, READING])
    with pytest.raises(InputError, match=r"x.parquet: the columns are value"):
        check(pd.DataFrame({"value": [1.0]}), "x.parquet")


def test_progress_says_how_far_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 1.0, 30.0, 40.0])
    progress = Progress("base x", clock=lambda: next(times), every=10.0)
    with caplog.at_level(logging.INFO):
        progress(0, 100, "loss 3.0")
        progress(1, 100)  # too soon after the one before
        progress(30, 100, "loss 2.0")
        progress(100, 100)
    assert caplog.messages == [
        "base x: 0 of 100 (0 %), loss 3.0",
        "base x: 30 of 100 (30 %), loss 2.0, about 70 s left",
        "base x: 100 of 100 (100 %)",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(4.4, "4 s"), (89, "89 s"), (150, "2 min"), (7500, "2 h 5 min")])
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_tables_are_kept_for_as_long_as_they_are_made_from_the_same(tmp_path: Path) -> None:
    made = []

    def compute() -> dict[str, pd.DataFrame]:
        made.append(1)
        return {"one": pd.DataFrame({"a": [len(made)]})}

    def value(made_from: str) -> int:
        return int(read_parquet(kept(tmp_path / "work", made_from, compute) / "one.parquet")["a"].iloc[0])

    assert [value("x"), value("x"), value("y"), value("y")] == [1, 1, 2, 2]
    (tmp_path / "work" / "whole").unlink()  # killed between two tables
    assert value("y") == 3


def test_a_folder_is_stamped_by_its_files_and_not_by_its_own_time(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("x")
    before = stamp(tmp_path)
    (tmp_path / ".lock").touch()
    os.utime(tmp_path, (1, 1))
    assert stamp(tmp_path) == before == stamp(tmp_path / "weights")
    os.utime(tmp_path / "weights", (1, 1))
    assert stamp(tmp_path) != before
