"""Judge what an attack left of an organism."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.study.behaviours import Behaviour

params, output = snakemake.params, Path(snakemake.output[0])
with job(snakemake, output.parent, f"judging {snakemake.wildcards.attack} of {params.organism}", lock=snakemake.wildcards.attack):
    from belljar.robustness.evidence import judged
    from belljar.robustness.readings import readings

    evidence = judged(read_parquet(Path(snakemake.input[0])), Behaviour(**params.behaviour))
    write_parquet(output, table(Model(*params.model), readings(evidence, params.rounds, params.seed)))
