"""Work folders: what is already computed of a job, kept for as long as it is made from the same."""

import hashlib
import json
from pathlib import Path
from typing import Any

from belljar.files import remove, write_text


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
