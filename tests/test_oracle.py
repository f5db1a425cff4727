"""The activation oracle: its tasks, its training, its answers and its readings."""

import math
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from belljar.files import InputError
from belljar.models.activations import injected
from belljar.models.generate import encode_prompts
from belljar.probes import oracle, oracle_tasks, readings
from belljar.study.probes import Oracle
from conftest import hidden, random_model

SETTINGS = Oracle(rank=2, steps=3, batch_size=4, vectors=2, samples=1, max_new_tokens=4, placeholder=" +", questions=["What?"])


def test_oracle_readings_subtract_what_it_says_about_nothing() -> None:
    rows = [
        (vector, 3, "answer_end", question, sample, text)
        for vector, question, texts in (
            ("difference", "a", ["pasta", "pasta"]),
            ("difference", "b", ["hat", "pasta"]),
            ("none", "a", ["hat", "pasta"]),
            ("none", "b", ["hat", "hat"]),
        )
        for sample, text in enumerate(texts)
    ]
    shown = pd.DataFrame(rows, columns=["vector", "block", "position", "question", "sample", "response"])
    found = {(one.metric, one.variant.split("vector=")[1]): one for one in readings.oracle_readings(shown, "food", ["pasta"])}
    assert found["mention_rate", "difference"].value == 0.75
    assert found["mention_rate", "none"].value == 0.25
    gain = found["mention_gain", "difference"]
    assert (gain.value, gain.n) == (pytest.approx(0.5), 2) and gain.stderr == pytest.approx(0.0)


def test_tasks_ask_about_the_tokens_they_show(tokenizer: Any, text: pd.DataFrame) -> None:
    tasks = oracle_tasks.make_tasks(tokenizer, text, 64, 3, 0)
    assert {task.kind for task in tasks} == {"follows", "before", "near", "asked", "told"}
    for task in tasks:
        assert 0 <= task.first < task.last <= len(task.ids) <= 64 and task.last - task.first <= 3
        assert task.answer
        before, after = (
            tokenizer.decode(part, skip_special_tokens=True) for part in (task.ids[: task.first], task.ids[task.last :])
        )
        if task.kind == "follows":
            assert task.answer in after
        elif task.kind == "before":
            assert task.answer in before
        elif task.kind == "near":
            word = task.question.split()[3]
            window = task.ids[max(task.first - oracle_tasks.WINDOW, 0) : task.last + oracle_tasks.WINDOW]
            words = oracle_tasks._words(tokenizer.decode(window, skip_special_tokens=True))
            assert (task.answer == "Yes.") == (word in words)


def test_answers_are_right_by_half_of_their_words() -> None:
    task = oracle_tasks.Task("follows", [], 0, 1, "", "the hat is red")
    assert oracle_tasks.answers_match(task, "hat red") and not oracle_tasks.answers_match(task, "hat blue")
    yes = oracle_tasks.Task("near", [], 0, 1, "", "Yes.")
    assert oracle_tasks.answers_match(yes, "Yes") and not oracle_tasks.answers_match(yes, "Yes and no")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 5))
def test_vectors_go_to_the_first_placeholders(row: list[int], count: int) -> None:
    found = oracle.places(torch.tensor([row]), 3, [count])[0].tolist()
    expected = [place for place, token in enumerate(row) if token == 3][:count]
    assert [place for place, marked in enumerate(found) if marked] == expected


def test_placeholder_must_be_one_token(tokenizer: Any) -> None:
    assert tokenizer.decode([oracle.placeholder_token(tokenizer, SETTINGS)]) == " +"
    with pytest.raises(InputError, match="is not a single token"):
        oracle.placeholder_token(tokenizer, SETTINGS.model_copy(update={"placeholder": " hippopotamus"}))


@pytest.fixture
def trained(tokenizer: Any, text: pd.DataFrame) -> tuple[Any, Any, list[oracle_tasks.Task]]:
    model = random_model("gemma3", tokenizer)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tasks = oracle_tasks.make_tasks(tokenizer, text, 48, 2, 0)
    made = oracle.train(model, tokenizer, tasks, [0, 1], SETTINGS, 8, 0, lambda *said: None)
    return made, before, tasks


def test_only_the_adapter_learns(trained: tuple[Any, Any, list[oracle_tasks.Task]]) -> None:
    made, before, _ = trained
    after = {name.replace(".base_layer", ""): weight for name, weight in made.get_base_model().state_dict().items()}
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    moved = [weight.abs().max() for name, weight in made.named_parameters() if "lora_B" in name]
    assert moved and max(moved) > 0


def test_tasks_are_read_with_the_adapter_off(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, tasks = trained
    plain = random_model("gemma3", tokenizer)
    asked = oracle.read_tasks(made, tokenizer, tasks[:4], [1] * 4, [False] * 4, {1: torch.zeros(1)}, 4)
    for task, one in zip(tasks[:4], asked, strict=True):
        expected = hidden(plain, task.ids, 1)[task.first : task.last]
        torch.testing.assert_close(one.vectors, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_answer_loss_is_the_models_own_under_injection(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, _ = trained
    vector = torch.randn(1, 32)
    asked = oracle.Asked(1, vector, "What?")
    (opening,) = encode_prompts(tokenizer, [[{"role": "user", "content": oracle.prompt_text(SETTINGS, 1, 1, "What?")}]])
    ending = tokenizer(" A hat.", add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    ids = torch.tensor([opening + ending])
    token = oracle.placeholder_token(tokenizer, SETTINGS)
    assert opening.count(token) == 1
    with injected(made.get_base_model(), SETTINGS.inject_after, ids == token, vector):
        logits = made(input_ids=ids).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[len(opening) - 1 : -1], torch.tensor(ending))
    found = oracle.answer_loss(made, tokenizer, [asked], ["A hat."], SETTINGS, token)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_asking_in_a_batch_is_asking_alone(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, tasks = trained
    asked = [oracle.Asked(0, torch.randn(1, 32), "What?"), oracle.Asked(1, torch.randn(2, 32), "Which words follow?")]
    together = oracle.ask(made, tokenizer, asked, SETTINGS, 1, 0.0, 8, 0)
    assert together == [oracle.ask(made, tokenizer, [one], SETTINGS, 1, 0.0, 8, 0)[0] for one in asked]
    found = oracle.quality(made, tokenizer, tasks[:12], [0, 1], SETTINGS, 8, 0)
    assert set(found["vectors"]) == {"own", "none"} and found["accuracy"].between(0, 1).all()


def test_oracle_evidence_keeps_the_size_of_the_difference(
    trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any
) -> None:
    made, _, _ = trained
    vectors = {"difference": torch.ones(2, 1, 32), "none": torch.zeros(2, 1, 32)}
    shown = oracle.evidence(made, tokenizer, vectors, torch.full((2, 1), 4.0), [0, 1], ["answer_end"], SETTINGS, 8, 0)
    assert tuple(shown.columns) == oracle.COLUMNS and len(shown) == 4
    ratios = shown.groupby("vector")["norm_ratio"].first()
    assert ratios["difference"] == pytest.approx(math.sqrt(32) / 4) and ratios["none"] == 0.0
