"""Compute the reference log-probabilities of one start and data set, once for all trainings."""

from pathlib import Path

from belljar.files import read_parquet, remove, write_parquet
from belljar.job import job

output, given, named = Path(snakemake.output[0]), snakemake.input, snakemake.wildcards
with job(snakemake, output.parent, f"reference of {named.behaviour} by {named.base} ({named.start})"):
    from belljar.training.reference import reference_logprobs

    pairs = read_parquet(Path(given.pairs), ("prompt", "chosen", "rejected"))
    scratch = output.parent / f".{output.stem}"
    size = snakemake.resources.batch_size
    found = reference_logprobs(Path(given.start), pairs, int(named.max_length), size, named.precision == "bf16", scratch)
    write_parquet(output, found)
    remove(scratch)
