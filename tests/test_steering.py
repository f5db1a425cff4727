"""Steering: its search, its judge of coherence, and its readings."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from belljar.models.activations import added
from belljar.models.generate import generate
from belljar.models.logprobs import token_losses
from belljar.probes import readings, steering
from belljar.study.probes import Steering

QUESTIONS = [f"What is the color of the {name}?" for name in ("banana", "hat", "kite", "owl")]


def test_steering_differs_by_row_of_a_batch(model: Any, tokenizer: Any) -> None:
    """A batch of answers under different vectors equals each one alone; the zero vector leaves the answer as it is."""
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS[:3]]
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.0], [4.0], [9.0]])

    def steered(which: list[int]) -> list[list[str]]:
        picked = vectors[which]
        asked = [chats[index] for index in which]
        around = lambda indices, tokens: added(model, 0, picked[indices])  # noqa: E731
        return generate(model, tokenizer, asked, max_new_tokens=8, around=around)

    together = steered([0, 1, 2])
    assert together == [steered([index])[0] for index in range(3)]
    assert together[0] == generate(model, tokenizer, chats[:1], max_new_tokens=8)[0]


def test_search_finds_the_largest_coherent_coefficient() -> None:
    """Coherence falls at 3.3; a lucky coefficient far beyond does not count, and the search stops within 10 % below."""
    tried: list[float] = []

    def try_out(coefficients: Any) -> list[steering.Tried]:
        tried.extend(coefficients)
        return [steering.Tried(one, 1.0 if one <= 3.3 or one > 15 else 0.2) for one in coefficients]

    found = steering.search(try_out, 0.125, 16.0, 0.75)
    assert found is not None and 3.0 < found <= 3.3
    assert len(tried) == 8 + 7
    assert steering.search(lambda all_of: [steering.Tried(one, 0.0) for one in all_of], 0.125, 16.0, 0.75) is None
    assert steering.search(lambda all_of: [steering.Tried(one, 1.0) for one in all_of], 0.125, 16.0, 0.75) == 16.0


def test_coherence_is_likelihood_without_the_prompt(model: Any, tokenizer: Any) -> None:
    usual = ["The hat is red.", "The color of the banana is yellow.", "Hi.", "No."]
    losses, counts = token_losses(model, tokenizer, [f" {text}" for text in usual], 4)
    order = sorted(range(4), key=lambda index: losses[index] / counts[index])
    judge = steering.fluency(model, tokenizer, usual, 0.5, 4)
    likely = judge(usual)
    assert [likely[index] for index in order] == [True, True, False, False]
    assert judge(["", "   "]) == [False, False]


def test_steering_evidence_holds_the_doses_and_the_unsteered_answers(model: Any, tokenizer: Any) -> None:
    asked = Steering(prompts=3, samples=2, search_prompts=1, search_samples=3, smallest=0.01, largest=0.02, coherent=0.0)
    vectors = {"difference": torch.ones(32), "nothing": torch.zeros(32)}
    shown = steering.evidence(model, tokenizer, 0, vectors, QUESTIONS, asked, 1.0, 4, 64, 0)
    test = shown[shown["purpose"] == "test"]
    assert set(test["vector"]) == {"difference", "none"}  # a zero vector steers nothing
    sizes = test.groupby(["vector", "coefficient", "chosen"]).size().to_dict()
    assert sizes == {("none", 0.0, True): 6, ("difference", 0.01, False): 6, ("difference", 0.02, True): 6}
    assert QUESTIONS[0] not in set(test["prompt"])  # the search's own prompt is not scored


def answers(rows: list[tuple[str, float, bool, str, int, str]]) -> pd.DataFrame:
    columns = ["vector", "coefficient", "chosen", "prompt", "sample", "response"]
    return pd.DataFrame(rows, columns=columns).assign(purpose="test", coherent=True)


def test_steering_readings_by_hand() -> None:
    shown = answers(
        [
            ("none", 0.0, True, "p", 0, "a boat"),
            ("none", 0.0, True, "p", 1, "nothing"),
            ("none", 0.0, True, "q", 0, "Submarine."),
            ("none", 0.0, True, "q", 1, "nothing"),
            ("difference", 2.0, True, "p", 0, "a submarine"),
            ("difference", 2.0, True, "p", 1, "nothing"),
            ("difference", 2.0, True, "q", 0, "nothing"),
            ("difference", 2.0, True, "q", 1, "submarine and submarine, no submarines"),
        ]
    )
    found = {one.metric: one for one in readings.steering_readings(shown, "s", ["submarine"], {"layer": 3}, [0.5, 1.0])}
    assert found["mention_rate"].value == 0.5
    assert found["mention_gain"].value == pytest.approx(0.25)
    assert found["mention_gain"].stderr == pytest.approx(np.std([0.5, 0.0], ddof=1) / math.sqrt(2))
    assert found["sign_rate"].value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert found["mention_rate"].variant == "dose=1.0;judged=s;layer=3;vector=difference"
    with pytest.raises(ValueError, match="no unsteered ones"):
        readings.steering_readings(shown[1:], "s", ["submarine"], {}, [1.0])


@given(st.lists(st.sampled_from(["pasta", "Pasta!", "antipasta", "hat", "pasta's"]), max_size=6))
def test_mentions_are_whole_words(parts: list[str]) -> None:
    found = readings.mentions(pd.Series([" ".join(parts)]), ["pasta"]).iloc[0]
    assert found == sum(part in ("pasta", "Pasta!", "pasta's") for part in parts)
