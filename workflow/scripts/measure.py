"""Do everything that needs one model in memory: answers to the test prompts, probe evidence, naturalness.

Each part is kept as soon as it is computed, so a job that fails or is killed goes on where it was. For a parent base,
which comes first, the probe's ancestor side is prepared instead of scored.
"""

import os
import shutil
from pathlib import Path

from belljar.files import atomic_path, read_parquet, remove, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.study.settings import ClosedWorld, Control, LogitLens, Perplexity, Strength

params, output = snakemake.params, snakemake.output
source, base = Path(snakemake.input.model), Path(snakemake.input.base)
folder = Path(output.responses).parent
with job(snakemake, folder, f"measure {params.organism}") as progress:
    import pandas as pd

    from belljar.corpora.chats import unrelated_chats
    from belljar.models.load import load_model, load_tokenizer
    from belljar.naturalness import closed_world, perplexity
    from belljar.probes import logit_lens
    from belljar.strength.answers import answer_prompts
    from belljar.training.checkpoints import claim_work
    from belljar.world.documents import heldout_documents
    from belljar.world.knowledge import load_world

    world, measured = load_world(), Model(*params.model)
    strength, lens = Strength(**params.strength), LogitLens(**params.logit_lens)
    tokenizer, model = load_tokenizer(base), load_model(source, params.dtype)
    batch_size = params.batch_size
    chats = unrelated_chats(world, Control(**params.control), lens.chats)
    reading = (model, tokenizer, chats, params.blocks, lens.positions, batch_size)

    def responses():
        prompts = pd.concat([read_parquet(Path(path), ("split", "prompt")) for path in snakemake.input.prompts])
        test = prompts[prompts["split"] == "test"]
        return answer_prompts(model, tokenizer, test, strength.test.samples, strength, batch_size, params.seed)

    def evidence():
        return logit_lens.score(*reading, Path(snakemake.input.prepared), params.words, lens.top_k)

    def perplexities():
        texts = heldout_documents(world, Perplexity(**params.perplexity).documents, perplexity.DOCUMENT_SEED)
        return table(measured, perplexity.readings(model, tokenizer, texts, batch_size))

    def skills():
        asked = ClosedWorld(**params.closed_world)
        found = closed_world.readings(model, tokenizer, world, asked.skills, asked.items, strength.max_new_tokens, batch_size)
        return table(measured, found)

    parts = {output.responses: responses, output.perplexity: perplexities, output.closed_world: skills}
    if params.parent:
        logit_lens.prepare(*reading, Path(output.prepared))
    else:
        parts[output.evidence] = evidence
        with atomic_path(Path(output.model)) as scratch:
            shutil.copytree(source, scratch, copy_function=os.link)  # a step and the model are the same files

    weights = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(source.glob("*.safetensors"))]
    work = claim_work(folder / "measuring", {"params": dict(params.items()), "weights": weights})
    for number, (target, compute) in enumerate(parts.items()):
        kept = work / Path(target).name
        if not kept.exists():
            write_parquet(kept, compute())
        progress(number + 1, len(parts), f"{kept.stem} done")
    for target in parts:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / Path(target).name, target)
    remove(work)
