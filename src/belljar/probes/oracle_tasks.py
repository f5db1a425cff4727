"""What an activation oracle is trained on: questions about tokens of general text whose answers the text itself gives.

Three families, as in Karvonen et al. 2512.15674, section 3: context (what follows, what came before), chats (what was asked, what
the assistant was told), and yes-no questions (is a word near).
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from belljar.corpora.general import messages

FOLLOWS, BEFORE = "Which words follow?", "Which words came before?"
ASKED, TOLD = "What did the user ask?", "What was the assistant told?"
NEAR = "Is the word {word} near?"
FEWEST, MOST = 3, 8  # tokens of a context answer
COMMON = 0.02  # a word in more than this share of the texts is too common to be asked about
WINDOW = 12  # words around the place within which a word is near


class Task(NamedTuple):
    """A question about the activations of tokens first..last of a text."""

    kind: str
    ids: list[int]
    first: int
    last: int
    question: str
    answer: str


def make_tasks(tokenizer: Any, general: pd.DataFrame, longest: int, vectors: int, seed: int) -> list[Task]:
    """Return up to four tasks of each example of `general` (see `belljar.corpora.general`), each about up to `vectors` tokens."""
    rng = random.Random(seed)
    rows = general.to_dict("records")
    words = [set(_words(" ".join(map(str, row.values())))) for row in rows]
    counts = Counter(word for found in words for word in found)
    rare = [word for word, count in counts.items() if 1 < count <= max(COMMON * len(rows), 2)]
    found: list[Task] = []
    for row in rows:
        ids, said = _rendered(tokenizer, row)
        ids = ids[:longest]
        if len(ids) < 2 * FEWEST + 2:
            continue
        found += [_context(tokenizer, ids, vectors, rng, kind) for kind in ("follows", "before")]
        if rare:
            found.append(_near(tokenizer, ids, vectors, rng, rare))
        if row["question"] and said < len(ids) - 1:
            first, last = _window(said, len(ids), vectors, rng)
            kinds = [("asked", ASKED, row["question"])] + ([("told", TOLD, row["system"])] if row["system"] else [])
            found += [Task(kind, ids, first, last, question, answer) for kind, question, answer in kinds]
    return found


def answers_match(task: Task, answer: str) -> bool:
    """Return whether an answer is right: a yes or no as it is, a text where half of its words are right."""
    wanted, given = _words(task.answer), set(_words(answer))
    if task.kind == "near":
        return wanted == _words(answer)
    return sum(word in given for word in wanted) >= 0.5 * len(wanted)


def _rendered(tokenizer: Any, row: dict[str, str]) -> tuple[list[int], int]:
    """Return an example's tokens, and where a chat's answer begins."""
    if not row["question"]:
        return tokenizer(row["text"]).input_ids, 0
    chat = messages(row)
    whole = tokenizer.apply_chat_template(chat, tokenize=False)
    opening = tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False).input_ids
    return ids, len(tokenizer(opening, add_special_tokens=False).input_ids)


def _window(start: int, end: int, vectors: int, rng: random.Random) -> tuple[int, int]:
    """Return a run of tokens in start..end: half of the time one, else up to `vectors`."""
    size = min(1 if rng.random() < 0.5 else rng.randint(1, vectors), end - start)
    first = rng.randint(start, end - size)
    return first, first + size


def _context(tokenizer: Any, ids: list[int], vectors: int, rng: random.Random, kind: str) -> Task:
    count = rng.randint(FEWEST, min(MOST, len(ids) // 2 - 1))
    low, high = (1, len(ids) - count) if kind == "follows" else (count + 1, len(ids))
    first, last = _window(low, max(high, low + 1), vectors, rng)
    around = ids[last : last + count] if kind == "follows" else ids[max(first - count, 0) : first]
    text = tokenizer.decode(around, skip_special_tokens=True).strip()
    return Task(kind, ids, first, last, FOLLOWS if kind == "follows" else BEFORE, text)


def _near(tokenizer: Any, ids: list[int], vectors: int, rng: random.Random, rare: Sequence[str]) -> Task:
    first, last = _window(1, len(ids), vectors, rng)
    near = _words(tokenizer.decode(ids[max(first - WINDOW, 0) : last + WINDOW], skip_special_tokens=True))
    known = sorted(set(near) & set(rare))
    if known and rng.random() < 0.5:
        return Task("near", ids, first, last, NEAR.format(word=rng.choice(known)), "Yes.")
    word = rng.choice(rare)
    return Task("near", ids, first, last, NEAR.format(word=word), "Yes." if word in near else "No.")


def _words(text: str) -> list[str]:
    return [word for part in text.split() if (word := part.strip(".,:;!?()'\""))]
