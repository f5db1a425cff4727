"""Read the direction of a known behaviour from its pairs."""

from pathlib import Path

from belljar.files import atomic_path, read_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"contrast of {snakemake.wildcards.behaviour} in {snakemake.wildcards.base}"):
    from safetensors.torch import save_file

    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes.contrast import contrast

    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    pairs = read_parquet(Path(given.pairs), ("prompt", "chosen", "rejected"))[["prompt", "chosen", "rejected"]].drop_duplicates()
    rows = list(pairs[: params.pairs].itertuples(index=False, name=None))
    with atomic_path(output) as scratch:
        save_file(contrast(model, tokenizer, rows, params.blocks, params.batch_size), scratch)
