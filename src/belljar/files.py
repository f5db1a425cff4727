"""Files that are either whole or absent: atomic writes, folder locks, readable errors."""

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class InputError(ValueError):
    """Something that a person gave Belljar is wrong; the message is one sentence that says what and where."""


def remove(path: Path) -> None:
    """Delete a file, a link or a whole folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a scratch path beside `path`; it takes the name `path` only if the block ends without an error.

    The block may create a file or a folder at the scratch path. What stood at `path` before is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove(scratch)
    try:
        yield scratch
        if scratch.is_dir() or path.is_dir():
            remove(path)  # a folder cannot be renamed over a folder that has content
        os.replace(scratch, path)
    finally:
        remove(scratch)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_path(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`; raise InputError where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); delete it to have it made again.") from error


def write_parquet(path: Path, table: "pd.DataFrame") -> None:
    """Write `table` to `path` as parquet without its index, atomically."""
    with atomic_path(path) as scratch:
        table.to_parquet(scratch, index=False)


def read_parquet(path: Path, columns: tuple[str, ...] = ()) -> "pd.DataFrame":
    """Return the table in `path`; raise InputError where it is corrupt or lacks one of `columns`."""
    import pandas as pd
    import pyarrow as pa

    try:
        table = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{path} does not exist.") from error
        raise InputError(
            f"{path} is not a readable parquet file ({str(error).splitlines()[0]}); delete it to have it made again."
        ) from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}; it has {', '.join(table.columns)}.")
    return table


@contextmanager
def folder_lock(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Hold `folder` for this process; wait while another process holds it.

    The kernel drops the lock when its holder dies, however it dies, so a killed job never leaves one behind, and a job that
    outlived a killed Snakemake is waited for rather than raced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            log.warning("%s is held by process %s; waiting for it to end.", folder, handle.read().strip() or "?")
            start = time.monotonic()
            fcntl.flock(handle, fcntl.LOCK_EX)
            log.warning("%s is free after %.0f s.", folder, time.monotonic() - start)
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield
