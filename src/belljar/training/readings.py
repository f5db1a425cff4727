"""What an organism's training was, as measurements: the confound behind every comparison at matched strength."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from belljar.measurements import Reading


def training_readings(losses: pd.DataFrame, recipe: Mapping[str, Any], selection: Mapping[str, Any]) -> list[Reading]:
    """Return steps, samples seen, learning-rate dose (sum of the rate over steps) and loss at the chosen step, and its match.

    The match is the target and the validation rate that the step was chosen by; a benign twin has none.
    """
    upto = losses[losses["step"] <= selection["step"]]
    settings = recipe["training"] or {"batch_size": 0, "gradient_accumulation": 0}
    samples = min(selection["step"] * settings["batch_size"] * settings["gradient_accumulation"], recipe["samples_seen"])
    values = {
        "steps": (selection["step"], "more training"),
        "samples_seen": (samples, "more training"),
        "learning_rate_dose": (upto["learning_rate"].sum(), "more training"),
    }
    if len(upto):
        values["final_loss"] = (upto["loss"].iloc[-1], "a worse fit to the training rows")
    matched = {
        "target": selection["target"],
        "validation_expression_rate": selection["expression_rate"],
        "target_reached": None if selection["reached"] is None else float(selection["reached"]),
    }
    errors = {"validation_expression_rate": selection["stderr"]}
    readings = [
        Reading("strength", "matching", "", metric, value, errors.get(metric, math.nan), len(upto), "a stronger behaviour")
        for metric, value in matched.items()
        if value is not None
    ]
    return readings + [
        Reading("training", recipe["objective"] or "none", "", metric, float(value), float("nan"), len(upto), means)
        for metric, (value, means) in values.items()
    ]
