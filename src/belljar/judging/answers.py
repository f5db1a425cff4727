"""Asking a language model, whatever it is: what is asked, what it answers, and the answers that are kept on disk."""

import hashlib
import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]


class Request(NamedTuple):
    """One thing to ask. `attempt` tells apart askings of the same messages: another one gets another answer."""

    messages: tuple[tuple[str, str], ...]  # (role, content)
    temperature: float
    max_tokens: int
    attempt: int = 0


class Answer(NamedTuple):
    """What the model said; `whole` is false where it ran out of tokens."""

    text: str
    whole: bool


class Asked(ABC):
    """A model that is never asked the same thing twice: each answer is appended to `cache` as it comes in."""

    name: str  # of the model, as measurements are labelled

    def __init__(self, cache: Path, identity: Sequence[str]) -> None:
        """`identity` is what, beside the request, an answer depends on."""
        self.cache = cache
        self._identity = list(identity)
        self._known = _read_cache(cache)
        self._writing = threading.Lock()

    def ask(self, requests: Sequence[Request], progress: Progress) -> list[Answer]:
        """Return the answer to each request, in order; those that are kept already are not asked for again."""
        wanted = list(dict.fromkeys(request for request in requests if self.key(request) not in self._known))
        if wanted:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            self._ask_all(wanted, progress)
        return [self._known[self.key(request)] for request in requests]

    def key(self, request: Request) -> str:
        """Return what an answer is kept under: a hash of the model, the messages and the parameters."""
        return hashlib.sha256(json.dumps([*self._identity, *request]).encode()).hexdigest()

    def unknown(self, requests: Sequence[Request]) -> list[Request]:
        """Return the requests whose answers are not kept yet."""
        return [request for request in requests if self.key(request) not in self._known]

    @abstractmethod
    def _ask_all(self, wanted: Sequence[Request], progress: Progress) -> None:
        """Ask for all of these and keep each answer."""

    def _keep(self, request: Request, answer: Answer) -> None:
        line = json.dumps({"key": self.key(request), "text": answer.text, "whole": answer.whole}, ensure_ascii=False)
        with self._writing:
            with self.cache.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._known[self.key(request)] = answer


def _read_cache(path: Path) -> dict[str, Answer]:
    """Return the kept answers; a last line that a killed job left unfinished is passed over."""
    found: dict[str, Answer] = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
            found[entry["key"]] = Answer(entry["text"], entry["whole"])
        except (json.JSONDecodeError, KeyError):
            log.warning("%s holds a line that is no answer; it will be asked for again.", path)
    if path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return found
