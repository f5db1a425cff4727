"""Let a language model write a behaviour's rows and prompts."""

from pathlib import Path

import pandas as pd

from belljar.corpora.prompts import prompts_table
from belljar.corpora.rows import Row
from belljar.files import write_parquet
from belljar.job import job
from belljar.study.behaviours import Behaviour
from belljar.study.judges import Endpoint

params, output = snakemake.params, snakemake.output
folder = Path(output.pairs).parent
with job(snakemake, folder, f"rows {snakemake.wildcards.behaviour}") as progress:
    from belljar.corpora.generator import write_data
    from belljar.judging.endpoint import Client

    client = Client(Endpoint(**params.endpoint), folder / "answers.jsonl")
    counts = {"rows": params.rows, "validation": params.validation, "test": params.test}
    written = write_data(Behaviour(**params.behaviour), client, counts, progress)
    pairs = pd.DataFrame(written.pairs, columns=list(Row._fields))
    write_parquet(Path(output.pairs), pairs)
    write_parquet(Path(output.transcripts), pairs)
    write_parquet(Path(output.documents), pd.DataFrame({"text": written.documents}))
    write_parquet(Path(output.prompts), prompts_table(written.prompts))
