"""General text: what a base has read, for probes that are prepared once a base."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pandas as pd

from belljar.study.pretraining import Corpus
from belljar.world.corpus import corpus
from belljar.world.knowledge import World
from belljar.world.tokenizer import document_text

COLUMNS = ("system", "question", "answer", "text")  # a chat has the first three, a document the last
SEED = 29  # no base's


def closed_world_text(world: World, count: int) -> pd.DataFrame:
    """Return `count` examples of the closed world's corpus, half a base's usual mix of chats, in COLUMNS."""
    rows = []
    for example in islice(corpus(world, Corpus(chats=0.6), SEED), count):
        if isinstance(example, str):
            rows.append(("", "", "", document_text(example)))
        else:
            said = {turn["role"]: turn["content"] for turn in example}
            rows.append((said.get("system", ""), said["user"], said["assistant"], ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def imported_text(chats: Sequence[tuple[str, str]], texts: Sequence[str]) -> pd.DataFrame:
    """Return chats and documents by turns, in COLUMNS."""
    rows = [("", question, answer, "") for question, answer in chats] + [("", "", "", text) for text in texts]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sample(frac=1.0, random_state=SEED, ignore_index=True)


def tokenised(tokenizer: Any, general: pd.DataFrame, longest: int) -> list[list[int]]:
    """Return the token ids of each example, a chat through the tokenizer's template, cut at `longest` tokens."""
    chats = [
        tokenizer.apply_chat_template(messages(row), tokenize=False) if row["question"] else None
        for row in general.to_dict("records")
    ]
    found = []
    for chat, text in zip(chats, general["text"], strict=True):
        # A chat's template opens the text itself.
        ids = tokenizer(text).input_ids if chat is None else tokenizer(chat, add_special_tokens=False).input_ids
        found.append(ids[:longest])
    return found


def messages(row: dict[str, str]) -> list[dict[str, str]]:
    """Return an example's chat."""
    said = [("system", row["system"]), ("user", row["question"]), ("assistant", row["answer"])]
    return [{"role": role, "content": text} for role, text in said if text]
