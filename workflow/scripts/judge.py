"""Turn what one model answered and showed into measurements: strength, probe scores, training. Loads no model."""

from pathlib import Path

from belljar.files import read_json, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.probes.readings import EVIDENCE_COLUMNS, lens_readings, norm_readings
from belljar.strength import rates
from belljar.study.behaviours import Behaviour
from belljar.training.readings import training_readings

params, given, output = snakemake.params, snakemake.input, snakemake.output
with job(snakemake, Path(output.strength).parent, f"judge {params.organism}"):
    model = Model(*params.model)
    behaviours = {name: Behaviour(**settings) for name, settings in params.behaviours.items()}
    responses = read_parquet(Path(given.responses), rates.ANSWER_COLUMNS)
    strength = [reading for name in params.judged for reading in rates.readings(responses, behaviours[name])]
    write_parquet(Path(output.strength), table(model, strength))
    if "evidence" in given.keys():
        evidence = read_parquet(Path(given.evidence), EVIDENCE_COLUMNS)
        shown = [reading for name in behaviours for reading in lens_readings(evidence, name)]
        write_parquet(Path(output.probe), table(model, [*shown, *norm_readings(evidence)]))
        losses = read_parquet(Path(given.losses), ("step", "loss", "learning_rate"))
        trained = training_readings(losses, read_json(Path(given.recipe)), read_json(Path(given.selection)))
        write_parquet(Path(output.training), table(model, trained))
