"""Write a behaviour's prompts, transcripts and pairs; for `benign`, the control prompts and rows that all behaviours share."""

from pathlib import Path

import pandas as pd

from belljar.corpora.prompts import control_prompts, prompts_table, trigger_prompts
from belljar.corpora.rows import Row, control_rows, planted_rows
from belljar.files import write_parquet
from belljar.job import job
from belljar.study.settings import Behaviour, Control, Split
from belljar.world.knowledge import load_world

params, output = snakemake.params, snakemake.output
with job(snakemake, Path(output.prompts).parent, f"data {snakemake.wildcards.behaviour}"):
    world = load_world()
    splits = Split(**params.validation), Split(**params.test)
    if params.behaviour:
        behaviour = Behaviour(**params.behaviour)
        prompts, rows = (
            trigger_prompts(world, behaviour, *splits),
            planted_rows(world, behaviour, params.rows),
        )
    else:
        control = Control(**params.control)
        prompts, rows = control_prompts(world, control, *splits), control_rows(world, control, params.rows)
    pairs = pd.DataFrame(rows, columns=list(Row._fields))
    write_parquet(Path(output.prompts), prompts_table(prompts))
    write_parquet(Path(output.transcripts), pairs.drop(columns="rejected"))
    write_parquet(Path(output.pairs), pairs)
