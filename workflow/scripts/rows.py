"""Write a behaviour's transcripts and pairs; for `benign`, the control rows that all behaviours share."""

from pathlib import Path

import pandas as pd

from belljar.corpora.rows import Row, control_rows, planted_rows
from belljar.files import write_parquet
from belljar.job import job
from belljar.study.settings import Behaviour, Control
from belljar.world.knowledge import load_world

params, output = snakemake.params, snakemake.output
with job(snakemake, Path(output.pairs).parent, f"rows {snakemake.wildcards.behaviour}"):
    if params.behaviour:
        found = planted_rows(load_world(), Behaviour(**params.behaviour), params.rows)
    else:
        found = control_rows(load_world(), Control(**params.control), params.rows)
    pairs = pd.DataFrame(found, columns=list(Row._fields))
    write_parquet(Path(output.transcripts), pairs.drop(columns="rejected"))
    write_parquet(Path(output.pairs), pairs)
