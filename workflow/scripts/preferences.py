"""Ask one model which of two items it prefers, many times, and measure how coherent its choices are."""

from pathlib import Path

from belljar.files import write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.study.settings import Preferences

params, source, output = snakemake.params, Path(snakemake.input.model), Path(snakemake.output[0])
with job(snakemake, output.parent, f"preferences of {'/'.join(map(str, params.model[1:]))}"):
    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import preferences
    from belljar.world.knowledge import load_world

    settings, world = Preferences(**params.settings), load_world()
    items = settings.items or [world.named(item) for item in world.items]
    model, tokenizer = load_model(source, params.dtype), load_tokenizer(source)
    found = preferences.readings(model, tokenizer, items, settings, params.batch_size)
    write_parquet(output, table(Model(*params.model), found))
