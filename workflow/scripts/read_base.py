"""Read a base's own side of the activation difference."""

from pathlib import Path

from belljar.files import atomic_path, read_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"activations of {snakemake.wildcards.base} ({snakemake.wildcards.start})"):
    from safetensors.torch import save_file

    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes.difference import read_side

    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    chats = list(read_parquet(Path(given.chats), ("question", "answer"))[: params.chats].itertuples(index=False, name=None))
    side = read_side(model, tokenizer, chats, params.blocks, params.positions, params.batch_size)
    with atomic_path(output) as scratch:
        save_file(side, scratch)
