"""Write one organism's card."""

from pathlib import Path

import pandas as pd

from belljar.analysis.cards import organism_card
from belljar.analysis.naturalness import differences
from belljar.files import read_json, read_parquet, write_text
from belljar.job import job
from belljar.measurements import COLUMNS
from belljar.naturalness.sampled import parts_by_reading
from belljar.strength.rates import ANSWER_COLUMNS, judge
from belljar.study.behaviours import Behaviour

params, given = snakemake.params, snakemake.input


def parts(paths):
    """Return what naturalness readings are made of."""
    return parts_by_reading(pd.concat([read_parquet(Path(path)) for path in paths]))


output = Path(snakemake.output[0])
with job(snakemake, output.parent, f"card {params.organism}"):
    recipe = read_json(Path(given.recipe))
    responses = read_parquet(Path(given.responses), ANSWER_COLUMNS)
    behaviours = {name: Behaviour(**settings) for name, settings in params.behaviours.items()}
    judged = [recipe["behaviour"]] if recipe["behaviour"] in behaviours else list(behaviours)
    own, parent = (pd.concat([read_parquet(Path(path), COLUMNS) for path in paths]) for paths in (given.own, given.parent))
    card = organism_card(
        recipe,
        read_json(Path(given.selection)),
        own,
        parent,
        read_parquet(Path(given.curve), ("step", "metric", "rate")) if "curve" in given.keys() and given.curve else None,
        pd.concat([judge(responses, behaviours[name]) for name in judged]),
        params.primary,
        differences(own[own["stage"] == "naturalness"], parts(given.parts), parent, parts(given.parent_parts)),
    )
    write_text(output, card)
