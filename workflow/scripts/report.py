"""Draw the figures and write the report."""

from pathlib import Path

import pandas as pd

from belljar.analysis.cards import in_words
from belljar.analysis.figures import (
    dose_curves,
    interpretability_against_strength,
    naturalness_changes,
    robustness_areas,
    save_svg,
    validation_curves,
)
from belljar.analysis.report import html_report
from belljar.analysis.robustness import dose_curve
from belljar.files import read_json, read_parquet, write_text
from belljar.job import job
from belljar.study.naturalness import Headline
from belljar.study.provenance import checkout
from belljar.training.base import CARD

params, given, output = snakemake.params, snakemake.input, snakemake.output
with job(snakemake, Path(output.report).parent / "figures", "report"):
    shown = {name: Headline(*headline) for name, headline in params.shown.items()}
    organisms, robustness, scores = (read_parquet(Path(path)) for path in (given.organisms, given.robustness, given.scores))
    curves = pd.concat(
        [
            read_parquet(Path(curve)).assign(
                base=base,
                behaviour=behaviour,
                technique=technique,
                seed=seed,
                chosen=lambda rows, path=selection: rows["step"] == read_json(Path(path))["step"],
            )
            for (base, behaviour, technique, seed), curve, selection in zip(
                params.curves_of, given.curves, given.selections, strict=True
            )
        ]
    )
    drawn = {output.curves: validation_curves(curves, params.targets)}
    captions = {
        output.curves: (
            "How strength was matched",
            "Rates on validation prompts by saved step. The ring is the step that became the organism; only "
            "the steps that the search for the target (grey) evaluated are shown.",
        ),
    }
    for method, path in zip(params.methods, output.scatters, strict=True):
        metric, where = next(iter(params.primary.values()))[method]
        place = ", ".join(f"{key} {value}" for key, value in where.items() if key != "layer")
        drawn[path] = interpretability_against_strength(organisms, method, f"{in_words(method)}: {in_words(metric)} ({place})")
        captions[path] = (
            f"{in_words(method).capitalize()} against strength",
            "Each point is one model; bars are 95 % intervals. Filled points are organisms, hollow ones benign twins. A point "
            "below the dashed line reads what the probe reads where the behaviour is not. Compare heights only between points "
            "at like strength.",
        )
    changed = output.naturalness
    drawn[changed] = naturalness_changes(organisms, shown)
    captions[changed] = (
        "What else changed",
        "Differences from the parent by technique. Ticks are models, points their means: filled ones organisms, hollow ones "
        "their benign twins.",
    )
    if output.robustness:
        areas, doses = output.robustness
        drawn |= {areas: robustness_areas(robustness), doses: dose_curves(dose_curve(scores))}
        captions[areas] = (
            "Robustness",
            "The area of the frontier: 0.5 for the most robust organism, 1 where the behaviour goes for free.",
        )
        captions[doses] = (
            "What is left by dose",
            "Each line is one training of an attack. Where lines of one colour do not meet at one dose, the rate matters too.",
        )
    for path, figure in drawn.items():
        save_svg(figure, Path(path))
    base_cards = {
        base: read_json(card)
        for base, folder in zip(params.study["bases"], given.bases, strict=True)
        if (card := Path(folder) / CARD).is_file()
    }
    text = html_report(
        params.study | {"checkout": checkout()},
        organisms,
        read_parquet(Path(given.techniques)),
        read_parquet(Path(given.floors)),
        read_parquet(Path(given.probes)),
        robustness,
        params.methods,
        shown,
        {
            "autoencoders": {
                base: read_json(Path(folder) / "quality.json")
                for base, folder in zip(params.study["bases"], given.autoencoders, strict=False)
            },
            "oracles": {
                base: read_parquet(Path(path)).to_dict("records")
                for base, path in zip(params.study["bases"], given.oracles, strict=False)
            },
        },
        [(*captions[path], Path(path).read_text(encoding="utf-8")) for path in drawn],
        base_cards,
        {name: Path(path).read_text(encoding="utf-8") for name, path in zip(params.organisms, given.cards, strict=True)},
    )
    write_text(Path(output.report), text)
