"""Write a finished study's attacks as Markdown, as docs/robustness.md shows them: an organism a line, its seeds side by side.

Run as `python docs/tables/robustness.py results/nano-robustness/tables`.
"""

import sys
from pathlib import Path

import pandas as pd
from summary import markdown

ATTACKS = ("pirate", "qa", "own", "unpirate")
PUBLISHED = "published_area_lora"  # the paper's attacks are adapters alone


def seeds(values: pd.Series, sign: str = "") -> str:
    """Return the values of the seeds, in order; a dash where there is none."""
    return " / ".join("–" if pd.isna(value) else f"{value:{sign}.2f}" for value in values)


def with_error(rows: pd.DataFrame, metric: str) -> str:
    """Return the values of the seeds with one standard error, the root of the mean square of theirs."""
    return f"{seeds(rows[metric])} ± {(rows[f'{metric}_stderr'] ** 2).mean() ** 0.5:.2f}"


def attacked(table: pd.DataFrame) -> str:
    """Return a line for each behaviour and technique."""
    lines = []
    for (behaviour, technique), rows in table.groupby(["behaviour", "technique"], sort=False):
        by = {attack: own.sort_values("seed") for attack, own in rows.groupby("attack")}
        pirate = by["pirate"]
        lines.append(
            [behaviour, technique, f"{int(pirate['matched'].astype(bool).sum())} of {len(pirate)}"]
            + [seeds(pirate[name]) for name in ("expression_rate", "capability")]
            + [with_error(by[attack], "frontier_area") for attack in ATTACKS]
            + [seeds(pirate["removed"]), seeds(pirate["broken"]), seeds(pirate["returned"], "+"), seeds(pirate[PUBLISHED])]
        )
    names = [f"area: {ATTACKS[0]}", *ATTACKS[1:], "removed by pirate", "broken", "returned", "published area"]
    return markdown(["behaviour", "technique", "matched", "expression", "capability", *names], lines)


if __name__ == "__main__":
    sys.stdout.write(attacked(pd.read_csv(Path(sys.argv[1]) / "robustness.csv")) + "\n")
