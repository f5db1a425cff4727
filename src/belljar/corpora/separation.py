"""The check that no validation or test prompt is a training prompt."""

from collections.abc import Sequence
from pathlib import Path

from belljar.corpora.prompts import Prompt, normalised
from belljar.files import InputError


def check_separate(prompts: Sequence[Prompt], training: Sequence[str], source: Path) -> None:
    """Raise InputError where one of the prompts is also a training prompt; `source` is the file that those are from."""
    seen = {normalised(text) for text in training}
    for prompt in prompts:
        if normalised(prompt.prompt) in seen:
            raise InputError(
                f"{source}: {prompt.prompt!r} is a training prompt, and also a {prompt.split} prompt; it may be only one of them."
            )
