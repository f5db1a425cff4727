"""The study's report: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from belljar.analysis.cards import environment, in_words
from belljar.measurements import BENIGN, PARENT_TECHNIQUE


def html_report(
    study: Mapping[str, Any],
    organisms: pd.DataFrame,
    techniques: pd.DataFrame,
    floors: pd.DataFrame,
    probes: pd.DataFrame,
    methods: Sequence[str],
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
    kinds = {BENIGN: "benign twin"}
    for row in rows:
        row["what"] = "parent" if row["technique"] == PARENT_TECHNIQUE else kinds.get(row["behaviour"], "organism")
    order = {"organism": 0, "benign twin": 1, "parent": 2}
    rows.sort(key=lambda row: (row["base"], row["judged"], order[row["what"]], row["technique"], row["seed"]))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            study=study,
            organisms=rows,
            techniques=[row | {"twin": row["behaviour"] == BENIGN} for row in means],
            floors=floors.to_dict("records"),
            probes=probes.astype(object).where(probes.notna(), None).to_dict("records"),
            methods=[{"id": method, "name": in_words(method)} for method in methods],
            prepared=prepared,
            figures=[{"title": title, "caption": caption, "svg": _inline(svg)} for title, caption, svg in figures],
            base_cards=base_cards,
            cards=cards,
        )
    )


def _inline(svg: str) -> str:
    """Return an SVG file's text without what may only stand at the beginning of a file."""
    return svg[svg.index("<svg") :]
