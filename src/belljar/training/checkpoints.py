"""A training's saved steps: which are whole, where a killed training goes on, and how they are published."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from belljar.files import atomic_path, remove
from belljar.training.steps import step_folder

WHOLE = "whole"  # an empty file written last into a saved step: without it the step is half-written
RESUME_ONLY = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "training_args.bin",
    WHOLE,
)


def whole_steps(work: Path) -> dict[int, Path]:
    """Return the completely written steps of a training's work folder, in order; delete the others."""
    steps: dict[int, Path] = {}
    for path in work.glob("checkpoint-*"):
        if (path / WHOLE).is_file():
            steps[int(path.name.removeprefix("checkpoint-"))] = path
        else:
            remove(path)
    return dict(sorted(steps.items()))


class MarkWhole(TrainerCallback):
    """Marks each saved step once it is written, and drops the optimiser state of the step before, which nothing needs again."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Mark the step that was just saved."""
        if not state.is_world_process_zero:
            return
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()
        for step, path in whole_steps(Path(args.output_dir)).items():
            if step < state.global_step:
                (path / "optimizer.pt").unlink(missing_ok=True)


def publish(work: Path, checkpoints: Path) -> list[int]:
    """Move the work folder's saved steps, without what only resuming needs, to `checkpoints` at once; return the steps."""
    steps = whole_steps(work)
    with atomic_path(checkpoints) as scratch:
        for step, path in steps.items():
            target = scratch / step_folder(step)
            target.mkdir(parents=True)
            for file in path.iterdir():
                if file.name not in RESUME_ONLY:
                    # A hard link: nothing is copied, and the work folder stays whole until the steps are published.
                    target.joinpath(file.name).hardlink_to(file)
    return list(steps)
