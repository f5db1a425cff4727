"""Train a base's activation oracle, and measure it on questions that it was not trained on."""

from pathlib import Path

from belljar.files import atomic_path, read_parquet, write_parquet
from belljar.job import job
from belljar.study.probes import Oracle

SEED = 0
HELD_OUT = 300  # tasks
params, given, output = snakemake.params, snakemake.input, snakemake.output
with job(snakemake, Path(output.quality).parent, f"oracle of {snakemake.wildcards.base}") as progress:
    from belljar.corpora import general
    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes import oracle as probe
    from belljar.probes.oracle_tasks import make_tasks

    settings, size = Oracle(**params.settings), params.batch_size
    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    probe.placeholder_token(tokenizer, settings)  # refused before anything is trained
    text = read_parquet(Path(given.general), general.COLUMNS)
    tasks = make_tasks(tokenizer, text, settings.longest, settings.vectors, SEED)
    held_out = min(HELD_OUT, len(tasks) // 5)
    blocks = list(params.blocks)
    oracle = probe.train(model, tokenizer, tasks[:-held_out], blocks, settings, size, SEED, progress)
    write_parquet(Path(output.quality), probe.quality(oracle, tokenizer, tasks[-held_out:], blocks, settings, size, SEED))
    with atomic_path(Path(output.adapter)) as scratch:
        oracle.save_pretrained(scratch)
