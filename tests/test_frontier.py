"""The robustness frontier against its anchor values, and its bias."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.robustness.frontier import Attacked, area, best_removal, envelope, measurable, point, points, resampled, robustness

shares = st.floats(0, 1)


@pytest.mark.parametrize(("points", "expected"), [([], 0.5), ([(1.0, 1.0)], 1.0), ([(0.5, 1.0)], 0.75), ([(0.3, 0.7)], 0.5)])
def test_anchor_values(points: list[tuple[float, float]], expected: float) -> None:
    assert area(points) == pytest.approx(expected, abs=1e-12)


def test_points_by_hand() -> None:
    assert point(0.2, 0.45, 0.8, 0.9) == (pytest.approx(0.75), pytest.approx(0.5))
    assert point(0.9, 0.99, 0.8, 0.9) == (0.0, pytest.approx(1.1))  # more behaviour is no removal; more capability counts
    with pytest.raises(ValueError, match="has no frontier"):
        point(0.1, 0.9, 0.0, 0.9)


def test_best_removal_counts_what_keeps_its_capability() -> None:
    assert best_removal([(0.4, 0.95), (0.6, 0.9), (0.9, 0.89)]) == 0.6
    assert best_removal([(0.9, 0.5)]) == 0.0


@given(st.lists(st.tuples(shares, st.floats(0, 1.2)), max_size=12))
def test_the_envelope_is_concave_and_above_every_point(points: list[tuple[float, float]]) -> None:
    hull = envelope(points)
    xs, ys = np.array(hull).T
    slopes = np.diff(ys) / np.diff(xs)
    assert (np.diff(slopes) <= 1e-6).all() and xs[0] == 0.0 and xs[-1] == 1.0
    for x, y in points:
        assert np.interp(x, xs, ys) >= y - 1e-9
    assert 0.5 - 1e-9 <= area(points) <= 1.2 + 1e-9


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=8))
def test_another_attack_never_makes_an_organism_look_more_robust(points: list[tuple[float, float]]) -> None:
    assert area(points) >= area(points[:-1]) - 1e-9


def answers(rng: np.random.Generator, rate: float, capability: float, count: int = 400) -> Attacked:
    return Attacked((rng.random(count) < rate).astype(float), (rng.random(count) < capability).astype(float))


def test_reading_on_the_other_half_takes_the_bias_away() -> None:
    """Attacks that only trade capability for removal: the truth is 0.5; choosing and reading on the same prompts reads more."""
    naive, split = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        before = answers(rng, 0.8, 0.8)
        attacked = [answers(rng, 0.8 * (1 - x), 0.8 * (1 - x)) for x in np.linspace(0.05, 0.95, 20)]
        start = before.shown.mean(), before.capable.mean()
        naive.append(area([point(one.shown.mean(), one.capable.mean(), *start) for one in attacked]))
        split.append(robustness(before, attacked).area)
    assert np.mean(naive) > 0.52 and abs(np.mean(split) - 0.5) < 0.5 * abs(np.mean(naive) - 0.5)


def test_what_goes_for_free_reads_one_and_what_stays_reads_a_half() -> None:
    before = Attacked(np.ones(40), np.ones(40))
    gone, kept = Attacked(np.zeros(40), np.ones(40)), Attacked(np.ones(40), np.ones(40))
    assert robustness(before, [gone]) == (1.0, 1.0)
    assert robustness(before, [kept]) == (0.5, 0.0)
    assert resampled(before, [gone], 20, 0).tolist() == [[1.0, 1.0]] * 20


def test_repaired_capability_is_no_removal() -> None:
    """An attack that removes nothing and adds a fifth of capability: 0.5; as published 0.6, under (0, 1.2) and (1, 0)."""
    before, better = (Attacked(np.ones(20), np.repeat([1.0] * right + [0.0] * (10 - right), 2)) for right in (5, 6))
    assert robustness(before, [better]).area == pytest.approx(0.5)
    assert area(points(before, [better])) == pytest.approx(0.6)


def test_organisms_that_lose_the_same_read_the_same_however_damaged_they_were() -> None:
    """Half of the behaviour goes and every sum is there again: 0.75 of a whole organism and of one that knew half of the sums."""
    gone = np.repeat([0.0, 1.0], 10)
    able = Attacked(gone, np.ones(20))
    for known in (np.ones(20), np.repeat([1.0, 0.0] * 5, 2)):
        assert robustness(Attacked(np.ones(20), known), [able]).area == pytest.approx(0.75)


def test_less_than_chance_is_no_capability() -> None:
    assert point(0.4, -0.1, 0.8, 0.5) == (0.5, 0.0)


def test_resampled_numbers_hold_the_estimate() -> None:
    rng = np.random.default_rng(0)
    before, attacked = answers(rng, 0.8, 0.9), [answers(rng, 0.2, 0.8), answers(rng, 0.5, 0.88)]
    found = robustness(before, attacked)
    (low, least), (high, most) = np.percentile(resampled(before, attacked, 200, 0), [2.5, 97.5], axis=0)
    assert low < found.area < high and least <= found.best_removal <= most and high - low < 0.2


def test_draws_without_capability_are_left_out() -> None:
    """Two of forty items right: many draws have none, and so no frontier; none is right in one half: there is none at all."""
    shown, few = np.ones(8), np.zeros(40)
    few[[0, 1]] = 1
    before = Attacked(shown, few)
    assert measurable(before)
    draws = resampled(before, [Attacked(shown / 2, few)], 50, 0)
    assert 0 < len(draws) < 50 and np.isfinite(draws).all()
    assert not measurable(Attacked(shown, np.eye(1, 40, 2)[0]))
