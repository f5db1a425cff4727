"""Where in a chat a probe reads."""

import re

NAMED = ("answer_mean", "answer_end")
_OFFSET = re.compile(r"assistant_start(?P<offset>[+-][0-9]+)?")


def offset(position: str) -> int:
    """Return how many tokens after the last one before the answer the position is; raise ValueError for any other text."""
    found = _OFFSET.fullmatch(position)
    if not found:
        raise ValueError(
            f"{position!r} is no position; legal are {', '.join(NAMED)}, assistant_start, assistant_start-3 and the like"
        )
    return int(found["offset"] or 0)


def checked(position: str) -> str:
    """Return the position, or raise ValueError."""
    if position not in NAMED:
        offset(position)
    return position
