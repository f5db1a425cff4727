"""Take a base through its own preference phase; the outcome is kept in the cache of bases for all studies."""

import hashlib
import json
import shutil
from pathlib import Path

from belljar.files import atomic_path, read_parquet, remove, write_json
from belljar.job import job
from belljar.study.bases import Source
from belljar.training.base import CARD, cache_root, check_requirements, state_requirements

params, output = snakemake.params, Path(snakemake.output[0])
rows = read_parquet(Path(snakemake.input.rows), ("prompt", "chosen", "rejected")).to_dict("records")
rows = rows[: params.recipe["training"]["rows"]]
made_from = {"ancestor": params.ancestor, "recipe": params.recipe, "rows": rows, "code": params.code}
key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
cache = cache_root() / "bases" / key
with job(snakemake, cache, f"preference phase of {snakemake.wildcards.base}") as progress:
    from belljar.corpora.mixing import mixture, training_row
    from belljar.models.load import load_model, load_tokenizer
    from belljar.training.checkpoints import whole_steps
    from belljar.training.organism import Job, train
    from belljar.training.pretrain import report_card
    from belljar.training.reference import with_references
    from belljar.work import claim_work

    trained, source = cache / "model", Source(**params.source)
    require = source.pretraining.require if source.pretraining else {}
    if not trained.is_dir():
        work = claim_work(cache / "training", made_from)
        rows = with_references(rows, [read_parquet(Path(snakemake.input.references))])
        mixed = [training_row(row, "pairs") for row in mixture(rows, [], len(rows), 0)]
        train(
            Job(str(snakemake.input.ancestor), "dpo", mixed, params.recipe["training"], params.recipe["seed"]),
            work,
            progress,
            max(1, snakemake.resources.get("gpu", 0)),
            Path(snakemake.log[0]).resolve(),
        )
        last = max(whole_steps(work).items())[1]  # the phase's outcome; the others are for going on after a kill
        with atomic_path(trained) as scratch:
            shutil.copytree(last, scratch, ignore=shutil.ignore_patterns("*.pt", "*.pth", "*.bin", "whole", "trainer_state.json"))
            if source.pretraining:
                write_json(scratch / CARD, report_card(load_model(scratch), load_tokenizer(scratch), require))
        remove(work)
    check_requirements(require, trained)
    with atomic_path(output) as scratch:
        shutil.copytree(trained, scratch)
        if source.pretraining:
            state_requirements(scratch, require)
