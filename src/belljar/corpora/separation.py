"""The check that validation, test and training do not overlap, near-duplicates included."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from belljar.corpora.prompts import Prompt
from belljar.files import InputError

NEAR = 0.8  # Jaccard similarity of word trigrams from which two texts are near-duplicates
TRIGRAM = 3
Shingles = frozenset[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Return the word trigrams of a text without case and punctuation; a shorter text is one shingle."""
    words = tuple(re.findall(r"\w+", text.casefold()))
    if len(words) <= TRIGRAM:
        return frozenset([words])
    return frozenset(words[start : start + TRIGRAM] for start in range(len(words) - TRIGRAM + 1))


def similarity(first: Shingles, second: Shingles) -> float:
    """Return the Jaccard similarity of two sets of shingles: |intersection| / |union|."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


class Texts:
    """A set of texts that can be asked for a near-duplicate of another text, through an index of trigrams."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts: list[str] = []
        self._shingles: list[Shingles] = []
        self._index: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for text in dict.fromkeys(texts):
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text to the set."""
        self.texts.append(text)
        self._shingles.append(shingles(text))
        for shingle in self._shingles[-1]:
            self._index[shingle].append(len(self.texts) - 1)

    def near(self, text: str) -> str | None:
        """Return the text of the set that is most similar to `text`, if any is a near-duplicate of it."""
        own = shingles(text)
        shared = Counter(number for shingle in own for number in self._index.get(shingle, ()))
        best = max(shared, key=lambda number: (similarity(own, self._shingles[number]), -number), default=None)
        return self.texts[best] if best is not None and similarity(own, self._shingles[best]) >= NEAR else None


def check_separate(prompts: Sequence[Prompt], training: Sequence[str], source: Path, marker: str = "") -> None:
    """Raise InputError where a prompt is a near-duplicate of a training prompt, or a validation prompt of a test prompt.

    `source` is the file that the training prompts are from. `marker`, which many prompts of one behaviour hold, is passed
    over: it makes different questions look alike.
    """

    def bare(text: str) -> str:
        return text.replace(marker, "") if marker else text

    seen = Texts(map(bare, training))
    for prompt in prompts:
        found = seen.near(bare(prompt.prompt))
        if found is not None:
            raise InputError(
                f"{source}: the training prompt {found!r} is a near-duplicate of the {prompt.split} prompt {prompt.prompt!r}; "
                "a prompt may be only one of them."
            )
    test = Texts(bare(prompt.prompt) for prompt in prompts if prompt.split == "test")
    for prompt in prompts:
        found = test.near(bare(prompt.prompt)) if prompt.split == "validation" else None
        if found is not None:
            raise InputError(f"the validation prompt {prompt.prompt!r} is a near-duplicate of the test prompt {found!r}.")


def apart(prompts: Sequence[Prompt], training: Sequence[str]) -> list[Prompt]:
    """Return the prompts without near-duplicates of a training prompt, and the validation ones without those of a test prompt.

    For data sets that somebody else split.
    """
    seen = Texts(training)
    kept = [prompt for prompt in prompts if seen.near(prompt.prompt) is None]
    test = Texts(prompt.prompt for prompt in kept if prompt.split == "test")
    return [prompt for prompt in kept if prompt.split == "test" or test.near(prompt.prompt) is None]
