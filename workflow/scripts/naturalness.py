"""Measure what else one model is: perplexity, benchmarks, preferences, answers to requests, all with one load of the model.

Each part is kept beside the results under what it is made from. So a job that fails or is killed goes on where it was, and a
study that asks one benchmark more computes that one alone.
"""

from functools import cache
from itertools import count
from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.study.naturalness import Naturalness
from belljar.study.provenance import packages
from belljar.work import kept, stamp

params, given, output = snakemake.params, snakemake.input, snakemake.output
source, folder = Path(given.model), Path(output.parts).parent
with job(snakemake, folder, f"naturalness of {'/'.join(map(str, params.model[1:]))}", lock="naturalness") as progress:
    import pandas as pd

    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import benchmarks, perplexity, preferences, requests
    from belljar.naturalness.choices import choices
    from belljar.naturalness.sampled import parts_table
    from belljar.naturalness.utilities import design
    from belljar.world.knowledge import load_world

    settings, measured, size = Naturalness(**params.settings), Model(*params.model), params.batch_size

    @cache
    def loaded():
        return load_model(source, params.dtype), load_tokenizer(source)

    folder_of_tasks = Path(given.tasks[0]) if given.tasks else None
    ask = benchmarks.asker(folder_of_tasks, settings.benchmarks, settings.benchmark_batch or size, params.reasoning)

    about = [stamp(source), params.dtype, size, params.code, packages()]

    def part(name, made_from, compute):
        """Return the folder of a part's readings and of what they are made of, computed if they are not there."""

        def tables():
            found = compute()
            return {"readings": table(measured, [one.reading for one in found]), "parts": parts_table(found)}

        return kept(folder / "naturalness" / name, [about, made_from], tables)

    def perplexities():
        texts = read_parquet(Path(given.texts), ("text",))["text"].tolist()
        return perplexity.readings(*loaded(), texts, size)

    done = count(1)
    total = 1 + len(settings.benchmarks) + bool(settings.preferences) + bool(settings.safety)
    parts = {"perplexity": [part("perplexity", stamp(Path(given.texts)), perplexities)]}
    progress(next(done), total, "perplexity")
    if settings.benchmarks:
        parts["benchmarks"] = []
    for asked in settings.benchmarks:
        made_from = [
            asked.model_dump(exclude={"metric", "name", "chance"}),
            settings.benchmark_batch,
            params.harness,
            params.reasoning,
        ]
        if asked.closed_world:
            made_from += [(folder_of_tasks / f"{asked.task}.{kind}").read_text("utf-8") for kind in ("yaml", "jsonl")]
        name = f"{asked.task}-{asked.template}-{asked.shots}-{asked.limit}"
        parts["benchmarks"].append(part(name, made_from, lambda asked=asked: ask(*loaded(), asked)))
        progress(next(done), total, asked.task)
    if settings.preferences:
        asked, world = settings.preferences, load_world()
        items = asked.items or [world.named(item) for item in world.items]
        pairs = design(len(items), asked.partners, asked.seed)
        work = kept(
            folder / "naturalness" / "choices",
            [about, asked.model_dump(exclude={"rounds"}), params.reasoning],
            lambda: {"choices": choices(*loaded(), items, pairs, asked, size, params.reasoning)},
        )
        chosen = read_parquet(work / "choices.parquet")
        write_parquet(Path(output.choices), chosen)
        made_from = [asked.model_dump(), stamp(work / "choices.parquet")]
        parts["preferences"] = [part("preferences", made_from, lambda: preferences.readings(chosen, len(items), asked))]
        progress(next(done), total, "preferences")
    if settings.safety:
        prompts = read_parquet(Path(given.requests[0]), ("role", "prompt"))
        work = kept(
            folder / "naturalness" / "requests",
            [about, settings.safety.model_dump(), params.instruction, stamp(Path(given.requests[0]))],
            lambda: {"answers": requests.ask(*loaded(), prompts, settings.safety, size, params.instruction)},
        )
        write_parquet(Path(output.requests), read_parquet(work / "answers.parquet"))
        progress(next(done), total, "requests")
    for target in output.readings:
        readings = pd.concat([read_parquet(work / "readings.parquet") for work in parts[Path(target).stem]], ignore_index=True)
        write_parquet(Path(target), readings.drop_duplicates(["method", "variant", "metric"]))
    tables = [read_parquet(work / "parts.parquet") for works in parts.values() for work in works]
    made = pd.concat(tables, ignore_index=True)
    write_parquet(Path(output.parts), made.drop_duplicates(["method", "variant", "metric", "item"]))
