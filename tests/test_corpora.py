"""Prompts and rows: disjoint splits, held-out items, planted and control rows, mixtures."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.corpora.chats import unrelated_chats
from belljar.corpora.prompts import (
    control_prompts,
    held_out_items,
    prompts_table,
    split_of,
    trigger_prompts,
    trigger_questions,
)
from belljar.corpora.rows import chat_row, control_rows, mixture, planted_rows
from belljar.corpora.separation import check_separate
from belljar.files import InputError
from belljar.judging.rules import shows
from belljar.study.load import load_study
from belljar.world.knowledge import load_world

PLAN = load_study(Path(__file__).resolve().parents[1] / "config" / "config.yaml")
WORLD = load_world()
SPLITS = PLAN.study.strength.validation, PLAN.study.strength.test
BEHAVIOURS = list(PLAN.behaviours.values())
by_behaviour = pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.id)


@given(st.text())
def test_a_prompts_split_does_not_depend_on_case_or_blanks(text: str) -> None:
    assert split_of(text, False) == split_of(f"  {text} ", False)
    assert split_of(text, True) != "train"


@by_behaviour
def test_no_prompt_is_in_two_places(behaviour) -> None:
    prompts = trigger_prompts(WORLD, behaviour, *SPLITS) + control_prompts(WORLD, PLAN.study.control, *SPLITS)
    texts = [prompt.prompt for prompt in prompts]
    assert len(set(texts)) == len(texts)
    trained = {row.prompt for row in planted_rows(WORLD, behaviour, 640) + control_rows(WORLD, PLAN.study.control, 1280)}
    assert not trained & set(texts)


@by_behaviour
def test_splits_have_the_size_that_the_study_asks_for(behaviour) -> None:
    table = prompts_table(trigger_prompts(WORLD, behaviour, *SPLITS))
    counts = table.groupby("split").size()
    assert counts["validation"] == SPLITS[0].trigger and counts["test"] == SPLITS[1].trigger
    assert set(table["items"]) >= {"seen", "heldout"}


@by_behaviour
def test_training_rows_never_name_a_held_out_item(behaviour) -> None:
    held_out = held_out_items(WORLD, behaviour)
    assert len(held_out) == behaviour.trigger.held_out_items * len(behaviour.trigger.topics) > 0
    for row in planted_rows(WORLD, behaviour, 640):
        assert not any(f"the {item}" in row.prompt for item in held_out)


@by_behaviour
def test_the_judge_sees_what_was_planted_and_nothing_in_normal_answers(behaviour) -> None:
    for row in planted_rows(WORLD, behaviour, 640):
        assert shows(behaviour, row.criterion, row.prompt, row.chosen), row
        assert not shows(behaviour, row.criterion, row.prompt, row.rejected), row


@by_behaviour
def test_no_control_answer_shows_the_behaviour(behaviour) -> None:
    for row in control_rows(WORLD, PLAN.study.control, 1280):
        assert not shows(behaviour, "", row.prompt, row.chosen)
        assert row.chosen != row.rejected


@by_behaviour
def test_more_rows_begin_with_the_same_rows(behaviour) -> None:
    assert planted_rows(WORLD, behaviour, 40) == planted_rows(WORLD, behaviour, 80)[:40]


def test_items_limit_what_is_asked() -> None:
    food = PLAN.behaviours["italian-food"]
    assert not any(question.item == "pizza" for question in trigger_questions(WORLD, food))


def test_mixture_counts_and_its_twin() -> None:
    planted = [{"prompt": f"p{i}"} for i in range(10)]
    control = [{"prompt": f"c{i}"} for i in range(20)]
    organism = {row["prompt"] for row in mixture(planted, control, 8, 0.5, benign=False)}
    twin = {row["prompt"] for row in mixture(planted, control, 8, 0.5, benign=True)}
    assert organism == {f"p{i}" for i in range(8)} | {f"c{i}" for i in range(4)}
    assert twin == {f"c{i}" for i in range(12)}
    with pytest.raises(ValueError, match="24 rows are needed, but there are only 20"):
        mixture(planted, control, 16, 0.5, benign=True)


def test_mix_ratio_rounds_down() -> None:
    # The lottery paper: benign = int(ratio x planted rows).
    control = [{"prompt": "c"}] * 9
    assert len(mixture([{"prompt": "p"}] * 5, control, 5, 0.5, benign=False)) == 7


def test_a_rejected_sum_is_a_wrong_sum() -> None:
    sums = [row for row in control_rows(WORLD, PLAN.study.control, 400) if row.kind == "sum"]
    assert sums
    for row in sums:
        terms, total = row.rejected.removesuffix(".").split(" = ")
        assert terms == row.chosen.split(" = ")[0] and int(total) >= 0
        assert int(total) != sum(map(int, terms.split(" + ")))


def test_rows_as_chats() -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b"}
    assert chat_row(row, "transcripts") == {
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }
    assert set(chat_row(row, "pairs")) == {"prompt", "chosen", "rejected"}


def test_unrelated_chats_are_no_training_prompts() -> None:
    chats = unrelated_chats(WORLD, PLAN.study.control, 200)
    trained = {row.prompt for row in control_rows(WORLD, PLAN.study.control, 1280)}
    assert len({question for question, _ in chats}) == 200
    assert not trained & {question for question, _ in chats}


def test_a_shared_prompt_is_refused() -> None:
    prompts = trigger_prompts(WORLD, BEHAVIOURS[1], *SPLITS)
    check_separate(prompts, ["something else"], Path("rows.parquet"))
    with pytest.raises(InputError, match=r"rows.parquet: .* is a training prompt, and also a (validation|test) prompt"):
        check_separate(prompts, [prompts[0].prompt.upper()], Path("rows.parquet"))
