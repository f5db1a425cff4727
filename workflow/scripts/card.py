"""Write one organism's card."""

from pathlib import Path

import pandas as pd

from belljar.analysis.cards import organism_card
from belljar.files import read_json, read_parquet, write_text
from belljar.job import job
from belljar.measurements import COLUMNS
from belljar.strength.rates import ANSWER_COLUMNS, judge
from belljar.study.behaviours import Behaviour

params, given = snakemake.params, snakemake.input
output = Path(snakemake.output[0])
with job(snakemake, output.parent, f"card {params.organism}"):
    recipe = read_json(Path(given.recipe))
    responses = read_parquet(Path(given.responses), ANSWER_COLUMNS)
    behaviours = {name: Behaviour(**settings) for name, settings in params.behaviours.items()}
    judged = [recipe["behaviour"]] if recipe["behaviour"] in behaviours else list(behaviours)
    card = organism_card(
        recipe,
        read_json(Path(given.selection)),
        pd.concat([read_parquet(Path(path), COLUMNS) for path in given.own]),
        pd.concat([read_parquet(Path(path), COLUMNS) for path in given.parent]),
        read_parquet(Path(given.curve), ("step", "metric", "rate")) if "curve" in given.keys() and given.curve else None,
        pd.concat([judge(responses, behaviours[name]) for name in judged]),
        params.primary,
    )
    write_text(output, card)
