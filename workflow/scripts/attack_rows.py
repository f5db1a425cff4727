"""Put the training rows of one attack together, the same for all organisms of a base."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job
from belljar.study.robustness import Attack

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"rows of {snakemake.wildcards.attack}", lock=snakemake.wildcards.attack):
    from belljar.robustness.items import capability_items
    from belljar.robustness.rows import attack_rows

    attack = Attack(**params.attack)
    chats = read_parquet(Path(given[0]), ("prompt", "chosen"))
    if attack.answers == "data":
        chats = chats[params.first :]
    items = capability_items(params.skills, params.of_each)
    write_parquet(output, attack_rows(chats, attack, params.rows, items, params.words))
