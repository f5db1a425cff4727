"""The study's report: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from belljar.analysis.cards import environment, in_words
from belljar.measurements import BENIGN, PARENT_TECHNIQUE
from belljar.study.naturalness import Headline


def html_report(
    study: Mapping[str, Any],
    organisms: pd.DataFrame,
    techniques: pd.DataFrame,
    floors: pd.DataFrame,
    probes: pd.DataFrame,
    robustness: pd.DataFrame,
    methods: Sequence[str],
    shown: Mapping[str, Headline],
    prepared: Mapping[str, Mapping[str, Any]],
    figures: Sequence[tuple[str, str, str]],
    base_cards: Mapping[str, Sequence[Mapping[str, Any]]],
    cards: Mapping[str, str],
) -> str:
    """Return the report as HTML with its style and figures inside it.

    `prepared` says how good each base's autoencoder and oracle are. `figures` holds (title, caption, svg); `base_cards` each
    trained base's skills; `cards` each organism's card in Markdown.
    """
    rows, means = (table.astype(object).where(table.notna(), None).to_dict("records") for table in (organisms, techniques))
    kinds = dict.fromkeys(study["controls"], "control") | {PARENT_TECHNIQUE: "parent"}
    for row in [*rows, *means]:
        row["what"] = "benign twin" if row["behaviour"] == BENIGN else kinds.get(row["technique"], "organism")
    order = {"organism": 0, "control": 1, "benign twin": 2, "parent": 3}
    means.sort(key=lambda row: (row["base"], row["judged"], order[row["what"]]))
    rows.sort(key=lambda row: (row["base"], row["judged"], order[row["what"]], row["technique"], row["seed"]))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            study=study,
            organisms=rows,
            techniques=means,
            floors=floors.to_dict("records"),
            probes=probes.astype(object).where(probes.notna(), None).to_dict("records"),
            robustness=robustness.astype(object).where(robustness.notna(), None).to_dict("records"),
            methods=[{"id": method, "name": in_words(method)} for method in methods],
            shown=[{"id": name, "name": in_words(name), "floor": headline.floor} for name, headline in shown.items()],
            prepared=prepared,
            figures=[{"title": title, "caption": caption, "svg": _inline(svg)} for title, caption, svg in figures],
            base_cards=base_cards,
            cards=cards,
        )
    )


def _inline(svg: str) -> str:
    """Return an SVG file's text without what may only stand at the beginning of a file."""
    return svg[svg.index("<svg") :]
