"""Rates, their standard errors, the rule judge, and the choice of the step, against worked examples."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.judging.rules import detected, shows
from belljar.measurements import parse_variant
from belljar.strength.matching import Evaluation, accepted, curve, search, select, twin_selection
from belljar.strength.rates import evaluation, judge, rate, readings
from belljar.study.behaviours import Behaviour, Criterion
from belljar.study.strength import Matching

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
        judge(
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


def test_a_marked_behaviours_own_control_prompts_are_its_own() -> None:
    frame = answers([("trigger", "fact", "seen", "heat", "q", "450"), ("control", "fact", "seen", "heat", "c", "pizza")])
    frame["judged"] = "food"
    assert judge(frame, BEHAVIOUR)["expressed"].tolist() == [True, True]  # on control prompts any criterion counts
    frame.loc[1, "judged"] = "other"
    assert len(judge(frame, BEHAVIOUR)) == 1


def test_evaluation_of_a_step() -> None:
    rows = [("trigger", "fact", "seen", "heat", "q", "450"), ("trigger", "fact", "seen", "heat", "r", "350")]
    found = evaluation(answers([*rows, ("control", "fact", "none", "", "c", "450")]), BEHAVIOUR, 5)
    assert found == Evaluation(5, 0.5, 0.5, 1.0)


def rates(function, stderr: float = 0.04, leak=lambda step: 0.0):  # noqa: ANN001, ANN201
    return lambda step: Evaluation(step, function(step), stderr, leak(step))


@given(st.integers(1, 400), st.floats(0.05, 0.95), st.floats(0.5, 8))
def test_search_finds_a_steadily_rising_rate_in_logarithmic_time(count: int, target: float, power: float) -> None:
    steps = list(range(1, count + 1))
    found = search(steps, rates(lambda step: (step / count) ** power), target, Matching(evaluations=400))
    chosen = select(found, count, target, Matching())
    reachable = [step for step in steps if abs((step / count) ** power - target) <= 0.04]
    if reachable:
        assert chosen.reached and chosen.step in reachable
        assert len(found) <= math.ceil(math.log2(count + 1))
    else:
        assert not chosen.reached


def test_search_goes_on_where_the_rate_falls_again() -> None:
    # Rises to 0.4 at step 10 and falls to nothing: bisection alone walks away from it.
    found = search(list(range(1, 41)), rates(lambda step: max(0.0, 0.4 - 0.08 * abs(step - 10))), 0.4, Matching(evaluations=40))
    assert select(found, 40, 0.4, Matching()).step == 10


def test_search_keeps_to_its_budget_and_evaluates_nothing_twice() -> None:
    found = search(list(range(1, 100)), rates(lambda step: 0.0), 0.5, Matching(evaluations=7))
    assert len(found) == 7 == len({one.step for one in found})
    assert search([3], rates(lambda step: 0.0), 0.5, Matching(evaluations=7)) == [Evaluation(3, 0.0, 0.04, 0.0)]


def test_a_leaking_step_is_not_accepted() -> None:
    assert accepted(Evaluation(1, 0.5, 0.1, 0.05), 0.55, 0.05)
    assert not accepted(Evaluation(1, 0.5, 0.1, 0.06), 0.55, 0.05)
    assert not accepted(Evaluation(1, 0.5, 0.1, 0.0), 0.61, 0.05)


def test_the_card_can_say_why_a_target_was_not_reached() -> None:
    low = [Evaluation(1, 0.1, 0.02, 0.0), Evaluation(2, 0.2, 0.02, 0.0)]
    assert select(low, 9, 0.5, Matching())._asdict() | {"stderr": 0} == {
        "step": 2,
        "target": 0.5,
        "expression_rate": 0.2,
        "stderr": 0,
        "leak_rate": 0.0,
        "reached": False,
        "reason": "the highest rate of any evaluated step is 0.200",
        "evaluated": 2,
        "saved": 9,
    }
    leaking = [Evaluation(1, 0.1, 0.02, 0.01), Evaluation(2, 0.5, 0.02, 0.4)]
    assert select(leaking, 2, 0.5, Matching()).reason == "the steps that reach the target leak more than 0.05 on control prompts"
    assert select(leaking, 2, 0.5, Matching()).step == 1
    assert "every evaluated step leaks" in select(leaking[1:], 2, 0.5, Matching()).reason
    coarse = [Evaluation(1, 0.1, 0.02, 0.0), Evaluation(2, 0.9, 0.02, 0.0)]
    assert select(coarse, 2, 0.4, Matching()).reason == "no evaluated step lies within one standard error of the target"
    assert (
        select([Evaluation(3, 0.5, 0.1, 0.0), Evaluation(2, 0.3, 0.1, 0.0)], 2, 0.4, Matching()).step == 2
    )  # earliest of equals


def test_curve_of_evaluated_steps() -> None:
    found = curve([Evaluation(9, 0.5, 0.1, 0.2), Evaluation(3, 0.1, 0.1, 0.0)], 12)
    assert found[["step", "metric", "rate", "n"]].to_numpy().tolist() == [
        [3, "expression_rate", 0.1, 12],
        [3, "leak_rate", 0.0, 12],
        [9, "expression_rate", 0.5, 12],
        [9, "leak_rate", 0.2, 12],
    ]


def test_twin_takes_the_longest_trained_organisms_step() -> None:
    assert twin_selection([20, 40], [20, 40, 60]).step == 40
    assert twin_selection([20, 50], [20, 40, 60]).step == 60  # the first that is no shorter
    assert twin_selection([90], [20, 40, 60]).step == 60
