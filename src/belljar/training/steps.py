"""An organism's published saved steps: where they are, which are kept, and how one is put elsewhere."""

import shutil
from pathlib import Path

from belljar.files import InputError, remove


def step_folder(step: int) -> str:
    """Return the name of a published saved step."""
    return f"step-{step}"


def published_steps(checkpoints: Path) -> dict[int, Path]:
    """Return the saved steps in an organism's checkpoints folder, in order."""
    found = {int(path.name.removeprefix("step-")): path for path in checkpoints.glob("step-*")}
    return dict(sorted(found.items()))


def saved_step(checkpoints: Path, step: int) -> Path:
    """Return the folder of a published saved step; raise InputError where `prune` deleted it."""
    found = checkpoints / step_folder(step)
    if not found.is_dir():
        kept = ", ".join(map(str, published_steps(checkpoints))) or "none"
        raise InputError(
            f"{found} is not there any more (the study's keep_steps is `chosen`; kept: {kept}); delete {checkpoints} to have the "
            "organism trained again."
        )
    return found


def prune(checkpoints: Path, step: int) -> None:
    """Delete every published step but one, which has to be there."""
    kept = saved_step(checkpoints, step)
    for path in published_steps(checkpoints).values():
        if path != kept:
            remove(path)


def copy_model(step: Path, target: Path) -> None:
    """Make `target` the same model as a saved step, without taking up its space again."""
    shutil.copytree(step, target, copy_function=_same_file, ignore=shutil.ignore_patterns(".*"))


def _same_file(source: str, target: str) -> str:
    resolved = Path(source).resolve()
    if Path(source).is_symlink():
        Path(target).symlink_to(resolved)
    else:
        Path(target).hardlink_to(resolved)
    return target
