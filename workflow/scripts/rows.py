"""Write a behaviour's rows in each form; for `benign`, the control rows that all behaviours share."""

from pathlib import Path

import pandas as pd

from belljar.corpora import documents, imports
from belljar.corpora.rows import Row, control_rows, planted_rows
from belljar.files import write_parquet
from belljar.job import job
from belljar.study.behaviours import Behaviour
from belljar.study.control import Control
from belljar.study.datasets import Corpus
from belljar.world.knowledge import load_world

params, output = snakemake.params, snakemake.output
with job(snakemake, Path(output.pairs).parent, f"rows {snakemake.wildcards.behaviour}"):
    behaviour = Behaviour(**params.behaviour) if params.behaviour else None
    control = Control(**params.control) if params.control else None
    corpus = Corpus(**params.corpus) if params.corpus else None
    source = corpus or (behaviour.imports if behaviour else control.imports)
    if source:
        criteria = [one.id for one in behaviour.criteria] if behaviour else []
        pairs = imports.pairs(source, criteria)
        transcripts = imports.transcripts(source, pairs, criteria)
        texts = imports.texts(source.documents) if source.documents else []
    elif behaviour:
        pairs = transcripts = planted_rows(load_world(), behaviour, params.rows)
        texts = documents.planted_documents(load_world(), behaviour, params.rows)
    else:
        pairs = transcripts = control_rows(load_world(), control, params.rows)
        texts = documents.control_documents(load_world(), control, params.rows)
    for path, rows in ((output.pairs, pairs), (output.transcripts, transcripts)):
        write_parquet(Path(path), pd.DataFrame(rows[: params.rows], columns=list(Row._fields)))
    write_parquet(Path(output.documents), pd.DataFrame({"text": texts[: params.rows]}, dtype="str"))
