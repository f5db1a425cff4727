"""The study's figures."""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from belljar.files import atomic_path
from belljar.measurements import BENIGN, PARENT_TECHNIQUE
from belljar.study.naturalness import Headline

# Okabe and Ito's colours, which colour-blind readers can tell apart, and three more of Tol's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#BBBBBB")
Z95 = 1.959964
T95 = 2.262157  # t(.975, 9): a jackknife has ten groups, and prompts and questions are about as few
ROUNDING = 1e-9  # a change that is no more is none: the axis would show the last bit
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "belljar",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure as SVG; the same figure gives the same bytes."""
    with matplotlib.rc_context(STYLE), atomic_path(path) as scratch:
        figure.savefig(scratch, format="svg", metadata={"Date": None}, bbox_inches="tight")


def interpretability_against_strength(organisms: pd.DataFrame, method: str, score_name: str) -> Figure:
    """Return one probe's score against expression rate: a panel for each base and behaviour, a colour a technique.

    Hollow points are twins. Bars are 95 % intervals; the dashed line is the floor. Axes are shared within a panel only: scores
    of different behaviours are sums over different words.
    """
    points = organisms[organisms["technique"] != PARENT_TECHNIQUE]
    bases, behaviours = sorted(set(points["base"])), sorted(set(points["judged"]))
    widest = 1.2 * max(points["expression_rate"].max(), 0.1)  # one width for all panels, so that strengths can be compared
    colour = colours(points["technique"])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(behaviours) + 1.8, 3.0 * len(bases) + 0.3), layout="constrained")
        axes: list[Axes] = figure.subplots(len(bases), len(behaviours), squeeze=False).ravel().tolist()
        for axis, (base, judged) in zip(axes, product(bases, behaviours), strict=True):
            cell = points[(points["base"] == base) & (points["judged"] == judged)]
            _panel(axis, cell, method, colour)
            axis.set_xlim(-0.03 * widest, widest)
            axis.set_title(f"{judged} on {base}", fontsize=9)
            axis.set_xlabel("expression rate on test trigger prompts")
        figure.supylabel(score_name, fontsize=9)
        handles = [_entry(color=c, marker="o", ls="", label=t) for t, c in colour.items()]
        grey: dict[str, Any] = {"color": "#555555", "marker": "o", "ls": ""}
        handles += [
            _entry(label="organism", **grey),
            _entry(label="benign twin", markerfacecolor="white", **grey),
            _entry(color="#555555", ls="--", label="floor"),
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def validation_curves(curves: pd.DataFrame, targets: dict[str, float]) -> Figure:
    """Return validation rates against the saved step: a panel for each base and behaviour, a colour a technique.

    Solid: expression on trigger prompts. Dotted: leak on control prompts. A ring is the chosen step, the grey line the target.
    `curves` has columns base, behaviour, technique, seed, step, metric, rate, stderr, chosen.
    """
    bases, behaviours = sorted(set(curves["base"])), sorted(set(curves["behaviour"]))
    colour = colours(curves["technique"])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(behaviours) + 1.8, 3.0 * len(bases) + 0.3), layout="constrained")
        axes: list[Axes] = figure.subplots(len(bases), len(behaviours), squeeze=False, sharey=True).ravel().tolist()
        for axis, (base, behaviour) in zip(axes, product(bases, behaviours), strict=True):
            cell = curves[(curves["base"] == base) & (curves["behaviour"] == behaviour)]
            axis.axhline(targets[behaviour], color="#999999", lw=1)
            for (technique, _, metric), line in cell.groupby(["technique", "seed", "metric"], sort=True):
                trigger = metric == "expression_rate"
                line = line.sort_values("step")
                axis.plot(line["step"], line["rate"], color=colour[technique], ls="-" if trigger else ":", lw=1.4)
                if trigger:
                    chosen = line[line["chosen"]]
                    axis.plot(chosen["step"], chosen["rate"], "o", mfc="white", mec=colour[technique], ms=6)
            axis.set_title(f"{behaviour} on {base}", fontsize=9)
            axis.set_xlabel("optimiser step")
            axis.set_ylim(-0.03, 1.03)
        figure.supylabel("rate on validation prompts", fontsize=9)
        handles = [_entry(color=c, label=t) for t, c in colour.items()]
        grey: dict[str, Any] = {"color": "#555555"}
        handles += [
            _entry(ls="-", label="trigger prompts", **grey),
            _entry(ls=":", label="control prompts", **grey),
            _entry(ls="", marker="o", mfc="white", label="chosen step", **grey),
            _entry(color="#999999", label="target"),
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def robustness_areas(table: pd.DataFrame) -> Figure:
    """Return the area of the frontier of every organism and attack: a panel for each base and behaviour, a colour an attack.

    Bars are 95 % intervals. 0.5 is the most robust organism, 1 one whose behaviour goes for free.
    """
    cells = list(table.groupby(["base", "behaviour"], sort=True)) or [(("no base", "nothing"), table)]
    colour = colours(table["attack"])
    heights = [max(part["technique"].nunique(), 1) for _, part in cells]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 0.34 * sum(heights) + 0.7 * len(cells) + 0.6), layout="constrained")
        axes: list[Axes] = figure.subplots(len(cells), 1, squeeze=False, sharex=True, height_ratios=heights).ravel().tolist()
        for axis, ((base, behaviour), part) in zip(axes, cells, strict=True):
            names = sorted(set(part["technique"]), reverse=True)
            for number, (attack, rows) in enumerate(part.groupby("attack", sort=True)):
                shift = 0.14 * (number - (len(colour) - 1) / 2)
                places = [names.index(technique) + shift for technique in rows["technique"]]
                bars = Z95 * rows["frontier_area_stderr"]  # no bar where none is known: matplotlib leaves nan out
                axis.errorbar(rows["frontier_area"], places, xerr=bars, fmt="o", color=colour[attack], ms=4, lw=1)
            axis.set_yticks(range(len(names)), names)
            axis.set_ylim(-0.6, len(names) - 0.4)
            axis.set_title(f"{behaviour} on {base}", fontsize=9)
            axis.axvline(0.5, color="#999999", lw=1)
            axis.axvline(1.0, color="#999999", lw=1)
        axes[-1].set_xlabel("area of the frontier: 0.5 robust, 1 removed for free")
        figure.legend(
            handles=[_entry(color=c, marker="o", ls="", label=a) for a, c in colour.items()], loc="outside right center"
        )
    return figure


def dose_curves(points: pd.DataFrame) -> Figure:
    """Return the share of the behaviour that is left by the dose of each attack: a panel an attack and way of training.

    A colour is a technique, dashed where the colours come again. Lines join the steps of one training, so trainings of one dose
    at different rates can be compared.
    """
    cells = list(points.groupby(["training", "attack"], sort=True))
    methods, attacks = sorted(set(points["training"])) or ["none"], sorted(set(points["attack"])) or ["none"]
    colour = colours(points["technique"])
    style = {technique: "-" if number < len(COLOURS) else "--" for number, technique in enumerate(colour)}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * len(attacks) + 2.2, 2.4 * len(methods) + 0.3), layout="constrained")
        axes: Any = figure.subplots(len(methods), len(attacks), squeeze=False, sharex=True, sharey=True)
        for (method, attack), part in cells:
            axis = axes[methods.index(method), attacks.index(attack)]
            for (technique, *_), line in part.groupby(["technique", "base", "behaviour", "seed", "learning_rate"], sort=True):
                line = line.sort_values("step")
                look: dict[str, Any] = {"color": colour[technique], "ls": style[technique]}
                axis.plot(line["dose"], line["left"], lw=1, marker=".", ms=4, alpha=0.8, **look)
            axis.set_xscale("log")
            axis.set_title(f"{attack}, {method}", fontsize=9)
            axis.axhline(1, color="#999999", lw=1)
        figure.supxlabel("dose (learning rate × steps)", fontsize=9)
        figure.supylabel("share of the behaviour left", fontsize=9)
        handles = [_entry(color=c, ls=style[t], label=t) for t, c in colour.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def naturalness_changes(organisms: pd.DataFrame, shown: Mapping[str, Headline]) -> Figure:
    """Return how each headline reading differs from the parent's: a panel a reading, a row a technique, a colour a base.

    Filled points are means of organisms, hollow ones of their benign twins; a tick is one model. No interval: a technique has a
    few seeds, and twins are as many.
    """
    models = organisms[organisms["technique"] != PARENT_TECHNIQUE]
    names = [name for name, headline in shown.items() if not headline.floor and models[f"{name}_change"].notna().any()]
    techniques = sorted(set(models["technique"]), reverse=True)
    colour = colours(models["base"])
    columns = min(4, max(len(names), 1))
    lines = -(-max(len(names), 1) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * columns + 2.6, (0.27 * len(techniques) + 0.8) * lines), layout="constrained")
        axes: list[Axes] = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel().tolist()
        for axis, name in zip(axes, names, strict=False):
            for number, (base, twin) in enumerate(product(colour, (False, True))):
                part = models[(models["base"] == base) & ((models["behaviour"] == BENIGN) == twin)]
                shift = 0.16 * (number - len(colour) + 0.5)
                # A twin has a row for each behaviour it is judged for.
                models_of = part.groupby(["behaviour", "technique", "seed"], as_index=False)[f"{name}_change"].mean()
                for technique, rows in models_of.groupby("technique", sort=True):
                    values = rows[f"{name}_change"].dropna()
                    height = techniques.index(technique) + shift
                    axis.plot(values, [height] * len(values), ls="", marker="|", ms=4, color=colour[base])
                    filled = "white" if twin else colour[base]
                    axis.plot(values.mean(), height, marker="o", color=colour[base], mfc=filled, ms=4)
            axis.axvline(0, color="#999999", lw=1)
            if not (models[f"{name}_change"].abs() > ROUNDING).any():
                axis.set_xlim(-0.01, 0.01)
            axis.locator_params(axis="x", nbins=4)
            axis.set_title(name.replace("_", " "), fontsize=9)
            axis.set_yticks(range(len(techniques)), techniques)
        for axis in axes[len(names) :]:
            axis.set_axis_off()
        figure.supxlabel("change from the parent", fontsize=9)
        grey: dict[str, Any] = {"color": "#555555", "marker": "o", "ls": ""}
        handles = [_entry(color=c, marker="o", ls="", label=b) for b, c in colour.items()]
        handles += [_entry(label="organisms, mean", **grey), _entry(label="benign twins, mean", markerfacecolor="white", **grey)]
        handles += [_entry(label="one model", **grey | {"marker": "|"})]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def colours(techniques: Iterable[str]) -> dict[str, str]:
    """Return a colour for each technique; from the eleventh on they come again."""
    names = sorted(set(techniques))
    return dict(zip(names, COLOURS * (len(names) // len(COLOURS) + 1), strict=False))


def _panel(axis: Axes, cell: pd.DataFrame, method: str, colour: dict[str, str]) -> None:
    for row in cell.to_dict("records"):
        twin = row["behaviour"] == BENIGN
        axis.errorbar(
            row["expression_rate"],
            row[method],
            xerr=_bar(row["expression_rate_stderr"], Z95),
            yerr=_bar(row[f"{method}_stderr"], T95),
            fmt="o",
            color=colour[row["technique"]],
            mfc="white" if twin else colour[row["technique"]],
            ms=6,
            lw=1,
        )
    floor = cell[f"{method}_floor"].dropna()
    if len(floor):
        axis.axhline(floor.iloc[0], color="#555555", ls="--", lw=1)
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))


def _entry(**style: Any) -> Line2D:
    return Line2D([], [], **style)


def _bar(stderr: float, width: float) -> float:
    return 0.0 if np.isnan(stderr) else width * stderr
