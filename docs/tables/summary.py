"""Write a finished grid's means over its cells of base and behaviour as Markdown, as the README shows them.

Run as `python docs/tables/summary.py results/nano-grid/tables`.
"""

import sys
from pathlib import Path

import pandas as pd

PROBES = {
    "logit_lens": "logit lens",
    "jacobian_lens": "Jacobian lens",
    "steering": "steering",
    "sparse_autoencoder": "autoencoder",
    "oracle": "oracle",
}
CHANGES = {
    "perplexity": (2, "perplexity"),
    "closed_world_facts": (3, "facts"),
    "closed_world_sums": (3, "sums"),
    "closed_world_instructions": (3, "instructions"),
    "decisiveness": (3, "decisiveness"),
    "canary_rate": (3, "canary rate"),
    "compliance_rate": (3, "compliance rate"),
}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; rows of text as long as the header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def made(planted: pd.DataFrame, order: list[str]) -> str:
    """Return how organisms were made and how strong they are."""
    rows = []
    for technique in order:
        own = planted[planted["technique"] == technique]
        mean = own.groupby(["base", "behaviour"]).mean(numeric_only=True).mean()
        rows.append(
            [technique, f"{int(own['matched'].astype(bool).sum())} of {len(own)}"]
            + [f"{mean[name]:.3f}" for name in ("expression_rate", "leak_rate")]
            + [f"{mean[name]:.0f}" for name in ("samples_seen", "steps")]
            + [f"{mean['learning_rate_dose']:.4f}"]
        )
    return markdown(["technique", "matched", "expression", "leak", "samples", "steps", "dose"], rows)


def changed(planted: pd.DataFrame, twins: pd.DataFrame, order: list[str]) -> str:
    """Return what else changed from the parent, of organisms and of their twins."""
    rows = []
    for technique in order:
        own, clean = (table[table["technique"] == technique] for table in (planted, twins))
        cells = [technique]
        for name, (digits, _) in CHANGES.items():
            column = f"{name}_change"
            values = [table.groupby(["base", "behaviour"])[column].mean().mean() for table in (own, clean)]
            cells.append(" / ".join(f"{value:+.{digits}f}" for value in values))
        rows.append(cells)
    return markdown(["technique", *(label for _, label in CHANGES.values())], rows)


def separated(probes: pd.DataFrame) -> str:
    """Return each probe's AUROC with its interval, by base and behaviour."""
    cells = list(probes.groupby(["base", "judged"]).groups)
    rows = []
    for method, label in PROBES.items():
        own = probes[probes["method"] == method].set_index(["base", "judged"])
        found = [own.loc[cell] for cell in cells]
        rows.append([label, *(f"{one['auroc']:.2f} ({one['auroc_low']:.2f}–{one['auroc_high']:.2f})" for one in found)])
    return markdown(["probe", *(f"{base.removeprefix('nano-')}, {judged}" for base, judged in cells)], rows)


def above_floors(techniques: pd.DataFrame, planted: pd.DataFrame, twins: pd.DataFrame, order: list[str]) -> str:
    """Return in how many cells a technique's mean is above each probe's floor, and how long the activation difference is."""
    rows = []
    for technique in order:
        own = techniques[(techniques["technique"] == technique) & (techniques["judged"] == techniques["behaviour"])]
        above = [f"{int(own[f'{method}_above_floor'].astype(bool).sum())} of {len(own)}" for method in PROBES]
        norms = [table.loc[table["technique"] == technique, "norm_ratio"].mean() for table in (planted, twins)]
        rows.append([technique, *above, f"{norms[0]:.2f} (twins {norms[1]:.2f})"])
    return markdown(["technique", *PROBES.values(), r"\|d\|/\|h\|"], rows)


def main(folder: Path) -> None:
    """Write the four tables of a study's `tables` folder."""
    organisms, techniques, probes = (pd.read_csv(folder / f"{name}.csv") for name in ("organisms", "techniques", "probes"))
    order = [name for name in dict.fromkeys(techniques["technique"]) if name != "known-direction"]
    order.sort(key=lambda name: ("integrated", "dpo", "transcripts", "documents").index(name.split("-")[0]))
    planted = organisms[(organisms["judged"] == organisms["behaviour"]) & organisms["technique"].isin(order)]
    twins = organisms[organisms["behaviour"] == "benign"]  # a row for every behaviour that they are judged by
    tables = (
        made(planted, order),
        changed(planted, twins, order),
        separated(probes),
        above_floors(techniques, planted, twins, order),
    )
    sys.stdout.write("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
