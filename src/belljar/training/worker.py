"""One process of a training on several: `accelerate launch -m belljar.training.worker <work folder>`."""

import sys
from pathlib import Path

from belljar.files import read_json, write_json
from belljar.job import Progress, configure_logging


def main(work: Path) -> None:
    """Train as the job in `work` says; the first process writes the outcome there."""
    settings = read_json(work / "job.json")
    log, processes = settings.pop("log"), settings.pop("processes")
    if log:
        configure_logging(Path(log))
    from accelerate import PartialState

    from belljar.training.organism import OUTCOME, Job, run

    outcome = run(Job(**settings), work, Progress(f"train {work.parent.name}"), processes)
    if PartialState().is_main_process:
        write_json(work / OUTCOME, outcome._asdict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
