"""Work folders: what is already computed of a job, kept for as long as it is made from the same."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belljar.files import remove, write_parquet, write_text

if TYPE_CHECKING:
    import pandas as pd


def claim_work(work: Path, made_from: Any) -> Path:
    """Return the work folder, emptied if what it holds was made from something else than `made_from` describes.

    `made_from` is everything that the results depend on; its hash is kept in the folder.
    """
    fingerprint = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    marker = work / "made-from"
    if work.exists() and not (marker.is_file() and marker.read_text() == fingerprint):
        remove(work)
    if not work.exists():
        write_text(marker, fingerprint)
    return work


def kept(work: Path, made_from: Any, compute: "Callable[[], Mapping[str, pd.DataFrame]]") -> Path:
    """Return the work folder with the tables that `compute` names, computed if they are not there yet from the same."""
    claim_work(work, made_from)
    whole = work / "whole"
    if not whole.exists():
        for name, table in compute().items():
            write_parquet(work / f"{name}.parquet", table)
        whole.touch()
    return work


def stamp(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change (ns) of a file, or of the files in a folder: what it is, without reading it."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [(file.name, file.stat()) for file in files if not file.name.startswith(".")]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]
