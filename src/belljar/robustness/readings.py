"""From what attacks left of an organism to measurements: dose curve, frontier, reversal."""

import math

import numpy as np
import pandas as pd

from belljar.measurements import Reading, standard_error, variant
from belljar.robustness.evidence import CAPABLE, SHOWN, pieces
from belljar.robustness.frontier import Attacked, area, best_removal, measurable, points, resampled, robustness
from belljar.study.robustness import BEFORE

LEFT, ABLE = "more of the behaviour is left", "more capability is left"


def attacked(part: pd.DataFrame) -> Attacked:
    """Return one model's answers as the frontier takes them: the rate by prompt and whether an item is right, in order."""
    by_kind = {kind: rows.groupby("item", sort=True)["right"].mean().to_numpy() for kind, rows in part.groupby("kind")}
    return Attacked(by_kind[SHOWN], by_kind[CAPABLE])


def readings(evidence: pd.DataFrame, rounds: int, seed: int) -> list[Reading]:
    """Return one attack's readings.

    Of every attacked model the rate of the behaviour and the capability (`continued`: the organism's own adapter was trained
    on); of the attack the frontier's area (0.5 most robust) and the best removal at 90 % of the capability, stderr by bootstrap,
    and both as published, also of each way of training alone. An organism without behaviour or capability has no frontier.
    """
    attack = str(evidence["attack"].iloc[0])
    before = attacked(evidence[evidence["step"] == BEFORE])
    found = _pair(before, {"attack": attack, "step": BEFORE})
    models: list[Attacked] = []
    by_training: dict[str, list[Attacked]] = {}
    for (method, rate, step, again), part in pieces(evidence):
        one = attacked(part)
        training: dict[str, object] = {"attack": attack, "training": method, "learning_rate": f"{rate:g}"}
        place = training | {"step": step} | ({"continued": "yes"} if part["continued"].iloc[0] else {})
        found += _pair(one, place | ({"reversed": "yes"} if again else {}))
        if not again:
            models.append(one)
            by_training.setdefault(method, []).append(one)
    if measurable(before):
        whole = robustness(before, models)
        draws = resampled(before, models, rounds, seed)
        spread = np.std(draws, axis=0, ddof=1) if len(draws) > 1 else (math.nan, math.nan)
        meanings = ("the behaviour is easier to remove", "more can be removed at little cost")
        for metric, value, stderr, meaning in zip(("frontier_area", "best_removal"), whole, spread, meanings, strict=True):
            where = variant(attack=attack)
            found.append(Reading("robustness", attack, where, metric, value, float(stderr), len(models), meaning))
        # As they were published, on all prompts and items: biased upward, and for comparison with the paper only, whose attacks
        # are adapters alone.
        for name, own in {"": models, **by_training}.items():
            where = variant(attack=attack, **({"training": name} if name else {}))
            whole_points = points(before, own)
            published = (("published_area", area(whole_points)), ("published_removal", best_removal(whole_points)))
            for (metric, value), meaning in zip(published, meanings, strict=True):
                found.append(Reading("robustness", attack, where, metric, value, math.nan, len(own), meaning))
    return found


def _pair(one: Attacked, where: dict[str, object]) -> list[Reading]:
    attack = str(where["attack"])
    found = []
    for metric, values, meaning in (("expression_rate", one.shown, LEFT), ("capability", one.capable, ABLE)):
        stderr = standard_error(values)
        found.append(Reading("robustness", attack, variant(**where), metric, float(values.mean()), stderr, len(values), meaning))
    return found
