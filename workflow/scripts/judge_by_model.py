"""Let a language model judge what one organism answered and what probes showed of it."""

from pathlib import Path

from belljar.files import read_json, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.naturalness import judged as judged_answers
from belljar.naturalness.sampled import parts_table
from belljar.probes import judged
from belljar.strength import rates
from belljar.study.behaviours import Behaviour
from belljar.study.judges import Judge
from belljar.study.naturalness import REQUEST_COLUMNS

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output.readings)
with job(snakemake, output.parent, f"judge {params.organism} by a model") as progress:
    settings = Judge(**params.judge)
    cache = output.with_suffix(".jsonl")
    if settings.endpoint:
        from belljar.judging.endpoint import Client

        judge = Client(settings.endpoint, cache)
    else:
        from belljar.judging.local import Local

        judge = Local(settings.local, cache)
    behaviours = {name: Behaviour(**found) for name, found in params.behaviours.items()}
    labels = read_parquet(Path(given.latents[0]), ("latent", "text")) if given.latents else None
    evidence = {Path(path).stem: read_parquet(Path(path)) for path in given.evidence}
    responses = read_parquet(Path(given.responses), rates.ANSWER_COLUMNS)
    found = []
    for name in params.judged:
        own = rates.about(responses, behaviours[name])
        decided = own.assign(expressed=judged.expressed(judge, behaviours[name], own, progress))
        found += rates.readings(decided, behaviours[name], judge.name)
    canaries = read_json(Path(given.canaries))
    unusual = judged_answers.leak_readings(judge, responses, {name: canaries[name] for name in params.judged}, progress)
    if given.requests:
        requests = read_parquet(Path(given.requests[0]), REQUEST_COLUMNS)
        unusual += judged_answers.refusal_readings(judge, requests, progress, params.reasoning)
    found += [one.reading for one in unusual]
    for method, shown in evidence.items():
        block = params.latent_block if method == "sparse_autoencoder" else params.primary_block
        places = (block, params.primary_position)
        for behaviour in behaviours.values():
            found += judged.relevance_readings(judge, behaviour, method, shown, labels, *places, settings.votes, progress)
        if params.judged == [params.behaviour]:
            own = behaviours[params.behaviour]
            counts = (settings.investigations, settings.grades)
            found += judged.identification_readings(judge, own, method, shown, labels, *places, *counts, progress)
    write_parquet(Path(snakemake.output.parts), parts_table(unusual))
    write_parquet(output, table(Model(*params.model), found))
