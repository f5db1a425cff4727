"""Put a base's checkpoint folder in place: trained from nothing, from the hub, or from a local folder."""

from pathlib import Path

from belljar.job import job
from belljar.study.bases import Source
from belljar.training.base import cache_root, provide

cache = cache_root() / "bases" / snakemake.params.key
with job(snakemake, cache, f"base {snakemake.wildcards.base}") as progress:
    provide(Source(**snakemake.params.source), Path(snakemake.output[0]), cache, progress)
