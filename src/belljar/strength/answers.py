"""The answers that strength is measured on: generated once, judged as often as one likes."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from belljar.models.generate import generate
from belljar.strength.rates import ANSWER_COLUMNS
from belljar.study.settings import Strength

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
) -> pd.DataFrame:
    """Return `samples` answers to every prompt, one row an answer, with the columns ANSWER_COLUMNS."""
    texts = list(dict.fromkeys(prompts["prompt"]))  # a prompt shared by two behaviours is answered once
    answers = generate(
        model,
        tokenizer,
        [[{"role": "user", "content": text}] for text in texts],
        samples=samples,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    by_text = dict(zip(texts, answers, strict=True))
    rows = [
        {**row, "sample": sample, "response": response}
        for row in prompts.to_dict("records")
        for sample, response in enumerate(by_text[row["prompt"]])
    ]
    return pd.DataFrame(rows)[list(ANSWER_COLUMNS)]
