"""Write the chats that probes read activations on, the general text they are prepared on, and the texts of perplexity."""

from pathlib import Path

import pandas as pd

from belljar.corpora import general, imports
from belljar.corpora.chats import unrelated_chats
from belljar.files import InputError, write_parquet
from belljar.job import job
from belljar.study.control import Control
from belljar.world.documents import heldout_documents
from belljar.world.knowledge import load_world
from belljar.world.tokenizer import document_text

DOCUMENT_SEED = 11
params, output = snakemake.params, snakemake.output
with job(snakemake, Path(output.chats).parent, "unrelated chats and texts"):
    control, asked = Control(**params.control), params.perplexity
    if control.imports:
        chats = imports.chats(control.imports.chats)[: params.chats]
        texts = imports.texts(control.imports.texts)
        read = general.imported_text(chats, texts)[: params.general]
    else:
        chats = unrelated_chats(load_world(), control, params.chats)
        texts = [document_text(text) for text in heldout_documents(load_world(), asked["documents"], DOCUMENT_SEED)]
        read = general.closed_world_text(load_world(), params.general)
    texts = [text[: asked["characters"]] for text in texts if len(text) >= asked["shortest"]][: asked["documents"]]
    wanted = (
        ("chats", chats, "probes.chats", params.chats),
        ("texts", texts, "naturalness.perplexity.documents", asked["documents"]),
    )
    for what, found, key, count in wanted:
        if len(found) < count:
            raise InputError(
                f"control.imports.{what} gives {len(found)} {what}, but {key} is {count}; lower it, or name a larger set."
            )
    write_parquet(Path(output.chats), pd.DataFrame(chats, columns=["question", "answer"]))
    write_parquet(Path(output.general), read)
    write_parquet(Path(output.texts), pd.DataFrame({"text": texts}))
