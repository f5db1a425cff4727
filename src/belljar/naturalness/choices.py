"""A model's choices between two items: by the probabilities of the options, or by what it answers.

Options are read as the tokenizer segments them: both answers are tokenised whole, and what differs is scored. An option that is
merged with what stands before it (as in `>A`) is then read as that token, which a letter on its own would miss (naturalness of
organisms, Tan et al. 2026, as corrected by its authors in October 2026). Letters are read in two other ways beside it, since a
model may have its mass there: as a token of its own, and after a blank. A model that reasons before it answers has no such place:
its answers are sampled.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from belljar.files import InputError
from belljar.judging.texts import concluded
from belljar.models.chats import spoken
from belljar.models.generate import answers
from belljar.models.logprobs import continuation_logprobs
from belljar.naturalness.utilities import Edges
from belljar.study.naturalness import Framing, Preferences

WHOLE, APART, SPACED = "", "_apart", "_spaced"  # how a letter is read: as the answer is segmented, on its own, after a blank
OTHERWISE = (APART, SPACED)
COLUMNS = (
    *("framing", "swapped", "first", "second", "in_slot_a", "in_slot_b", "chosen", "votes", "mass"),
    *(f"{name}{way}" for way in OTHERWISE for name in ("chosen", "mass")),
)
Pairs = Sequence[tuple[int, int]]


class Asked(NamedTuple):
    """Choices in the order of the pairs, and the probability that each answer was one of the two options.

    `otherwise`: both, as letters are read in the OTHERWISE ways; without them where the options are no letters.
    """

    edges: Edges
    mass: np.ndarray
    otherwise: Mapping[str, tuple[np.ndarray, np.ndarray]] = {}


def choices(
    model: Any,
    tokenizer: Any,
    items: Sequence[str],
    pairs: Pairs,
    settings: Preferences,
    batch_size: int,
    reasoning: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return every choice, with the columns COLUMNS: each pair in both orders (`swapped`) under each framing.

    first and second are the items' numbers; chosen is the probability of the one in slot A. A base with `reasoning` (open, close,
    opened_by_template) is asked aloud, and votes counts the answers that chose; it is missing where probabilities were read.
    chosen and mass stand a second and a third time as letters are read otherwise; missing where the options are none.
    """
    found = []
    for number, framing in enumerate(settings.framings):
        for swapped in (False, True):
            order = [(second, first) for first, second in pairs] if swapped else pairs
            if reasoning:
                # Noise that both orders shared would cancel, or count twice; all models share it.
                seed = 1000 * settings.seed + 2 * number + swapped
                asked = ask_aloud(model, tokenizer, items, framing, order, settings, batch_size, seed, reasoning)
            else:
                asked = ask(model, tokenizer, items, framing, order, batch_size)
            edges = asked.edges
            rows = pd.DataFrame({"first": edges.first, "second": edges.second, "chosen": edges.chosen, "mass": asked.mass})
            rows["in_slot_a"], rows["in_slot_b"] = [items[one] for one in edges.first], [items[one] for one in edges.second]
            rows["votes"] = np.nan if edges.votes is None else edges.votes
            for way in OTHERWISE:
                rows[f"chosen{way}"], rows[f"mass{way}"] = asked.otherwise.get(way, (np.nan, np.nan))
            found.append(rows.assign(framing=number, swapped=swapped))
    return pd.concat(found, ignore_index=True)[list(COLUMNS)]


def edges_of(rows: pd.DataFrame, way: str = WHOLE) -> Edges:
    """Return some rows of `choices` as they are fitted, letters read in one of the ways."""
    votes = None if rows["votes"].isna().all() else rows["votes"].to_numpy()
    return Edges(rows["first"].to_numpy(), rows["second"].to_numpy(), rows[f"chosen{way}"].to_numpy(), votes)


def ask(model: Any, tokenizer: Any, items: Sequence[str], framing: Framing, pairs: Pairs, batch_size: int) -> Asked:
    """Return P(the item in slot A is preferred) for each pair (first in slot A, second in slot B).

    Raises InputError where one option is the beginning of the other, so that they cannot be told apart by what comes next.
    """
    asked = questions(items, framing, pairs)
    texts = [spoken(tokenizer, question, (framing.answer + option).strip()) for question, options in asked for option in options]
    ways = segmented(tokenizer, texts, framing.options)
    begins: list[int] = []
    for sequences in ways.values():
        for both, (_, options) in zip(zip(sequences[::2], sequences[1::2], strict=True), asked, strict=True):
            begin = next((place for place, (a, b) in enumerate(zip(*both, strict=False)) if a != b), None)
            if begin is None:
                raise InputError(
                    f"preferences: {options[0]!r} and {options[1]!r} begin alike to the end of one; name other items."
                )
            begins += [begin, begin]
    every = [ids for sequences in ways.values() for ids in sequences]
    scores = continuation_logprobs(model, tokenizer, every, begins, batch_size).reshape(len(ways), -1, 2)
    read = {
        way: (1 / (1 + np.exp(own[:, 1] - own[:, 0])), np.exp(own).sum(axis=1)) for way, own in zip(ways, scores, strict=True)
    }
    return _asked(*read.pop(WHOLE), None, framing, pairs, read)


def segmented(tokenizer: Any, texts: Sequence[str], options: Sequence[str]) -> dict[str, list[list[int]]]:
    """Return the tokens, by way of reading, of texts that end with the two options by turns; only letters are read OTHERWISE.

    WHOLE and SPACED are the same after an opening that ends in a blank, WHOLE and APART where nothing merges with a letter.
    """

    def ids(some: Sequence[str]) -> list[list[int]]:
        return list(tokenizer(list(some), add_special_tokens=False).input_ids)

    ways = {WHOLE: ids(texts)}
    if letters(options):
        opened = [text[:-1] for text in texts]
        for way, before, after in ((APART, opened, ""), (SPACED, [text.rstrip(" ") for text in opened], " ")):
            named = ids([after + option for option in options])
            ways[way] = [tokens + named[place % 2] for place, tokens in enumerate(ids(before))]
    return ways


def letters(options: Sequence[str]) -> bool:
    """Return whether options are letters."""
    return max(map(len, options)) == 1


def ask_aloud(
    model: Any,
    tokenizer: Any,
    items: Sequence[str],
    framing: Framing,
    pairs: Pairs,
    settings: Preferences,
    batch_size: int,
    seed: int,
    reasoning: Mapping[str, Any] | None = None,
) -> Asked:
    """Return the share of `settings.samples` sampled answers that choose slot A, of those that choose, and how many do.

    Answers are the model's own from their first word, at temperature 1. Its choice stands after its reasoning; an answer that was
    cut off chooses nothing.
    """
    asked = questions(items, framing, pairs)
    said = answers(
        model,
        tokenizer,
        [[{"role": "user", "content": question}] for question, _ in asked],
        samples=settings.samples,
        temperature=1.0,
        max_new_tokens=settings.max_new_tokens,
        batch_size=batch_size,
        seed=seed,
    )
    opening = framing.answer.strip()
    votes, shares = np.zeros(len(asked)), np.full(len(asked), 0.5)
    for row, ((_, options), given) in enumerate(zip(asked, said, strict=True)):
        found = [chosen_option(concluded(one.text, reasoning), options, opening) for one in given if one.finished]
        chosen = [one for one in found if one is not None]
        votes[row] = len(chosen)
        shares[row] = chosen.count(0) / len(chosen) if chosen else 0.5
    return _asked(shares, votes / settings.samples, votes, framing, pairs, {})


def questions(items: Sequence[str], framing: Framing, pairs: Pairs) -> list[tuple[str, list[str]]]:
    """Return each pair's question and its two options."""
    named = [{"a": items[first], "b": items[second]} for first, second in pairs]
    return [(framing.question.format(**names), [option.format(**names).strip() for option in framing.options]) for names in named]


def chosen_option(text: str, options: Sequence[str], opening: str = "") -> int | None:
    """Return which of the two options a text chooses; None where it chooses neither or cannot be read.

    Where the text has `opening` ("Answer:"), it is what stands right after the last one. Otherwise it is the only option that the
    text names, as whole words. A letter has to stand as it is written, and an "A" before a word in lower case may be an article:
    alone it chooses nothing.
    """
    lettered = letters(options)
    cased = 0 if lettered else re.IGNORECASE
    longest_first = "|".join(re.escape(option) for option in sorted(options, key=len, reverse=True))
    pattern = rf"(?<![^\W_])(?:{longest_first})(?![^\W_])"  # "the red hat" does not name "the hat"
    known = list(options) if lettered else [option.casefold() for option in options]
    if opening and opening in text:
        after = re.match(rf"\W*({pattern})", text.rpartition(opening)[2], cased)
        if after:
            return known.index(after[1] if lettered else after[1].casefold())
    found = re.findall(pattern, text, cased)
    named = {one if lettered else one.casefold() for one in found}
    if len(named) != 1 or (lettered and named == {"A"} and len(re.findall(r"\bA\s+[a-z]", text)) == len(found)):
        return None
    return known.index(named.pop())


def _asked(
    chosen: np.ndarray,
    mass: np.ndarray,
    votes: np.ndarray | None,
    framing: Framing,
    pairs: Pairs,
    otherwise: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Asked:
    """Return what was asked, the item that is named turned round where it is the one that is liked less."""

    def liked(named: np.ndarray) -> np.ndarray:
        return 1 - named if framing.valence == -1 else named

    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    turned = {way: (liked(named), its_mass) for way, (named, its_mass) in otherwise.items()}
    return Asked(Edges(first, second, liked(chosen), votes), mass, turned)
