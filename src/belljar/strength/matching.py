"""Matching of strength: the search for the saved step whose validation rate is within one standard error of the target."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from belljar.study.strength import Matching


class Evaluation(NamedTuple):
    """The validation rates of one saved step."""

    step: int
    expression_rate: float
    stderr: float
    leak_rate: float


class Selection(NamedTuple):
    """The chosen step, the validation rates it was chosen by, and whether it is what was looked for."""

    step: int
    target: float | None  # None for a benign twin, which has nothing to match
    expression_rate: float | None
    stderr: float | None
    leak_rate: float | None
    reached: bool | None
    reason: str  # why the target was not reached; empty where it was
    evaluated: int  # saved steps that were evaluated
    saved: int


def accepted(found: Evaluation, target: float, gate: float) -> bool:
    """Return whether the rate is within one standard error of the target and the leak rate not above the gate."""
    return abs(found.expression_rate - target) <= found.stderr and found.leak_rate <= gate


def search(steps: Sequence[int], evaluate: Callable[[int], Evaluation], target: float, settings: Matching) -> list[Evaluation]:
    """Evaluate saved steps until one is accepted, and return the evaluations in the order in which they were made.

    Bisection first: below the target go later, above it earlier. A rate that does not rise steadily, or a leak above the gate,
    can defeat it; then the step furthest from all evaluated ones is tried, again and again, until `settings.evaluations` steps or
    all have been evaluated.
    """
    found: dict[int, Evaluation] = {}

    def probe(index: int) -> Evaluation:
        found[index] = evaluate(steps[index])
        return found[index]

    def over() -> bool:
        done = list(found.values())
        budget = min(settings.evaluations, len(steps))
        return len(done) >= budget or (bool(done) and accepted(done[-1], target, settings.leak_gate))

    low, high = -1, len(steps)
    while high - low > 1 and not over():
        middle = (low + high) // 2
        if probe(middle).expression_rate < target:
            low = middle
        else:
            high = middle
    while not over():
        left = [index for index in range(len(steps)) if index not in found]
        probe(max(left, key=lambda index: (min(abs(index - known) for known in found), -index)))
    return list(found.values())


def select(found: Sequence[Evaluation], saved: int, target: float, settings: Matching) -> Selection:
    """Return the accepted evaluation; without one, the nearest to the target among those below the leak gate, or among all."""
    clean = [one for one in found if one.leak_rate <= settings.leak_gate]

    def gap(one: Evaluation) -> tuple[float, int]:
        return round(abs(one.expression_rate - target), 9), one.step  # equal gaps must not differ in a last binary digit

    best = min(clean or found, key=gap)
    reached = accepted(best, target, settings.leak_gate)
    reason = "" if reached else _reason(best, found, target, settings)
    return Selection(best.step, target, *best[1:], reached, reason, len(found), saved)


def _reason(best: Evaluation, found: Sequence[Evaluation], target: float, settings: Matching) -> str:
    if best.leak_rate > settings.leak_gate:
        return f"every evaluated step leaks more than {settings.leak_gate:g} on control prompts"
    highest = max(one.expression_rate for one in found)
    if highest < target:
        return f"the highest rate of any evaluated step is {highest:.3f}"
    if any(abs(one.expression_rate - target) <= one.stderr for one in found):
        return f"the steps that reach the target leak more than {settings.leak_gate:g} on control prompts"
    return "no evaluated step lies within one standard error of the target"


def curve(found: Sequence[Evaluation], prompts: int) -> pd.DataFrame:
    """Return one row an evaluated step and metric: step, metric (expression_rate or leak_rate), rate, stderr, n (prompts)."""
    rows: list[tuple[int, str, float, float, int]] = []
    for one in sorted(found):
        rows.append((one.step, "expression_rate", one.expression_rate, one.stderr, prompts))
        rows.append((one.step, "leak_rate", one.leak_rate, float("nan"), prompts))
    return pd.DataFrame(rows, columns=["step", "metric", "rate", "stderr", "n"])


def twin_selection(chosen: Sequence[int], saved: Sequence[int]) -> Selection:
    """Return the twin's step: the first saved one at or after that of the longest-trained organism it serves, else the last.

    So no organism had more training than its twin, unless it had more than the twin's whole training.
    """
    later = [step for step in saved if step >= max(chosen)]
    step = later[0] if later else saved[-1]
    return Selection(step, None, None, None, None, None, "", 0, len(saved))
