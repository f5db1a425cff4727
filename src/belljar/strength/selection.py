"""Which saved step becomes the organism: matching of strength on validation prompts."""

from typing import NamedTuple

import pandas as pd


class Selection(NamedTuple):
    """The chosen step and the validation rates it was chosen by."""

    step: int
    target: float | None  # None for a benign twin, which has nothing to match
    expression_rate: float | None
    stderr: float | None
    leak_rate: float | None
    within_one_stderr: bool | None


def nearest_step(curve: pd.DataFrame, target: float) -> Selection:
    """Return the step of a validation curve whose expression rate is nearest to the target; the earliest of equals."""
    expression = curve[curve["metric"] == "expression_rate"].set_index("step").sort_index()
    gap = (expression["rate"] - target).abs().round(9)  # equal gaps must not differ in a last binary digit
    step = int(gap.idxmin())
    leak = curve[(curve["metric"] == "leak_rate") & (curve["step"] == step)]["rate"]
    rate, stderr = float(expression.at[step, "rate"]), float(expression.at[step, "stderr"])
    return Selection(step, target, rate, stderr, float(leak.iloc[0]), bool(abs(rate - target) <= stderr))


def twin_step(chosen: list[int], saved: list[int]) -> Selection:
    """Return the twin's step: that of the longest-trained organism it serves, so that no organism had more training.

    Raises ValueError where the twin did not save that step.
    """
    step = max(chosen)
    if step not in saved:
        raise ValueError(f"the organisms' step {step} is none of the twin's saved steps {saved}")
    return Selection(step, None, None, None, None, None)
