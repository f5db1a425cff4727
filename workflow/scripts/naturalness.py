"""Measure what else one model is: perplexity, benchmarks, preferences, all with one load of the model.

Each part is kept as soon as it is computed, so a job that fails or is killed goes on where it was.
"""

import os
from pathlib import Path

from belljar.files import read_parquet, remove, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.study.naturalness import Naturalness
from belljar.work import claim_work

params, given, output = snakemake.params, snakemake.input, snakemake.output
source, folder = Path(given.model), Path(output.parts).parent
with job(snakemake, folder, f"naturalness of {'/'.join(map(str, params.model[1:]))}", lock="naturalness") as progress:
    import pandas as pd

    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import benchmarks, perplexity, preferences
    from belljar.naturalness.sampled import parts_table
    from belljar.world.knowledge import load_world

    settings, measured = Naturalness(**params.settings), Model(*params.model)
    tokenizer, model = load_tokenizer(source), load_model(source, params.dtype)

    def perplexities():
        texts = read_parquet(Path(given.texts), ("text",))["text"].tolist()
        return perplexity.readings(model, tokenizer, texts, params.batch_size)

    def tasks():
        own = Path(given.tasks[0]) if given.tasks else None
        return benchmarks.readings(model, tokenizer, settings.benchmarks, own, params.batch_size)

    def choices():
        world, asked = load_world(), settings.preferences
        items = asked.items or [world.named(item) for item in world.items]
        return preferences.readings(model, tokenizer, items, asked, params.batch_size)

    known = {"perplexity": perplexities, "benchmarks": tasks, "preferences": choices}
    inputs = [os.stat(path).st_mtime_ns for path in (source, given.texts)]
    work = claim_work(folder / "naturalness", {"params": dict(params.items()), "inputs": inputs})
    for number, target in enumerate(output.readings, 1):
        name = Path(target).stem
        if not (work / f"{name}.parquet").exists():
            found = known[name]()
            write_parquet(work / f"parts-{name}.parquet", parts_table(found))
            write_parquet(work / f"{name}.parquet", table(measured, [one.reading for one in found]))
        progress(number, len(output.readings), f"{name} done")
    names = [Path(target).stem for target in output.readings]
    parts = pd.concat([read_parquet(work / f"parts-{name}.parquet") for name in names], ignore_index=True)
    write_parquet(Path(output.parts), parts)
    for target in output.readings:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / Path(target).name, target)
    remove(work)
