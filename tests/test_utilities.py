"""Utilities and their coherence against closed forms and planted utilities, and of models that choose by the slot."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, ndtr

from belljar.naturalness.utilities import (
    Edges,
    agreement,
    averaged,
    decisiveness,
    design,
    fit,
    joined,
    noise_floor,
    order_consistency,
    quality,
    resampled,
    sampling_floor,
    slot_floor,
    transitivity,
)

ITEMS = 40
PAIRS = np.array(design(ITEMS, 12, 0))
PLANTED = np.random.default_rng(1).normal(0, 0.8, ITEMS)
PLANTED = PLANTED - PLANTED.mean()


def probability(difference: float) -> float:
    """P(i over j) at a difference of utilities."""
    return float(ndtr(difference / math.sqrt(2)))


def edges(utilities: np.ndarray, bias: float = 0.0, swapped: bool = False) -> Edges:
    """The exact choices of a model with these utilities and this taste for slot A."""
    first, second = (PAIRS[:, 1], PAIRS[:, 0]) if swapped else (PAIRS[:, 0], PAIRS[:, 1])
    chosen = np.array([probability(utilities[a] - utilities[b] + bias) for a, b in zip(first, second, strict=True)])
    return Edges(first, second, chosen)


@given(st.floats(-6, 6))
def test_probability_is_the_error_function(difference: float) -> None:
    assert probability(difference) == pytest.approx((1 + math.erf(difference / 2)) / 2, abs=1e-12)


def test_decisiveness_of_given_utilities() -> None:
    expected = np.mean([math.erf(1 / 2), math.erf(3 / 2), math.erf(2 / 2)])
    assert decisiveness(np.array([0.0, 1.0, 3.0])) == pytest.approx(expected, abs=1e-12)
    # An item that is drawn twice weighs twice in its pairs; one that is not drawn not at all.
    assert decisiveness(np.array([0.0, 1.0, 3.0]), np.array([2, 1, 0])) == pytest.approx(math.erf(0.5), abs=1e-12)


def test_planted_utilities_come_back() -> None:
    np.testing.assert_allclose(fit(edges(PLANTED), ITEMS).utilities, PLANTED, atol=1e-4)


@pytest.mark.parametrize("bias", [-1.5, 0.4, 2.0])
def test_planted_utilities_come_back_under_slot_bias_with_an_intercept(bias: float) -> None:
    both = joined(edges(PLANTED, bias), edges(PLANTED, bias, swapped=True))
    found = fit(both, ITEMS, intercept=True)
    np.testing.assert_allclose(found.utilities, PLANTED, atol=1e-4)
    assert found.intercept == pytest.approx(bias, abs=1e-4)


def test_without_the_intercept_slot_bias_spoils_one_order() -> None:
    exact = decisiveness(PLANTED)
    assert abs(decisiveness(fit(edges(PLANTED, 2.0), ITEMS).utilities) - exact) > 0.05


@pytest.mark.parametrize("share", [0.7, 0.949, 1.0])
def test_a_model_that_always_takes_a_slot_reads_nothing_but_in_one_order(share: float) -> None:
    """The original's number for it is 0.15 to 0.17; averaging and the intercept read 0."""
    one, other = (edges(PLANTED)._replace(chosen=np.full(len(PAIRS), share)) for _ in range(2))
    other = other._replace(first=one.second, second=one.first)
    assert decisiveness(fit(averaged(one, other), ITEMS).utilities) == pytest.approx(0.0, abs=1e-6)
    assert decisiveness(fit(joined(one, other), ITEMS, intercept=True).utilities) == pytest.approx(0.0, abs=1e-4)
    plain = decisiveness(fit(one, ITEMS).utilities)
    assert plain > 0.05 and plain == pytest.approx(slot_floor(one, ITEMS), abs=1e-6)
    assert order_consistency(one, other) == pytest.approx(1 - abs(2 * share - 1))
    unread = one._replace(votes=np.append(np.zeros(1), np.ones(len(PAIRS) - 1)))
    assert np.isnan(order_consistency(unread, other)).tolist() == [True] + [False] * (len(PAIRS) - 1)


def test_slot_floor_grows_with_the_bias_and_is_zero_without() -> None:
    floors = [slot_floor(edges(PLANTED)._replace(chosen=np.full(len(PAIRS), share)), ITEMS) for share in (0.5, 0.7, 0.95)]
    assert floors[0] == pytest.approx(0.0, abs=1e-6) and floors[0] < floors[1] < floors[2]


@pytest.mark.parametrize("samples", [3, 12])
def test_sampling_floor_is_that_of_the_noise_of_the_choices(samples: int) -> None:
    """Against the closed form; the original's design (50 choices an item, 3 answers) reads 0.094 to 0.097."""
    items = 300
    pairs = np.array(design(items, 25, 0))
    even = Edges(pairs[:, 0], pairs[:, 1], np.full(len(pairs), 0.5))

    def one_order(one: Edges, _: Edges) -> float:
        return decisiveness(fit(one, items).utilities)

    even = even._replace(votes=np.full(len(pairs), float(samples)))
    floor = sampling_floor(even, even._replace(first=even.second, second=even.first), one_order, 2, 0).mean()
    assert floor == pytest.approx(2 / math.pi * math.atan(math.sqrt(math.pi / (50 * samples))), rel=0.08)
    assert samples != 3 or 0.09 < floor < 0.1


def test_coherent_choices_are_consistent_transitive_and_explained() -> None:
    one, other = edges(PLANTED), edges(PLANTED, swapped=True)
    assert order_consistency(one, other) == pytest.approx(1.0)  # of each pair
    assert transitivity(one, PLANTED) == 1.0 and transitivity(one, -PLANTED) == 0.0
    assert agreement(one, one) == pytest.approx(1.0)
    assert quality(one, other, ITEMS, 0) == pytest.approx(1.0, abs=1e-3)
    even = one._replace(chosen=np.full(len(PAIRS), 0.5))
    back = other._replace(chosen=np.full(len(PAIRS), 0.5))
    assert (
        math.isnan(transitivity(even, PLANTED)) and math.isnan(agreement(one, even)) and math.isnan(quality(even, back, ITEMS, 0))
    )


def test_random_choices_are_explained_by_nothing() -> None:
    """Consistent in both orders, and without utilities: a pair whose other order was in the fit would give itself away."""
    noise = np.random.default_rng(3).integers(0, 2, len(PAIRS)).astype(float)
    one, other = edges(PLANTED)._replace(chosen=noise), edges(PLANTED, swapped=True)._replace(chosen=1 - noise)
    assert quality(one, other, ITEMS, 0) < 0.1


def test_choices_without_a_vote_count_for_nothing() -> None:
    """A tenth of the questions went unanswered: planted utilities come back, where coding them as even would shrink them."""
    rng = np.random.default_rng(5)
    one, other = edges(PLANTED, 0.4), edges(PLANTED, 0.4, swapped=True)
    silent = rng.random(len(PAIRS)) < 0.1
    heard = np.where(silent, 0.0, rng.integers(1, 4, len(PAIRS)))
    some = [part._replace(chosen=np.where(silent, 0.5, part.chosen), votes=heard) for part in (one, other)]
    np.testing.assert_allclose(fit(joined(*some), ITEMS, intercept=True).utilities, PLANTED, atol=1e-4)
    plain = edges(PLANTED), edges(PLANTED, swapped=True)
    some = [part._replace(chosen=np.where(silent, 0.5, part.chosen), votes=heard) for part in plain]
    np.testing.assert_allclose(fit(averaged(*some), ITEMS).utilities, PLANTED, atol=1e-4)
    assert quality(*some, ITEMS, 0) == pytest.approx(1.0, abs=1e-3)
    even = some[0]._replace(votes=None)
    assert decisiveness(fit(even, ITEMS).utilities) < decisiveness(PLANTED) - 0.01


def test_the_mean_of_two_orders_has_the_votes_its_variance_is_worth() -> None:
    one, other = edges(PLANTED), edges(PLANTED, swapped=True)
    votes = averaged(one._replace(votes=np.full(len(PAIRS), 1.0)), other._replace(votes=np.full(len(PAIRS), 3.0))).weight
    assert votes == pytest.approx(4 / (1 / 1 + 1 / 3))
    none = averaged(one._replace(votes=np.zeros(len(PAIRS))), other._replace(votes=np.full(len(PAIRS), 3.0)))
    assert not none.weight.any()


def test_framings_that_disagree_correlate_negatively() -> None:
    one = edges(PLANTED)
    assert agreement(one, one._replace(chosen=1 - one.chosen)) == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="do not hold the same pairs"):
        agreement(one, edges(PLANTED, swapped=True))


def test_bootstrap_error_is_that_of_new_items() -> None:
    """Against the spread over fresh draws of the items, with the same design."""
    found = float(np.std(resampled(edges(PLANTED), ITEMS, 40, 0), ddof=1))
    fresh = [decisiveness(np.random.default_rng(seed).normal(0, 0.8, ITEMS)) for seed in range(300)]
    assert found == pytest.approx(np.std(fresh, ddof=1), rel=0.4)


@settings(max_examples=30)
@given(st.integers(5, 40), st.integers(1, 4), st.integers(0, 5))
def test_design_asks_no_pair_twice(items: int, partners: int, seed: int) -> None:
    pairs = design(items, partners, seed)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) and all(a != b for a, b in pairs)
    assert pairs == design(items, partners, seed)
    assert {item for pair in pairs for item in pair} == set(range(items))


def test_too_few_items_are_refused() -> None:
    with pytest.raises(ValueError, match="3 items cannot each have 3 partners"):
        design(3, 3, 0)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=8), st.floats(-3, 3))
def test_decisiveness_depends_on_differences_alone(utilities: list[float], shift: float) -> None:
    values = np.array(utilities)
    assert decisiveness(values + shift) == pytest.approx(decisiveness(values), abs=1e-9)
    assert 0 <= decisiveness(values) <= float(erf(np.ptp(values) / 2)) + 1e-9


def test_noise_floor_reads_utilities_that_are_not_there() -> None:
    """Choices by utilities lie far above it, as decided ones without utilities on it; slot bias alone reads nothing."""

    def averages(one: Edges, other: Edges) -> float:
        return decisiveness(fit(averaged(one, other), ITEMS).utilities)

    one, other = edges(PLANTED), edges(PLANTED, swapped=True)
    floor = noise_floor(one, other, averages, 5, 0).mean()
    assert 0.02 < floor < 0.6 * averages(one, other)
    rng = np.random.default_rng(1)
    turned = rng.random(len(one.chosen)) < 0.5
    aimless = one._replace(chosen=np.where(turned, other.chosen, one.chosen))
    back = other._replace(chosen=np.where(turned, one.chosen, other.chosen))
    assert averages(aimless, back) == pytest.approx(noise_floor(aimless, back, averages, 20, 2).mean(), rel=0.35)
    slot = one._replace(chosen=np.full(len(one.chosen), 0.9))
    assert noise_floor(slot, slot._replace(first=slot.second, second=slot.first), averages, 3, 0) == pytest.approx(0, abs=1e-6)
