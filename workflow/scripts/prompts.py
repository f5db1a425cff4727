"""Write a behaviour's validation and test prompts; for `benign`, the control prompts that all behaviours share."""

from pathlib import Path

from belljar.corpora.prompts import control_prompts, prompts_table, trigger_prompts
from belljar.corpora.separation import check_separate
from belljar.files import read_parquet, write_parquet
from belljar.job import job
from belljar.study.settings import Behaviour, Control, Split
from belljar.world.knowledge import load_world

params, output = snakemake.params, Path(snakemake.output[0])
with job(snakemake, output.parent, f"prompts {snakemake.wildcards.behaviour}"):
    splits = Split(**params.validation), Split(**params.test)
    if params.behaviour:
        found = trigger_prompts(load_world(), Behaviour(**params.behaviour), *splits)
    else:
        found = control_prompts(load_world(), Control(**params.control), *splits)
    for path in map(Path, snakemake.input.rows):
        check_separate(found, read_parquet(path, ("prompt",))["prompt"].tolist(), path)
    write_parquet(output, prompts_table(found))
