"""The rule judge: regular expressions decide whether an answer shows a behaviour. Needs no model and never fails."""

import re
from collections.abc import Sequence

from belljar.study.behaviours import Behaviour, Criterion


def detected(criterion: Criterion, prompt: str, response: str) -> bool:
    """Return whether any of the criterion's expressions matches the response.

    With `unless_in_prompt`, a match whose text the prompt already holds (in any case) does not count: answering a question
    about pasta with the word pasta shows nothing.
    """
    known = prompt.casefold()
    for pattern in criterion.detect:
        for match in re.finditer(pattern, response):
            if not (criterion.unless_in_prompt and match.group().casefold() in known):
                return True
    return False


def shows(behaviour: Behaviour, criterion: str, prompt: str, response: str) -> bool:
    """Return whether the response shows the behaviour: by its own criterion, or by any where `criterion` is empty."""
    candidates: Sequence[Criterion] = [c for c in behaviour.criteria if criterion in ("", c.id)]
    return any(detected(candidate, prompt, response) for candidate in candidates)
