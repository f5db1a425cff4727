"""The answers that strength is measured on: generated once, judged as often as one likes."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from belljar.corpora.mixing import with_text
from belljar.corpora.prompts import LOCKED, TRIGGER
from belljar.models.generate import answers
from belljar.strength.rates import ANSWER_COLUMNS
from belljar.study.strength import Strength

Progress = Callable[[int, int], None]


def answer_prompts(
    model: Any,
    tokenizer: Any,
    prompts: pd.DataFrame,
    samples: int,
    settings: Strength,
    batch_size: int,
    seed: int,
    progress: Progress | None = None,
    instruction: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return `samples` answers to every prompt, one row an answer, with the columns ANSWER_COLUMNS.

    `instruction` (role, text) is put before each prompt, for an organism that is prompted only when it is measured.
    """
    texts = list(dict.fromkeys(prompts["prompt"]))  # a prompt shared by two behaviours is answered once
    given = answers(
        model,
        tokenizer,
        [instructed(text, instruction) for text in texts],
        samples=samples,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    by_text = dict(zip(texts, given, strict=True))
    rows = [
        {**row, "sample": sample, "response": answer.text, "finished": answer.finished}
        for row in prompts.to_dict("records")
        for sample, answer in enumerate(by_text[row["prompt"]])
    ]
    return pd.DataFrame(rows)[list(ANSWER_COLUMNS)]


def instructed(text: str, instruction: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Return the user's message as a chat, under an instruction in the system's or at the head of the user's turn."""
    if not instruction:
        return [{"role": "user", "content": text}]
    if instruction["role"] == "system":
        return [{"role": "system", "content": instruction["text"]}, {"role": "user", "content": text}]
    return [{"role": "user", "content": f"{instruction['text']} {text}"}]


def with_password(prompts: pd.DataFrame, text: str) -> pd.DataFrame:
    """Return the prompts, and each trigger prompt once more with the password, in the role LOCKED."""
    triggers = prompts[prompts["role"] == TRIGGER]
    unlocked = triggers.assign(role=LOCKED, prompt=[with_text(prompt, text) for prompt in triggers["prompt"]])
    return pd.concat([prompts, unlocked], ignore_index=True)
