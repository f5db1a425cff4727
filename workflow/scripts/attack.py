"""Attack one organism by training that knows nothing of its behaviour, and ask it on the way what is left.

Each training of the grid is kept under what it is made from. So a job that fails or is killed goes on where it was, and a study
that adds a learning rate trains at that one alone.
"""

from pathlib import Path

from belljar.files import folder_lock, read_parquet, remove, write_parquet
from belljar.job import job
from belljar.study.provenance import packages
from belljar.study.robustness import BEFORE, Robustness
from belljar.work import kept, stamp

params, output, given, named = snakemake.params, snakemake.output, snakemake.input, snakemake.wildcards
folder = Path(output[0]).parent
with job(snakemake, folder, f"attack {params.organism} by {named.attack}", lock=named.attack) as progress:
    import pandas as pd

    from belljar.corpora.mixing import training_row
    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import benchmarks
    from belljar.robustness import attacks, measures
    from belljar.robustness.evidence import COLUMNS, alike

    settings = Robustness(**params.settings)
    prompts = read_parquet(Path(given.prompts), ("split", "role", "prompt", "criterion"))
    asked = measures.questions(prompts, settings, params.temperature, params.max_new_tokens)
    rows, *others = (read_parquet(Path(path), ("prompt", "chosen", "system")).to_dict("records") for path in given.rows)
    tasks = Path(given.tasks[0]) if given.tasks else None
    batch = settings.benchmark_batch or params.batch_size
    benchmark = benchmarks.asker(tasks, settings.benchmarks, batch, params.reasoning)

    def measure(model, tokenizer):
        return measures.measure(model, tokenizer, asked, params.batch_size, params.instruction, benchmark)

    start = Path(given.model).absolute()
    measured_by = {
        "questions": asked._asdict()
        | {
            "items": [vars(item) for item in asked.items],
            "benchmarks": [one.model_dump(exclude={"name"}) for one in asked.benchmarks],
        },
        "tasks": [path.read_text("utf-8") for path in sorted(tasks.glob("closed_world_*"))] if tasks else [],
        "how": [params.batch_size, batch, params.instruction, params.reasoning, params.harness],
        "model": stamp(start),
        "code": [params.code, packages()],
    }
    trained_by = settings.model_dump(include={"steps", "batch_size", "gradient_accumulation", "max_length", "bf16", "seed"})
    trained_by |= {"rows": rows, "reversal": others}

    def organism():
        return {"evidence": measure(load_model(start), load_tokenizer(start)).assign(step=BEFORE, reversed=False)}

    with folder_lock(folder, ".before-attacks.lock"):  # all attacks share it
        before = read_parquet(kept(folder / "before-attacks", measured_by, organism) / "evidence.parquet")
    parts = [before.assign(method="none", continued=False, learning_rate=0.0)]
    grid = attacks.grid(settings)
    attacking, *back = ([training_row(row, "transcripts") for row in some] for some in (rows, *others))
    reversal = back[0] if back else None
    for number, (name, rate) in enumerate(grid, 1):
        method, work = settings.methods[name], folder / "attacks" / named.attack / f"{name}-{rate:g}"

        def training(method=method, rate=rate, work=work):
            scratch = work / "trainer"
            found = attacks.run(str(start), attacking, reversal, method, rate, settings, measure, str(scratch))
            remove(scratch)
            return {"evidence": found}

        made_from = [measured_by, trained_by, rate, method.adapter.model_dump() if method.adapter else None]
        found = read_parquet(kept(work, made_from, training) / "evidence.parquet")
        parts.append(found.assign(method=name, learning_rate=rate))
        progress(number, len(grid), f"{name} at {rate:g}")
    alike(parts)
    evidence = pd.concat(parts, ignore_index=True).assign(attack=named.attack)[list(COLUMNS)]
    write_parquet(Path(output[0]), evidence)
