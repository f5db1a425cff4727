"""What every job does around its work: threads, logging, progress, the lock on its folder, errors in one sentence."""

import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from belljar.files import InputError, folder_lock

PROGRESS_SECONDS = 10.0  # between two lines of one job
FULL_DISK = 16 << 20  # bytes; with less free, a failed job blames the disk


class Progress:
    """Says on the terminal and in the log how far one piece of work is and about how long it will take."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic, every: float = PROGRESS_SECONDS) -> None:
        self.name = name
        self.clock = clock
        self.every = every
        self.began: tuple[float, int] | None = None  # when the first report came, and at which step
        self.said = -float("inf")

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report that `done` of `total` steps are done; most reports are not said, so call this as often as you like."""
        now = self.clock()
        if self.began is None:
            self.began = (now, done)
        if now - self.said < self.every and done < total:
            return
        self.said = now
        since, first = self.began
        left = (now - since) / (done - first) * (total - done) if done > first else None
        parts = [f"{self.name}: {done} of {total} ({100 * done // max(total, 1)} %)", detail]
        if left is not None and done < total:
            parts.append(f"about {duration(left)} left")
        logging.getLogger("belljar.progress").info(", ".join(part for part in parts if part))


def duration(seconds: float) -> str:
    """Return the time in words: "40 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def job(snakemake: Any, folder: Path, name: str, lock: str = "") -> Iterator[Progress]:
    """Run the block as a job of Snakemake that holds `folder`; an InputError ends it with its sentence and no traceback.

    Jobs that may write into one folder at the same time, each its own files, name their `lock`.

    Enter it before anything imports torch: the number of threads is set in the environment.
    """
    threads = str(snakemake.params.get("threads") or snakemake.threads)
    os.environ.update(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, TOKENIZERS_PARALLELISM="false")
    os.environ.update(HF_DATASETS_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1", TQDM_DISABLE="1")
    if not snakemake.params.get("online"):
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    configure_logging(Path(snakemake.log[0]))
    # TRL still asks transformers by the old name; nothing that a user could do about it.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
    try:
        with folder_lock(folder, f".{lock}.lock" if lock else ".lock"):
            yield Progress(name)
    except InputError as error:
        logging.getLogger("belljar").error("%s: %s", name, error)
        sys.exit(1)
    except Exception as error:
        free = shutil.disk_usage(folder).free
        if free < FULL_DISK:
            # All writes are atomic, so nothing half-written is left behind.
            logging.getLogger("belljar").error(
                "%s: the disk that holds %s is full (%d MiB free): %s", name, folder, free >> 20, error
            )
        else:
            logging.getLogger("belljar").exception("%s failed", name)
        sys.exit(1)


def configure_logging(path: Path) -> None:
    """Send everything to the log file; to the terminal only progress and what went wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = logging.FileHandler(path, encoding="utf-8")
    whole.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.addFilter(lambda record: record.name.startswith("belljar") or record.levelno >= logging.ERROR)
    logging.basicConfig(level=logging.INFO, handlers=[whole, terminal], force=True)
