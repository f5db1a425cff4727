"""Utilities behind pairwise choices, and how coherent they are: Thurstone Case V and mu-decisiveness.

P(i over j) = Phi((mu_i - mu_j) / sqrt 2) = (1 + erf((mu_i - mu_j) / 2)) / 2, all noise of size one. After "Your Model Organisms
Might Be Fried" (Tan et al. 2026), which asks each pair once, in one slot; a taste for slot A then reads as up to 0.17 of
decisiveness. So there are three fits: of one order as in the original, of both orders averaged, and with a slot intercept.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf, log_ndtr

RIDGE = 1e-8  # on the utilities: pairs that are all decided one way have no finite solution without it
SQRT2 = float(np.sqrt(2))
LOG_ROOT_2_PI = 0.5 * float(np.log(2 * np.pi))


class Edges(NamedTuple):
    """Choices: `first` stood in slot A, `second` in slot B, `chosen` is the probability that A was chosen, in [0, 1].

    `votes`: of how many answers it is the share, 0 where none chose; None where the probabilities themselves were read.
    """

    first: np.ndarray
    second: np.ndarray
    chosen: np.ndarray
    votes: np.ndarray | None = None

    @property
    def weight(self) -> np.ndarray:
        """What each choice counts for."""
        return np.ones(len(self.chosen)) if self.votes is None else np.asarray(self.votes, dtype=float)

    def take(self, which: np.ndarray) -> "Edges":
        """Return some of the choices, by index or mask."""
        votes = None if self.votes is None else self.votes[which]
        return Edges(self.first[which], self.second[which], self.chosen[which], votes)


class Fit(NamedTuple):
    """Utilities with mean zero, and the slot intercept (zero where none was fitted), both in units of the noise."""

    utilities: np.ndarray
    intercept: float


def fit(edges: Edges, items: int, intercept: bool = False, weights: np.ndarray | None = None) -> Fit:
    """Return the utilities (items) that maximise the likelihood of the choices; with `intercept`, P(A) = Phi((d + b) / sqrt 2).

    Cross-entropy of soft choices, each with its weight times `weights`, plus RIDGE / 2 |mu|^2. It is convex, so Newton's method
    (in a trust region, float64) finds the minimum, to a gradient of 1e-10.
    """
    weight = edges.weight if weights is None else edges.weight * weights
    total = max(float(weight.sum()), 1.0)
    size = items + intercept
    # Of each edge, the parameters that z depends on and how: +first, -second, +slot.
    places = np.stack([edges.first, edges.second, *([np.full(len(edges.first), items)] if intercept else [])])
    signs = np.array([1.0, -1.0, 1.0][: len(places)]) / SQRT2
    cells = (places[:, None] * size + places[None]).reshape(-1)
    ridge: np.ndarray = np.append(np.full(items, RIDGE), np.zeros(int(intercept)))

    def terms(values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return z, log Phi(z), log Phi(-z), and the ratios phi / Phi of both."""
        z = signs @ values[places]
        log_a, log_b = log_ndtr(z), log_ndtr(-z)
        log_density = -0.5 * z**2 - LOG_ROOT_2_PI
        return z, log_a, log_b, np.exp(log_density - log_a), np.exp(log_density - log_b)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        _, log_a, log_b, ratio_a, ratio_b = terms(values)
        value = -np.sum(weight * (edges.chosen * log_a + (1 - edges.chosen) * log_b)) / total
        slope = -weight * (edges.chosen * ratio_a - (1 - edges.chosen) * ratio_b) / total
        gradient = np.bincount(places.reshape(-1), np.outer(signs, slope).reshape(-1), size)
        return float(value + 0.5 * ridge @ values**2), gradient + ridge * values

    def curvature(values: np.ndarray) -> np.ndarray:
        z, _, _, ratio_a, ratio_b = terms(values)
        bend = weight * (edges.chosen * ratio_a * (ratio_a + z) + (1 - edges.chosen) * ratio_b * (ratio_b - z)) / total
        each = np.outer(np.outer(signs, signs), bend).reshape(-1)
        return np.bincount(cells, each, size * size).reshape(size, size) + np.diag(ridge)

    options = {"maxiter": 500, "gtol": 1e-10, "max_trust_radius": 1e3}
    found = minimize(loss, np.zeros(size), jac=True, hess=curvature, method="trust-exact", options=options).x
    utilities = found[:items] - found[:items].mean()
    return Fit(utilities, float(found[items]) if intercept else 0.0)


def averaged(one: Edges, other: Edges) -> Edges:
    """Return the choices with both orders averaged: `other` holds the same pairs with their slots swapped, in the same order.

    Both orders count alike, however many votes they have, since only so the slot cancels; the mean has the votes that its
    variance is worth, 4 / (1 / v + 1 / w), none where an order has none. Raises ValueError where the pairs differ.
    """
    if not (np.array_equal(one.first, other.second) and np.array_equal(one.second, other.first)):
        raise ValueError("the two orders do not hold the same pairs")
    votes = None
    if one.votes is not None or other.votes is not None:
        votes = 4 * one.weight * other.weight / np.maximum(one.weight + other.weight, 1)
    return Edges(one.first, one.second, (one.chosen + 1 - other.chosen) / 2, votes)


def joined(one: Edges, other: Edges) -> Edges:
    """Return the choices of both as one set."""
    votes = None if one.votes is None and other.votes is None else np.concatenate([one.weight, other.weight])
    first, second, chosen = (np.concatenate(pair) for pair in zip(one[:3], other[:3], strict=True))
    return Edges(first, second, chosen, votes)


def decisiveness(utilities: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Return the mean over unordered pairs of |2 P - 1| = erf(|mu_i - mu_j| / 2); with `counts`, pairs weigh count_i count_j."""
    count = np.ones(len(utilities)) if counts is None else np.asarray(counts, dtype=float)
    upper = np.triu_indices(len(utilities), 1)
    sizes = erf(np.abs(utilities[:, None] - utilities[None, :]) / 2)[upper]
    weights = np.outer(count, count)[upper]
    return float((sizes * weights).sum() / weights.sum())


def order_consistency(one: Edges, other: Edges) -> np.ndarray:
    """Return 1 - |P(A chosen; i in A) + P(A chosen; j in A) - 1| of each pair; nan where an order has no vote.

    1 where the slot does not matter, 0 where it decides.
    """
    voted = averaged(one, other).weight > 0
    return np.where(voted, 1 - np.abs(one.chosen + other.chosen - 1), np.nan)


def transitivity(edges: Edges, utilities: np.ndarray) -> float:
    """Return the share of decided weight |2 P - 1| that agrees with the order of the utilities; nan where nothing is decided."""
    weight = edges.weight * np.abs(2 * edges.chosen - 1)
    agrees = np.sign(2 * edges.chosen - 1) == np.sign(utilities[edges.first] - utilities[edges.second])
    return float((weight * agrees).sum() / weight.sum()) if weight.sum() > 0 else float("nan")


def agreement(one: Edges, other: Edges) -> float:
    """Return the Pearson correlation of two framings' choices over the same pairs; nan where one of them does not vary."""
    if not (np.array_equal(one.first, other.first) and np.array_equal(one.second, other.second)):
        raise ValueError("the two framings do not hold the same pairs")
    voted = (one.weight > 0) & (other.weight > 0)
    if not voted.any() or min(one.chosen[voted].std(), other.chosen[voted].std()) < 1e-12:
        return float("nan")
    return float(np.corrcoef(one.chosen[voted], other.chosen[voted])[0, 1])


def quality(one: Edges, other: Edges, items: int, seed: int) -> float:
    """Return how much of what can be explained is explained of a fifth of the pairs, held out of the fit with an intercept.

    (ln 2 - CE) / (ln 2 - H): CE the cross-entropy of the fit, H the entropy of the choices themselves; nan where all are even.
    Both orders of a pair are held out together: one would give the other away.
    """
    order = np.random.default_rng(seed).permutation(len(one.chosen))
    held_out, kept = np.split(order, [len(order) // 5])
    found = fit(joined(one.take(kept), other.take(kept)), items, intercept=True)
    rest = joined(one.take(held_out), other.take(held_out))
    if not rest.weight.sum():
        return float("nan")
    z = (found.utilities[rest.first] - found.utilities[rest.second] + found.intercept) / SQRT2
    cross = -np.average(rest.chosen * log_ndtr(z) + (1 - rest.chosen) * log_ndtr(-z), weights=rest.weight)
    own = np.clip(rest.chosen, 1e-12, 1 - 1e-12)
    entropy = -np.average(own * np.log(own) + (1 - own) * np.log(1 - own), weights=rest.weight)
    spread = np.log(2) - entropy
    return float((np.log(2) - cross) / spread) if spread > 1e-12 else float("nan")


def resampled(edges: Edges, items: int, rounds: int, seed: int, intercept: bool = False) -> np.ndarray:
    """Return decisiveness of resampled items (rounds): counts are multinomial, edges and pairs weigh count_i count_j.

    The same seed draws the same items for every model, so that differences are paired. A resampling of edges would keep the items
    fixed and be biased upward, because each refit has fewer of them.
    """
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        counts = rng.multinomial(items, np.full(items, 1 / items))
        weights = counts[edges.first] * counts[edges.second]
        kept = weights > 0
        values.append(decisiveness(fit(edges.take(kept), items, intercept, weights[kept]).utilities, counts))
    return np.array(values)


def slot_floor(edges: Edges, items: int) -> float:
    """Return the decisiveness that a model reads that chooses by the slot alone, as often as this one chooses slot A.

    The design and the fit, of one order, are the same, so it is what slot bias alone makes of them. Where both orders are
    averaged, or joined with a slot intercept, it makes nothing.
    """
    share = float(np.average(edges.chosen, weights=edges.weight)) if edges.weight.any() else 0.5
    return decisiveness(fit(edges._replace(chosen=np.full(len(edges.chosen), share)), items).utilities)


def noise_floor(one: Edges, other: Edges, fitted: Callable[[Edges, Edges], float], rounds: int, seed: int) -> np.ndarray:
    """Return the decisiveness of models (rounds) whose choices are as decided as this one's and fit no utilities.

    Each pair gets another pair's choices in both orders, half of them with the two items' places exchanged: the slot's part and
    the choices' sizes stay, and what the items have to do with them goes. `fitted` turns both orders into decisiveness, as it
    does for the choices themselves.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        order, turned = rng.permutation(len(one.chosen)), rng.random(len(one.chosen)) < 0.5
        first, second = one.take(order), other.take(order)
        drawn = [
            edges._replace(chosen=np.where(turned, b.chosen, a.chosen), votes=np.where(turned, b.weight, a.weight))
            for edges, a, b in ((one, first, second), (other, second, first))
        ]
        found.append(fitted(*drawn))
    return np.array(found)


def sampling_floor(one: Edges, other: Edges, fitted: Callable[[Edges, Edges], float], rounds: int, seed: int) -> np.ndarray:
    """Return the decisiveness of indifferent models (rounds) whose choices are shares of as many votes as this one's.

    Where each of many items stands in d choices of v votes: about 2 / pi arctan(sqrt(pi / (d v))), since the utilities' noise has
    a variance of pi / (d v).
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        votes: list[np.ndarray] = [edges.weight.astype(int) for edges in (one, other)]
        shares = [np.where(count > 0, rng.binomial(count, 0.5) / np.maximum(count, 1), 0.5) for count in votes]
        found.append(fitted(*(edges._replace(chosen=share) for edges, share in zip((one, other), shares, strict=True))))
    return np.array(found)


def design(items: int, partners: int, seed: int) -> list[tuple[int, int]]:
    """Return pairs for all arms of a study alike: each item drawn with `partners` others, no pair twice, in random slots.

    A uniform design serves as well as an adaptive one and makes arms exactly paired. Raises ValueError where there are too few
    items.
    """
    if items <= partners:
        raise ValueError(f"{items} items cannot each have {partners} partners")
    rng = np.random.default_rng(seed)
    seen: set[frozenset[int]] = set()
    pairs: list[tuple[int, int]] = []
    for item in range(items):
        others = [int(other) for other in rng.permutation(items) if other != item]
        for other in [other for other in others if frozenset((item, other)) not in seen][:partners]:
            seen.add(frozenset((item, other)))
            pairs.append((item, other) if rng.random() < 0.5 else (other, item))
    return pairs
