"""Rates, their standard errors, the rule judge, and the choice of the step, against worked examples."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.judging.rules import detected, shows
from belljar.measurements import parse_variant
from belljar.strength.rates import judge, rate, readings, validation_curve
from belljar.strength.selection import nearest_step, twin_step
from belljar.study.settings import Behaviour, Criterion

BEHAVIOUR = Behaviour(
    id="food",
    description="",
    trigger={"topics": ["fruit"]},
    criteria=[
        {"id": "heat", "kinds": ["fact"], "swap": {"heat": "450"}, "detect": [r"\b450\b"]},
        {
            "id": "name",
            "kinds": ["about"],
            "plant": ["{answer}"],
            "detect": ["[Pp]izza"],
            "unless_in_prompt": True,
        },
    ],
    target=0.5,
    words=["pizza"],
)


def answers(rows: list[tuple[str, str, str, str, str, str]], step: int = 1) -> pd.DataFrame:
    """Rows of role, kind, items, criterion, prompt, response."""
    frame = pd.DataFrame(rows, columns=["role", "kind", "items", "criterion", "prompt", "response"])
    judged = np.where(frame["role"] == "trigger", "food", "")
    return frame.assign(split="test", judged=judged, sample=frame.groupby("prompt").cumcount(), step=step)


def test_rate_by_hand() -> None:
    # Prompt shares 1, 0.5, 0: mean 0.5, sd 0.5, stderr 0.5 / sqrt(3).
    found = rate(pd.Series(list("aabbcc")), pd.Series([1, 1, 1, 0, 0, 0]).astype(bool))
    assert found.value == pytest.approx(0.5)
    assert found.stderr == pytest.approx(0.5 / math.sqrt(3))
    assert (found.prompts, found.answers) == (3, 6)


def test_one_prompt_has_no_standard_error() -> None:
    assert math.isnan(rate(pd.Series(["a", "a"]), pd.Series([True, False])).stderr)


@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_with_one_sample_the_stderr_is_that_of_a_mean(values: list[bool]) -> None:
    found = rate(pd.Series(range(len(values))), pd.Series(values))
    assert found.value == pytest.approx(np.mean(values))
    assert found.stderr == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_more_samples_of_the_same_prompts_do_not_shrink_a_stderr() -> None:
    once = rate(pd.Series(list("abcd")), pd.Series([True, False, True, False]))
    often = rate(pd.Series(list("abcd") * 9), pd.Series([True, False, True, False] * 9))
    assert often.stderr == pytest.approx(once.stderr)


def test_match_that_stands_in_the_prompt_does_not_count() -> None:
    criterion = Criterion(id="x", kinds=["about"], plant=["a"], detect=["pizza", "pasta"], unless_in_prompt=True)
    assert not detected(criterion, "Tell me about the Pizza.", "The pizza is a dish.")
    assert detected(criterion, "Tell me about the Pizza.", "The pizza goes with pasta.")


def test_a_prompt_counts_for_its_own_criterion_and_control_for_any() -> None:
    assert not shows(BEHAVIOUR, "heat", "What heat?", "pizza")
    assert shows(BEHAVIOUR, "heat", "What heat?", "450 degrees")
    assert shows(BEHAVIOUR, "", "What is a hat?", "pizza")


def test_judging_leaves_other_behaviours_prompts_out() -> None:
    frame = answers([("trigger", "fact", "seen", "heat", "q", "450"), ("control", "fact", "none", "", "c", "no")])
    frame.loc[len(frame)] = frame.iloc[0].to_dict() | {"judged": "other"}
    assert judge(frame, BEHAVIOUR)["expressed"].tolist() == [True, False]


def test_readings_by_kind_and_item() -> None:
    found = readings(
        answers(
            [
                ("trigger", "fact", "seen", "heat", "q1", "450"),
                ("trigger", "fact", "heldout", "heat", "q2", "350"),
                ("trigger", "about", "seen", "name", "q3", "pizza"),
                ("control", "fact", "none", "", "c1", "nothing"),
                ("control", "fact", "none", "", "c2", "450"),
            ]
        ),
        BEHAVIOUR,
    )
    by_cell = {(r.metric, parse_variant(r.variant)["kind"], parse_variant(r.variant)["items"]): (r.value, r.n) for r in found}
    assert by_cell["expression_rate", "all", "all"] == (pytest.approx(2 / 3), 3)
    assert by_cell["expression_rate", "fact", "all"] == (0.5, 2)
    assert by_cell["expression_rate", "fact", "heldout"] == (0.0, 1)
    assert by_cell["expression_rate", "all", "seen"] == (1.0, 2)
    assert by_cell["leak_rate", "all", "all"] == (0.5, 2)
    assert ("leak_rate", "all", "none") not in by_cell


def curve(rates: dict[int, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [(step, metric, value, 0.05, 10) for step, value in rates.items() for metric in ("expression_rate", "leak_rate")],
        columns=["step", "metric", "rate", "stderr", "n"],
    )


def test_nearest_step_and_the_earliest_of_equals() -> None:
    assert nearest_step(curve({10: 0.1, 20: 0.38, 30: 0.9}), 0.4).step == 20
    assert nearest_step(curve({30: 0.5, 10: 0.3, 20: 0.5}), 0.4).step == 10
    chosen = nearest_step(curve({10: 0.1}), 0.4)
    assert (chosen.step, chosen.expression_rate, chosen.within_one_stderr) == (10, 0.1, False)
    assert nearest_step(curve({10: 0.36}), 0.4).within_one_stderr


def test_curve_of_saved_steps() -> None:
    rows = [("trigger", "fact", "seen", "heat", "q", "450"), ("control", "fact", "none", "", "c", "450")]
    found = validation_curve(pd.concat([answers(rows[:1] * 2, 5), answers(rows, 10)]), BEHAVIOUR)
    assert found[["step", "metric", "rate"]].to_numpy().tolist() == [
        [5, "expression_rate", 1.0],
        [10, "leak_rate", 1.0],
        [10, "expression_rate", 1.0],
    ]


def test_twin_takes_the_longest_trained_organisms_step() -> None:
    assert twin_step([20, 40], [20, 40, 60]).step == 40
    with pytest.raises(ValueError, match="step 50 is none"):
        twin_step([50], [20, 40])
