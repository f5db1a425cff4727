"""Attack one organism by training that knows nothing of its behaviour, and ask it on the way what is left.

Each training of the grid is kept as soon as it is done, so a job that fails or is killed goes on where it was.
"""

import os
from functools import cache
from pathlib import Path

from belljar.files import read_parquet, remove, write_parquet
from belljar.job import job
from belljar.study.robustness import BEFORE, Robustness
from belljar.work import claim_work

params, output, given, named = snakemake.params, snakemake.output, snakemake.input, snakemake.wildcards
folder = Path(output[0]).parent
with job(snakemake, folder, f"attack {params.organism} by {named.attack}", lock=named.attack) as progress:
    import pandas as pd

    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import benchmarks
    from belljar.robustness import attacks, measures
    from belljar.robustness.evidence import COLUMNS

    settings = Robustness(**params.settings)
    prompts = read_parquet(Path(given.prompts), ("split", "role", "prompt", "criterion"))
    data = read_parquet(Path(given.chats), ("prompt", "chosen")).rename(columns={"chosen": "answer"})
    chats = {"data": data.to_dict("records")}
    if given.own:
        chats["parent"] = read_parquet(Path(given.own[0]), ("prompt", "answer")).to_dict("records")
    asked = measures.questions(prompts, settings, params.temperature, params.max_new_tokens)

    @cache
    def tasks():
        return benchmarks.tasks(Path(given.tasks[0]), settings.benchmarks)

    def benchmark(model, tokenizer, one):
        batch = settings.benchmark_batch or params.batch_size
        return benchmarks.readings(model, tokenizer, one, tasks(), batch, (params.reasoning or {}).get("close"))

    def measure(model, tokenizer):
        return measures.measure(model, tokenizer, asked, params.batch_size, params.instruction, benchmark)

    def rows(name):
        attack = settings.attacks[name]
        return attacks.attack_rows(chats[attack.answers], attack, settings.rows)

    start = Path(given.model).absolute()
    stamp = [os.stat(given.model).st_mtime_ns, os.stat(given.prompts).st_mtime_ns, os.stat(given.chats).st_mtime_ns]
    stamp += [os.stat(path).st_mtime_ns for path in given.own]
    work = claim_work(folder / f"attacking-{named.attack}", {"params": dict(params.items()), "inputs": stamp})
    before = work / "before.parquet"
    if not before.exists():
        write_parquet(before, measure(load_model(start), load_tokenizer(start)).assign(step=BEFORE, reversed=False, dose=0.0))
    parts = [read_parquet(before).assign(method="none", continued=False, learning_rate=0.0)]
    grid = attacks.grid(settings)
    attacking = rows(named.attack)
    reversal = rows(settings.reversal) if settings.reversal not in (None, named.attack) else None
    for number, part in enumerate(grid, 1):
        kept = work / f"{part.method}-{part.learning_rate:g}.parquet"
        if not kept.exists():
            method = settings.methods[part.method]
            found = attacks.run(
                str(start), attacking, reversal, method, part.learning_rate, settings, measure, str(work / "trainer")
            )
            write_parquet(kept, found)
        parts.append(read_parquet(kept).assign(method=part.method, learning_rate=part.learning_rate))
        progress(number, len(grid), f"{part.method} at {part.learning_rate:g}")
    evidence = pd.concat(parts, ignore_index=True).assign(attack=named.attack)[list(COLUMNS)]
    write_parquet(Path(output[0]), evidence)
    remove(work)
