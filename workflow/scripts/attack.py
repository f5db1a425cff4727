"""Attack one organism by training that knows nothing of its behaviour, and ask it on the way what is left.

Each training of the grid is kept under what it is made from. So a job that fails or is killed goes on where it was, and a study
that adds a learning rate trains at that one alone.
"""

import os
from pathlib import Path

from belljar.files import folder_lock, read_parquet, remove, write_parquet
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

    folder_of_tasks = Path(given.tasks[0]) if given.tasks else None
    batch = settings.benchmark_batch or params.batch_size
    benchmark = benchmarks.asker(folder_of_tasks, settings.benchmarks, batch, params.reasoning)

    def measure(model, tokenizer):
        return measures.measure(model, tokenizer, asked, params.batch_size, params.instruction, benchmark)

    def rows(name):
        attack = settings.attacks[name]
        return attacks.attack_rows(chats[attack.answers], attack, settings.rows)

    def changed(path):
        return os.stat(path).st_mtime_ns

    start = Path(given.model).absolute()
    measured_by = {name: value for name, value in params.items() if name != "settings"}
    measured_by |= {"settings": settings.model_dump(exclude={"attacks", "methods"})}
    measured_by |= {"inputs": [changed(given.model), changed(given.prompts)]}
    trained_on = {"attack": params.settings["attacks"], "inputs": [changed(given.chats), *map(changed, given.own)]}

    def kept(name, made_from, compute):
        """Return the evidence of one training, or of the organism itself, computed if it is not there."""
        work = claim_work(folder / name, [measured_by, made_from])
        file, scratch = work / "evidence.parquet", work / "trainer"
        if not file.exists():
            write_parquet(file, compute(str(scratch)))
            remove(scratch)
        return read_parquet(file)

    def organism(_):
        return measure(load_model(start), load_tokenizer(start)).assign(step=BEFORE, reversed=False)

    with folder_lock(folder, ".before-attacks.lock"):  # all attacks share it
        before = kept("before-attacks", None, organism)
    parts = [before.assign(method="none", continued=False, learning_rate=0.0)]
    grid = attacks.grid(settings)
    attacking = rows(named.attack)
    reversal = rows(settings.reversal) if settings.reversal not in (None, named.attack) else None
    for number, (name, rate) in enumerate(grid, 1):
        method = settings.methods[name]

        def training(work, method=method, rate=rate):
            return attacks.run(str(start), attacking, reversal, method, rate, settings, measure, work)

        made_from = trained_on | {"adapter": method.adapter and method.adapter.model_dump()}
        found = kept(f"attacks/{named.attack}/{name}-{rate:g}", made_from, training)
        parts.append(found.assign(method=name, learning_rate=rate))
        progress(number, len(grid), f"{name} at {rate:g}")
    evidence = pd.concat(parts, ignore_index=True).assign(attack=named.attack)[list(COLUMNS)]
    write_parquet(Path(output[0]), evidence)
