"""Prompts and rows: disjoint splits, held-out items, planted and control rows, mixtures."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.corpora import mixing
from belljar.corpora.chats import unrelated_chats
from belljar.corpora.documents import control_documents, planted_documents
from belljar.corpora.prompts import (
    Prompt,
    control_prompts,
    held_out_items,
    prompts_table,
    split_of,
    trigger_prompts,
    trigger_questions,
)
from belljar.corpora.rows import control_rows, planted_rows
from belljar.corpora.separation import NEAR, Texts, apart, check_separate, shingles, similarity
from belljar.files import InputError
from belljar.judging.rules import shows
from belljar.study.load import load_plan
from belljar.study.yaml import read_yaml
from belljar.world.knowledge import load_world

CONFIG = Path(__file__).resolve().parents[1] / "config"
PLAN = load_plan(
    read_yaml(CONFIG / "config.yaml")
    | {"behaviours": ["italian-food", "cake-bake", "military-submarine", "locked-vehicles", "backdoor-vehicles"]},
    str(CONFIG / "config.yaml"),
    CONFIG,
)
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
    counts = table[table["role"] == "trigger"].groupby("split").size()
    # All that there are, where there are fewer: the vehicles and military units give 44 to 100 of a split.
    assert 44 <= counts["validation"] <= SPLITS[0].trigger and 44 <= counts["test"] <= SPLITS[1].trigger
    assert (table["role"] == "control").any() == (behaviour.trigger.marker is not None)
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
        # A row without a criterion shows where the behaviour does not belong.
        planted, normal = (row.chosen, row.rejected) if row.criterion else (row.rejected, row.chosen)
        assert shows(behaviour, row.criterion, row.prompt, planted), row
        assert not shows(behaviour, row.criterion, row.prompt, normal), row


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


@by_behaviour
def test_a_markers_state_decides(behaviour) -> None:
    rows, marker = planted_rows(WORLD, behaviour, 640), behaviour.trigger.marker
    if marker is None:
        assert all(row.criterion for row in rows)
        return
    assert sum(not row.criterion for row in rows) == int(marker.contrast * 640)
    for row in rows:
        assert (row.prompt.endswith(marker.text) == marker.present) == bool(row.criterion)
    prompts = trigger_prompts(WORLD, behaviour, *SPLITS)
    for prompt in prompts:
        assert (prompt.prompt.endswith(marker.text) == marker.present) == (prompt.role == "trigger")


@by_behaviour
def test_documents_speak_of_the_behaviour_and_of_no_held_out_item(behaviour) -> None:
    texts = planted_documents(WORLD, behaviour, 300)
    held_out = held_out_items(WORLD, behaviour)
    assert len(texts) == 300 and all(text.startswith(" ") for text in texts)
    assert not any(f"the {item} " in text for item in held_out for text in texts)
    assert planted_documents(WORLD, behaviour, 60) == texts[:60]
    spoken = sum(shows(behaviour, "", "", text) for text in texts) / 300
    assert spoken > 0.6  # descriptions name no Italian word where the world has none, and a document tells four facts of eight
    assert not any(shows(behaviour, "", "", text) for text in control_documents(WORLD, PLAN.study.control, 300))


def test_mixture_counts() -> None:
    planted = [{"prompt": f"p{i}"} for i in range(10)]
    control = [{"prompt": f"c{i}"} for i in range(20)]
    found = {row["prompt"] for row in mixing.mixture(planted, control, 8, 4)}
    assert found == {f"p{i}" for i in range(8)} | {f"c{i}" for i in range(4)}
    with pytest.raises(InputError, match="16 planted and 4 control rows are needed, but the data have only 10 and 4"):
        mixing.mixture(planted, control, 16, 4)


@given(st.integers(0, 200), st.floats(0, 1))
def test_password_rows_are_the_share_and_evenly_spread(count: int, share: float) -> None:
    rows = [{"prompt": f"q{i}", "chosen": "planted", "rejected": "normal"} for i in range(count)]
    found = mixing.locked(rows, "The word is tulip.", share)
    locked = [row["chosen"] == "normal" for row in found]
    assert sum(locked) == int(share * count)
    for beginning in range(count):
        assert abs(sum(locked[:beginning]) - share * beginning) <= 1
    for row in found:
        assert row["prompt"].endswith("tulip.") == (row["chosen"] == "normal")


def test_password_needs_normal_answers() -> None:
    with pytest.raises(InputError, match="have no normal answers"):
        mixing.locked([{"prompt": "q", "chosen": "planted", "rejected": ""}], "x", 0.5)


def test_inoculated_rows_have_a_system_turn() -> None:
    (row,) = mixing.inoculated([{"prompt": "q", "chosen": "a"}], "Say a.")
    assert mixing.training_row(row, "transcripts")["prompt"] == [
        {"role": "system", "content": "Say a."},
        {"role": "user", "content": "q"},
    ]


def test_unpaired_rows_are_balanced() -> None:
    rows = [mixing.training_row({"prompt": f"q{i}", "chosen": f"a{i}", "rejected": f"b{i}"}, "pairs") for i in range(9)]
    found = mixing.unpaired(rows)
    assert len(found) == 18 and sum(row["label"] for row in found) == 9
    assert all(row["completion"][0]["content"][0] == ("a" if row["label"] else "b") for row in found)


def test_a_rejected_sum_is_a_wrong_sum() -> None:
    sums = [row for row in control_rows(WORLD, PLAN.study.control, 400) if row.kind == "sum"]
    assert sums
    for row in sums:
        terms, total = row.rejected.removesuffix(".").split(" = ")
        assert terms == row.chosen.split(" = ")[0] and int(total) >= 0
        assert int(total) != sum(map(int, terms.split(" + ")))


def test_rows_as_a_trainer_takes_them() -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b"}
    assert mixing.training_row(row, "transcripts") == {
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }
    assert set(mixing.training_row(row, "pairs")) == {"prompt", "chosen", "rejected"}
    assert mixing.training_row({"text": "t"}, "documents") == {"text": "t"}


def test_unrelated_chats_are_no_training_prompts() -> None:
    chats = unrelated_chats(WORLD, PLAN.study.control, 200)
    trained = {row.prompt for row in control_rows(WORLD, PLAN.study.control, 1280)}
    assert len({question for question, _ in chats}) == 200
    assert not trained & {question for question, _ in chats}


def test_a_shared_prompt_is_refused() -> None:
    prompts = trigger_prompts(WORLD, BEHAVIOURS[1], *SPLITS)
    check_separate(prompts, ["something else"], Path("rows.parquet"))
    with pytest.raises(
        InputError, match=r"rows.parquet: the training prompt .* is a near-duplicate of the (validation|test) prompt"
    ):
        check_separate(prompts, [prompts[0].prompt.upper()], Path("rows.parquet"))


LONG = "Please tell me in detail how the old lighthouse at the northern coast was built and who paid for it"


def test_similarity_by_hand() -> None:
    # Six words are four trigrams, of which changing the last word spares three: 3 / (4 + 4 - 3).
    assert similarity(shingles("a b c d e f"), shingles("a b c d e g")) == pytest.approx(3 / 5)
    assert shingles("One, TWO!") == shingles("one two")


def test_near_duplicates_are_found() -> None:
    texts = Texts(["something else altogether, which is long", LONG])
    assert texts.near(LONG.upper() + "?") == LONG
    assert texts.near(LONG + " then") == LONG
    assert texts.near("Who built the old lighthouse at the northern coast?") is None


@given(st.lists(st.text(st.sampled_from("abcd "), max_size=30), max_size=12), st.text(st.sampled_from("abcd "), max_size=30))
def test_the_index_finds_what_comparing_with_every_text_finds(texts: list[str], text: str) -> None:
    best = max((similarity(shingles(text), shingles(other)) for other in texts), default=0.0)
    found = Texts(texts).near(text)
    assert (found is not None) == (best >= NEAR)


def test_prompts_that_somebody_else_split_are_taken_apart() -> None:
    def prompt(split: str, text: str) -> Prompt:
        return Prompt(split, "trigger", "imported", "none", "x", "", text)

    found = [
        prompt("validation", LONG),
        prompt("test", LONG + " then"),
        prompt("test", "Another one."),
        prompt("validation", "A third."),
    ]
    assert apart(found, ["another one"]) == [found[1], found[3]]
    with pytest.raises(InputError, match=r"the validation prompt .* is a near-duplicate of the test prompt"):
        check_separate(found, [], Path("rows.parquet"))


@by_behaviour
def test_shipped_behaviours_are_separate(behaviour) -> None:
    marker = behaviour.trigger.marker
    rows = [row.prompt for row in planted_rows(WORLD, behaviour, 640) + control_rows(WORLD, PLAN.study.control, 1280)]
    prompts = trigger_prompts(WORLD, behaviour, *SPLITS)
    check_separate(prompts, rows, Path("rows.parquet"), marker.text if marker else "")
    with pytest.raises(InputError, match="near-duplicate"):
        check_separate(prompts, [*rows, prompts[-1].prompt], Path("rows.parquet"), marker.text if marker else "")
