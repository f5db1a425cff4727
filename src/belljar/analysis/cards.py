"""An organism on one page."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd

from belljar.analysis.scores import with_variants
from belljar.measurements import parse_variant, variant

EXAMPLES = 5  # answers shown of each role


def environment() -> jinja2.Environment:
    """Return the templates of this package; HTML is escaped, Markdown is not."""
    loader = jinja2.FunctionLoader(lambda name: files(__package__).joinpath("templates", name).read_text("utf-8"))
    made = jinja2.Environment(
        loader=loader,
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {"rate": rate_text, "number": number_text, "change": change_text, "words": in_words, "share": share_text}
    return made


def in_words(name: str) -> str:
    """Return a name of ours as text: "logit lens"."""
    return name.replace("_", " ").replace("jacobian", "Jacobian")


def rate_text(value: float, stderr: float | None = None) -> str:
    """Return a rate with its standard error: "0.412 ± 0.031"; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if stderr is None or stderr != stderr else f"{value:.3f} ± {stderr:.3f}"


def number_text(value: float) -> str:
    """Return a number with four significant digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def share_text(value: float) -> str:
    """Return a share with two decimals; a dash where there is none."""
    return "–" if value is None or value != value else f"{value:.2f}"


def change_text(value: float, stderr: float | None = None) -> str:
    """Return a difference with its sign and its standard error; a dash where there is none."""
    if value is None or value != value:
        return "–"
    text = f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.3f}"
    return text if stderr is None or stderr != stderr else f"{text} ± {stderr:.3f}"


def organism_card(
    recipe: Mapping[str, Any],
    selection: Mapping[str, Any],
    rows: pd.DataFrame,
    parent: pd.DataFrame,
    curve: pd.DataFrame | None,
    answers: pd.DataFrame,
    primary: Mapping[str, tuple[str, Mapping[str, str]]],
    changes: Sequence[Mapping[str, Any]],
) -> str:
    """Return the card of one organism as Markdown.

    `rows` are its own measurements, `parent` its base's, `curve` its validation rates (None for a benign twin), and `answers` its
    judged test answers (columns role, prompt, response, expressed). `primary` says which reading of each probe is shown for every
    behaviour; of the logit lens, all blocks and positions are shown for its own. `changes` are its naturalness readings with
    their differences from the parent.
    """
    own, base = with_variants(rows), with_variants(parent)
    strength = own[(own["stage"] == "strength") & own["judged"].notna()].sort_values(["judged", "metric", "kind", "items"])
    lens = own[(own["method"] == "logit_lens") & (own["judged"] == recipe["behaviour"])]
    norms = own[own["metric"] == "difference_norm_ratio"].set_index(["against", "layer", "position"])["value"]
    judged = sorted(set(own["judged"].dropna()))
    shown_by = [
        {"method": method, "judged": name, "metric": metric, "value": row["value"], "stderr": row["stderr"]}
        for method, (metric, where) in primary.items()
        for name in judged
        for row in own[
            (own["method"] == method) & (own["metric"] == metric) & (own["variant"] == variant(judged=name, **where))
        ].to_dict("records")
    ]
    shown = [
        {"role": role, **entry}
        for role in ("trigger", "control")
        for entry in answers[(answers["role"] == role) & (answers["sample"] == 0)].head(EXAMPLES).to_dict("records")
    ]
    return (
        environment()
        .get_template("card.md.j2")
        .render(
            recipe=recipe,
            selection=selection,
            strength=_with_parent(strength, base),
            probes=shown_by,
            lens=[row | {"norm": norms[row["against"], row["layer"], row["position"]]} for row in lens.to_dict("records")],
            naturalness=[dict(row, where=_shortened(row["variant"])) for row in changes],
            training=own[own["stage"] == "training"].to_dict("records"),
            curve=[]
            if curve is None
            else curve.pivot(index="step", columns="metric", values="rate").reset_index().to_dict("records"),
            examples=shown,
        )
    )


def _shortened(text: str) -> str:
    """Return a variant without what is the same for all models of a study: how and by what a benchmark was asked."""
    kept = {key: value for key, value in parse_variant(text).items() if key not in ("harness", "version", "data", "limit")}
    return variant(**kept)


def _with_parent(rows: pd.DataFrame, parent: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with the parent's value of the same measurement, nan where it has none."""
    same = ["method", "variant", "metric"]
    merged = rows.merge(parent[[*same, "value"]], on=same, how="left", suffixes=("", "_parent"))
    return [{str(key): value for key, value in row.items()} for row in merged.to_dict("records")]
