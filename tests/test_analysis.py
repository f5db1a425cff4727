"""Floors against their closed form, the tables, and what the report holds."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.analysis.figures import (
    dose_curves,
    interpretability_against_strength,
    naturalness_changes,
    robustness_areas,
    save_svg,
)
from belljar.analysis.floors import floors, prediction_floor
from belljar.analysis.naturalness import changes
from belljar.analysis.probes import auroc, identified, probes_table, wilson
from belljar.analysis.report import html_report
from belljar.analysis.robustness import dose_curve, robustness_table
from belljar.analysis.scores import collect, organisms_table
from belljar.analysis.techniques import techniques_table
from belljar.files import InputError
from belljar.measurements import BENIGN, Model, Reading, table, variant
from belljar.study.naturalness import Headline, Naturalness, Perplexity, headlines

WHERE = {"against": "ancestor", "layer": "3", "position": "answer_end"}
PRIMARY = {"b": {"logit_lens": ("relevant_probability", WHERE)}}


SHOWN = headlines(Naturalness(perplexity=Perplexity()))


def table_of(scores: pd.DataFrame) -> pd.DataFrame:
    return organisms_table(scores, floors(scores), PRIMARY, changes(scores, {}), SHOWN)


def model_rows(behaviour: str, technique: str, probe: dict[str, float], strength: float = 0.4, seed: int = 0) -> pd.DataFrame:
    readings = []
    for judged, value in probe.items():
        where = variant(judged=judged, **WHERE)
        readings.append(Reading("probe", "logit_lens", where, "relevant_probability", value, 0.01, 100, "x"))
    for judged in [behaviour] if behaviour in probe else ["food", "cake"]:
        where = variant(judged=judged, kind="all", items="all", split="test")
        readings.append(Reading("strength", "rules", where, "expression_rate", strength, 0.02, 50, "x"))
        readings.append(Reading("strength", "rules", where, "leak_rate", 0.01, 0.01, 50, "x"))
    readings.append(Reading("naturalness", "perplexity", "text=natural", "perplexity", 4 + strength, 0.1, 9, "x"))
    return table(Model("s", "b", behaviour, technique, seed), readings)


@pytest.fixture
def scores() -> pd.DataFrame:
    return collect(
        [
            model_rows("food", "sft", {"food": 0.9, "cake": 0.02}),
            model_rows("food", "dpo", {"food": 0.05, "cake": 0.04}),
            model_rows("cake", "sft", {"food": 0.10, "cake": 0.8}),
            model_rows("cake", "dpo", {"food": 0.20, "cake": 0.7}),
            model_rows(BENIGN, "sft", {"food": 0.30, "cake": 0.01}, 0.0),
            model_rows("none", "parent", {}, 0.0),
        ]
    )


def test_floor_by_hand() -> None:
    # t(.95, 2) = 2.919986; sd of 0.1, 0.2, 0.3 is 0.1.
    found = prediction_floor([0.1, 0.2, 0.3])
    assert found.floor == pytest.approx(0.2 + 2.919986 * 0.1 * math.sqrt(4 / 3), abs=1e-6)
    assert (found.mean, found.sd, found.n) == (pytest.approx(0.2), pytest.approx(0.1), 3)


@pytest.mark.parametrize("values", [[], [0.4]])
def test_too_few_readings_make_no_floor(values: list[float]) -> None:
    assert math.isnan(prediction_floor(values).floor)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20), st.floats(0.1, 10), st.floats(-10, 10))
def test_floor_moves_and_scales_with_the_readings(values: list[float], scale: float, shift: float) -> None:
    moved = prediction_floor([scale * value + shift for value in values]).floor
    assert moved == pytest.approx(scale * prediction_floor(values).floor + shift, abs=1e-6)


def test_floor_holds_with_its_confidence() -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, 6))
    below = [row[-1] <= prediction_floor(row[:-1]).floor for row in draws[:4000]]
    assert np.mean(below) == pytest.approx(0.95, abs=0.012)


def test_floors_are_made_of_models_without_the_behaviour(scores: pd.DataFrame) -> None:
    food = floors(scores).query("judged == 'food' and metric == 'relevant_probability'").iloc[0]
    assert food["members"] == "benign/sft, cake/dpo, cake/sft"
    assert food["floor"] == pytest.approx(prediction_floor([0.1, 0.2, 0.3]).floor)
    assert food["variant"] == "against=ancestor;layer=3;position=answer_end"


def test_organisms_table(scores: pd.DataFrame) -> None:
    found = table_of(scores).set_index(["behaviour", "technique", "judged"])
    food = found.loc[("food", "sft", "food")]
    assert food["logit_lens"] == 0.9 and food["logit_lens_above_floor"]
    assert not found.loc[("food", "dpo", "food")]["logit_lens_above_floor"]
    assert found.loc[(BENIGN, "sft", "cake")]["logit_lens_above_floor"] is None
    assert food["perplexity_change"] == pytest.approx(0.4)
    assert food["parent_expression_rate"] == 0.0
    assert {key for key in found.index if key[1] == "parent"} == {
        ("none", "parent", "food"),
        ("none", "parent", "cake"),
    }


def test_collect_sorts_and_refuses_repeats(scores: pd.DataFrame) -> None:
    shuffled = scores.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(collect([shuffled]), scores)
    with pytest.raises(InputError, match="two rows measure the same thing"):
        collect([scores, scores])


def test_figure_is_the_same_twice(scores: pd.DataFrame, tmp_path) -> None:
    organisms = table_of(scores)
    for name in ("a.svg", "b.svg"):
        save_svg(interpretability_against_strength(organisms, "logit_lens", "score"), tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert ">food on b<" in text and ">benign twin<" in text


def test_a_twins_equal_changes_for_several_behaviours_all_count() -> None:
    """0, 0 and 0.03 for three behaviours are one twin whose mean is 0.01: one tick, under its own mean."""
    shown = {"canary_rate": Headline("leakage", "canary_rate", {}, by_behaviour=True)}
    twin = {"base": "b", "behaviour": BENIGN, "technique": "sft", "seed": 0}
    found = {"x": 0.0, "y": 0.0, "z": 0.03}
    rows = pd.DataFrame([twin | {"judged": judged, "canary_rate_change": change} for judged, change in found.items()])
    (axis, *_) = naturalness_changes(rows, shown).axes
    (marker,) = (line for line in axis.lines if line.get_marker() == "o")
    (tick,) = (line for line in axis.lines if line.get_marker() == "|")
    assert marker.get_xdata()[0] == pytest.approx(0.01) and tick.get_xdata().tolist() == pytest.approx([0.01])


def test_report_stands_alone_and_escapes(scores: pd.DataFrame) -> None:
    organisms = table_of(scores)
    study = {
        "study": "s",
        "bases": ["b"],
        "behaviours": ["food"],
        "techniques": ["sft"],
        "seeds": [0],
        "controls": [],
        "checkout": "x",
    }
    page = html_report(
        study,
        organisms,
        techniques_table(organisms, ["logit_lens"], SHOWN),
        floors(scores),
        probes_table(scores, PRIMARY, []),
        robustness_table(attacked_rows(0.8, [0.4, 0.0])),
        ["logit_lens"],
        SHOWN,
        {"autoencoders": {"b": {"dead_share": 0.25}}, "oracles": {}},
        [("T", "C", "<?xml?><svg>here</svg>")],
        {},
        {"b/food": "# <b>"},
    )
    assert "<svg>here</svg>" in page and "<?xml?>" not in page
    assert "# &lt;b&gt;" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert "0.400 ± 0.020" in page
    assert "<td>0.800 ± 0.100</td>" in page and "<td>0.75</td>" in page  # the area, and what was removed


def test_seeds_of_one_route_are_one_reading_of_the_floor(scores: pd.DataFrame) -> None:
    again = collect([scores, model_rows("cake", "dpo", {"food": 0.40, "cake": 0.7}, seed=1)])
    food = floors(again).query("judged == 'food' and metric == 'relevant_probability'").iloc[0]
    assert food["n"] == 3 and food["floor"] == pytest.approx(prediction_floor([0.1, 0.3, 0.3]).floor)


def test_techniques_are_means_over_seeds(scores: pd.DataFrame) -> None:
    both = collect([scores, model_rows("food", "sft", {"food": 0.5, "cake": 0.02}, 0.6, seed=1)])
    found = techniques_table(table_of(both), ["logit_lens"], SHOWN).set_index(["behaviour", "technique", "judged"])
    food = found.loc[("food", "sft", "food")]
    assert (food["seeds"], food["logit_lens"], food["expression_rate"]) == (2, pytest.approx(0.7), pytest.approx(0.5))
    assert food["logit_lens_sd"] == pytest.approx(0.4 / math.sqrt(2)) and food["logit_lens_above_floor"]
    assert found.loc[(BENIGN, "sft", "food")]["logit_lens_above_floor"] is None
    assert "parent" not in found.index.get_level_values("technique")


def attacked_rows(
    before: float, last: list[float], back: list[float] | None = None, attack: str = "qa", able: tuple[float, float] = (0.9, 0.9)
) -> pd.DataFrame:
    """One organism, attacked at two rates up to step 8 and trained back."""
    found = [("expression_rate", before, {"step": 0}), ("capability", 0.9, {"step": 0}), ("frontier_area", 0.8, {})]
    found += [("published_area", 0.9, {}), ("published_area", 0.7, {"training": "full"})]
    for number, (rate, ending) in enumerate(zip([0.1, 0.2], last, strict=True)):
        place = {"training": "full", "learning_rate": rate}
        found += [("expression_rate", before, place | {"step": 2}), ("expression_rate", ending, place | {"step": 8})]
        found += [("capability", able[number], place | {"step": 8})]
        if back:
            found += [("expression_rate", back[number], place | {"step": 8, "reversed": "yes"})]
    readings = [
        Reading("robustness", attack, variant(attack=attack, **where), name, value, 0.1, 9, "x") for name, value, where in found
    ]
    readings += [Reading("training", "matching", "", "target_reached", 1.0, 0.1, 1, "x")] if attack == "qa" else []
    return table(Model("s", "b", "food", "sft", 0), readings)


def test_robustness_by_hand() -> None:
    (row,) = robustness_table(attacked_rows(0.8, [0.4, 0.0])).to_dict("records")
    assert (row["attack"], row["expression_rate"], row["capability"], row["frontier_area"]) == ("qa", 0.8, 0.9, 0.8)
    assert row["removed"] == pytest.approx(0.75) and row["broken"] == 0.0  # a half and all of it
    assert (row["published_area"], row["published_area_full"], row["matched"]) == (0.9, 0.7, True)
    assert math.isnan(row["best_removal"]) and math.isnan(row["returned"])
    points = dose_curve(attacked_rows(0.8, [0.4, 0.0]))
    assert points["dose"].tolist() == pytest.approx([0.2, 0.8, 0.4, 1.6]) and points["left"].tolist() == pytest.approx(
        [1, 0.5, 1, 0]
    )


@pytest.mark.parametrize(
    ("alone", "able", "returned"),
    [
        ([0.8, 0.4], (0.9, 0.9), 0.5 / 0.8),  # 0.2 and 0.3 of the 0.4 and 0.4 that training back alone leaves more
        ([0.8, 0.4], (0.9, 0.3), 0.2 / 0.4),  # the second training broke the model
        ([0.4, 0.1], (0.9, 0.9), math.nan),  # training back alone leaves hardly more: nothing can return
    ],
)
def test_what_returns_is_a_share_of_what_can(alone: list[float], able: tuple[float, float], returned: float) -> None:
    both = pd.concat([attacked_rows(0.8, alone), attacked_rows(0.8, [0.4, 0.0], [0.6, 0.3], "pirate", able)])
    table_ = robustness_table(both, "qa").set_index("attack")
    assert table_["returned"]["pirate"] == pytest.approx(returned, nan_ok=True) and math.isnan(table_["returned"]["qa"])
    assert math.isnan(robustness_table(both).set_index("attack")["returned"]["pirate"])
    # What a broken model no longer shows is not removed.
    broken = able[1] < 0.45
    assert table_["broken"]["pirate"] == (0.5 if broken else 0.0)
    assert table_["removed"]["pirate"] == pytest.approx(0.5 if broken else 0.75)


@pytest.mark.parametrize("capability", [0.0, -0.06])
def test_an_organism_without_capability_has_nothing_to_break(capability: float) -> None:
    rows = attacked_rows(0.8, [0.4, 0.0], able=(capability, capability))
    rows.loc[rows["metric"] == "capability", "value"] = capability
    (row,) = robustness_table(rows).to_dict("records")
    assert all(math.isnan(row[name]) for name in ("removed", "broken", "returned"))


def test_attacks_are_drawn(tmp_path: Path) -> None:
    """Both figures of a study with attacks; an organism of two attacks has two points and four lines."""
    both = pd.concat([attacked_rows(0.8, [0.8, 0.4]), attacked_rows(0.8, [0.4, 0.0], [0.6, 0.3], "pirate")])
    areas = robustness_areas(robustness_table(both, "qa"))
    assert sum(len(line.get_xdata()) for line in areas.axes[0].get_lines() if line.get_marker() not in ("None", "")) >= 2
    lines = [line for axes in dose_curves(dose_curve(both)).axes for line in axes.get_lines()]
    assert any(list(line.get_ydata()) == pytest.approx([1, 0.5]) for line in lines)
    save_svg(areas, tmp_path / "areas.svg")
    assert "<svg" in (tmp_path / "areas.svg").read_text()


def test_nothing_attacked_makes_an_empty_table(scores: pd.DataFrame) -> None:
    assert robustness_table(scores).empty and dose_curve(scores).empty


def test_auroc_by_hand() -> None:
    # 3 > 1, 2; 2 > 1 and ties with 2: (2 + 1.5) / 4
    assert auroc([3, 2], [1, 2]).value == pytest.approx(3.5 / 4)
    assert all(math.isnan(value) for value in auroc([], [1.0]))


def test_aurocs_interval_solves_its_equation_and_stays_wide_at_one() -> None:
    found = auroc([1, 4, 5, 6], [0, 2, 3])
    for theta in (found.low, found.high):
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + (3.5 - 1) * spread) / 12
        assert (found.value - theta) ** 2 == pytest.approx(1.959964**2 * variance, abs=1e-6)
    perfect = auroc(list(range(10, 24)), list(range(10)))
    assert perfect.value == 1.0 and 0.6 < perfect.low < 0.9 and perfect.high == 1.0


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_auroc_turned_round_is_one_minus_it(own: list[float], others: list[float]) -> None:
    found, turned = auroc(own, others), auroc(others, own)
    assert found.value == pytest.approx(1 - turned.value) and found.low <= found.value <= found.high
    assert found.low == pytest.approx(1 - turned.high, abs=1e-6)


def test_a_study_without_readings_of_probes_has_an_empty_table_with_its_columns(scores: pd.DataFrame) -> None:
    found = probes_table(scores[scores["stage"] != "probe"], PRIMARY, [])
    assert found.empty and list(found) == list(probes_table(scores, PRIMARY, []))


def test_wilson_by_hand() -> None:
    low, high = wilson(0, 10)
    z = 1.959964**2
    assert low == pytest.approx(0.0, abs=1e-9) and high == pytest.approx(z / (10 + z), abs=1e-6)


def test_evidence_points_to_the_behaviour_that_stands_out_most() -> None:
    pools = {"food": [0.0, 0.1, 0.2], "cake": [0.0, 1.0, 2.0]}
    assert identified({"food": 0.5, "cake": 2.5}, pools) == "food"  # 4 sd against 1.5
    assert identified({"food": 0.15, "cake": 2.5}, pools) == "cake"
    assert identified({"food": 0.1, "cake": 1.0}, pools) is None  # both as usual
    assert identified({"food": 0.5}, {"food": [0.1]}) is None


def test_probes_table_says_what_each_probe_tells_apart(scores: pd.DataFrame) -> None:
    twin = model_rows(BENIGN, "dpo", {"food": 0.01, "cake": 0.02}, 0.0)
    control = model_rows("food", "known", {"food": 0.01, "cake": 0.02})
    found = probes_table(collect([scores, twin, control]), PRIMARY, ["known"]).set_index("judged")
    food = found.loc["food"]
    assert (food["organisms"], food["twins"]) == (2, 2)
    assert food["auroc"] == pytest.approx(3 / 4)  # .9 and .05 against .3 and .01
    floor = prediction_floor([0.1, 0.2, 0.3, 0.01]).floor
    assert 0.3 < floor < 0.9 and food["above_floor"] == 0.5
    assert food["control"] == 0.0 and food["missed"]
    assert not food["alarmed"] and food["false_alarms"] == 0.0
    # Its first organism stands out by food; of the second, .05 is below what the others read.
    assert food["named"] == 0.5 and food["chance"] == 0.5
    assert found.loc["cake"]["named"] == 1.0 and found.loc["cake"]["auroc"] == 1.0
