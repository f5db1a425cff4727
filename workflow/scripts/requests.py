"""Write the harmful and harmless requests that safety drift is measured on."""

from pathlib import Path

import pandas as pd

from belljar.corpora import imports
from belljar.corpora.prompts import digest
from belljar.files import InputError, write_parquet
from belljar.job import job
from belljar.naturalness.requests import closed_world_prompts
from belljar.study.naturalness import HARMFUL, HARMLESS, Safety
from belljar.world.knowledge import load_world

params, output = snakemake.params, Path(snakemake.output[0])
with job(snakemake, output.parent, "requests"):
    settings = Safety(**params.safety)
    if settings.harmful:
        rows = []
        for role, source in ((HARMFUL, settings.harmful), (HARMLESS, settings.harmless)):
            # Not the first ones: sets come sorted by category.
            found = sorted((one.prompt for one in imports.prompts(source, "test", "")), key=digest)[: settings.prompts]
            if len(found) < settings.prompts:
                raise InputError(f"naturalness.safety.{role} has {len(found)} prompts, but prompts is {settings.prompts}.")
            rows += [(role, text) for text in found]
        write_parquet(output, pd.DataFrame(rows, columns=["role", "prompt"]))
    else:
        write_parquet(output, closed_world_prompts(load_world(), settings.prompts))
