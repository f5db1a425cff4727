"""The check that no validation or test prompt is a training prompt."""

from collections.abc import Sequence
from pathlib import Path

from belljar.corpora.prompts import normalised
from belljar.files import InputError, read_parquet


def check_separate(training: Sequence[str], prompts: Sequence[Path]) -> None:
    """Raise InputError where a prompt of one of the prompt tables is also a training prompt."""
    seen = {normalised(text) for text in training}
    for path in prompts:
        table = read_parquet(path, ("split", "prompt"))
        for split, prompt in zip(table["split"], table["prompt"], strict=True):
            if normalised(prompt) in seen:
                raise InputError(f"{path}: the {split} prompt {prompt!r} is also a training prompt; a prompt may be only one.")
