"""Steering with the difference vector: what an organism says when the change that training made is made once more.

The vector, scaled to the mean activation norm of its block, is added at every token, times a coefficient: the largest at which
answers stay coherent, found by search (Minder et al. 2510.13900, section 3; the lottery paper, section 4.2). The unsteered
answers of the same organism, a random direction and the behaviour's own contrastive vector stand beside it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from belljar.judging.circles import circles
from belljar.models.activations import added
from belljar.models.generate import generate
from belljar.models.logprobs import token_losses
from belljar.study.probes import Steering

NONE = "none"  # the vector of unsteered answers
COLUMNS = ("vector", "purpose", "coefficient", "chosen", "prompt", "sample", "response", "coherent")
SEARCH, TEST = "search", "test"

Coherent = Callable[[Sequence[str]], list[bool]]


class Tried(NamedTuple):
    """A coefficient and the share of coherent answers at it."""

    coefficient: float
    coherent: float


def evidence(
    model: Any,
    tokenizer: Any,
    block: int,
    vectors: Mapping[str, torch.Tensor],
    prompts: Sequence[str],
    settings: Steering,
    temperature: float,
    max_new_tokens: int,
    batch_size: int,
    seed: int,
) -> pd.DataFrame:
    """Return the organism's answers, steered by each of `vectors` (d_model, at its full length) and unsteered, with COLUMNS.

    The first `search_prompts` of `prompts` serve the search alone; on the others, answers are given at `doses` times the
    coefficient that it found. `chosen` marks those at the coefficient itself. A vector that is zero steers nothing and is left
    out.
    """
    searched, asked = list(prompts[: settings.search_prompts]), list(prompts[settings.search_prompts :])
    answer = _Answers(model, tokenizer, block, temperature, max_new_tokens, batch_size, seed)
    plain = answer([(text, None, 0.0) for text in searched + asked], settings.samples)
    coherent = fluency(model, tokenizer, [text for texts in plain for text in texts], settings.fluency_quantile, batch_size)
    rows = [_rows(NONE, TEST, 0.0, True, asked, plain[len(searched) :], coherent)]
    for name, vector in vectors.items():
        if not float(vector.norm()):
            continue
        tries = _Tries(answer, coherent, name, vector, searched, settings.search_samples)
        largest = search(tries, settings.smallest, settings.largest, settings.coherent)
        rows += tries.rows
        if largest is None:  # not even the smallest coefficient leaves answers coherent
            continue
        found = answer([(text, vector, dose * largest) for dose in settings.doses for text in asked], settings.samples)
        for number, dose in enumerate(settings.doses):
            part = found[number * len(asked) : (number + 1) * len(asked)]
            rows.append(_rows(name, TEST, dose * largest, dose == 1, asked, part, coherent))
    return pd.concat(rows, ignore_index=True)


def search(try_out: Callable[[Sequence[float]], list[Tried]], smallest: float, largest: float, wanted: float) -> float | None:
    """Return the largest coefficient up to which answers stay coherent, to 10 %; None where the smallest is too large already.

    A grid of factors of two is tried at once; coherence must hold at all coefficients below, so that chance at a huge one does
    not count. Seven steps between the last good and the first bad one follow.
    """
    grid = [smallest * 2**power for power in range(math.floor(math.log2(largest / smallest)) + 1)]
    good = 0.0
    bad = None
    for tried in try_out(grid):
        if tried.coherent < wanted:
            bad = tried.coefficient
            break
        good = tried.coefficient
    if bad is None or not good:
        return good or None
    inside = [good * (bad / good) ** (step / 8) for step in range(1, 8)]
    for tried in try_out(inside):
        if tried.coherent < wanted:
            break
        good = tried.coefficient
    return good


def fluency(model: Any, tokenizer: Any, usual: Sequence[str], quantile: float, batch_size: int) -> Coherent:
    """Return a judge of coherence: whether the model finds a text likely as it stands, without the prompt.

    The bar is the `quantile` of the mean log-probability a token of its `usual` answers. The prompt is left out because an answer
    about something else is not incoherent. An empty answer and one that runs in a circle are.
    """

    def scores(texts: Sequence[str]) -> np.ndarray:
        filled = [text if text.strip() else "." for text in texts]
        losses, counts = token_losses(model, tokenizer, [f" {text}" for text in filled], batch_size)
        return -np.array(losses) / np.maximum(counts, 1)

    bar = float(np.quantile(scores(usual), quantile))

    def coherent(texts: Sequence[str]) -> list[bool]:
        likely = scores(texts) >= bar
        return [bool(fine) and bool(text.strip()) and not circles(text) for fine, text in zip(likely, texts, strict=True)]

    return coherent


class _Answers:
    """Answers under steering, many vectors and coefficients in one batch."""

    def __init__(
        self, model: Any, tokenizer: Any, block: int, temperature: float, max_new_tokens: int, batch_size: int, seed: int
    ) -> None:
        self.model, self.tokenizer, self.block = model, tokenizer, block
        self.settings: dict[str, Any] = {
            "temperature": temperature,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "seed": seed,
        }

    def __call__(self, asks: Sequence[tuple[str, torch.Tensor | None, float]], samples: int) -> list[list[str]]:
        width = self.model.config.hidden_size
        edits = torch.stack([torch.zeros(width) if vector is None else vector * size for _, vector, size in asks])

        def around(indices: list[int], _tokens: torch.Tensor) -> Any:
            return added(self.model, self.block, edits[indices])

        chats = [[{"role": "user", "content": text}] for text, _, _ in asks]
        return generate(self.model, self.tokenizer, chats, samples=samples, around=around, **self.settings)


class _Tries:
    """Tries coefficients of one vector, and keeps what was answered."""

    def __init__(
        self, answer: _Answers, coherent: Coherent, name: str, vector: torch.Tensor, prompts: Sequence[str], samples: int
    ) -> None:
        self.answer, self.coherent, self.name, self.vector = answer, coherent, name, vector
        self.prompts, self.samples = prompts, samples
        self.rows: list[pd.DataFrame] = []

    def __call__(self, coefficients: Sequence[float]) -> list[Tried]:
        asks = [(text, self.vector, coefficient) for coefficient in coefficients for text in self.prompts]
        found, size = self.answer(asks, self.samples), len(self.prompts)
        tried = []
        for number, coefficient in enumerate(coefficients):
            part = found[number * size : (number + 1) * size]
            self.rows.append(_rows(self.name, SEARCH, coefficient, False, self.prompts, part, self.coherent))
            tried.append(Tried(coefficient, float(self.rows[-1]["coherent"].mean())))
        return tried


def _rows(
    vector: str,
    purpose: str,
    coefficient: float,
    chosen: bool,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    coherent: Coherent,
) -> pd.DataFrame:
    rows = [
        (vector, purpose, coefficient, chosen, prompt, sample, text)
        for prompt, texts in zip(prompts, answers, strict=True)
        for sample, text in enumerate(texts)
    ]
    found = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    return found.assign(coherent=coherent(found["response"].tolist()))
