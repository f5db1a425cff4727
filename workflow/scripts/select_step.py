"""Judge the validation answers and choose the saved step nearest to the behaviour's target."""

from pathlib import Path

from belljar.files import read_parquet, write_json, write_parquet
from belljar.job import job
from belljar.strength.rates import ANSWER_COLUMNS, validation_curve
from belljar.strength.selection import nearest_step
from belljar.study.settings import Behaviour

params, output = snakemake.params, snakemake.output
with job(snakemake, Path(output.selection).parent, f"select {params.organism}"):
    behaviour = Behaviour(**params.behaviour)
    answers = read_parquet(Path(snakemake.input.validation), ("step", *ANSWER_COLUMNS))
    curve = validation_curve(answers, behaviour)
    write_parquet(Path(output.curve), curve)
    write_json(Path(output.selection), nearest_step(curve, behaviour.target)._asdict())
