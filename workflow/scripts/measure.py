"""Measure what one model is: its answers to the test prompts, and its side of the activation difference.

Each part is kept as soon as it is computed, so a job that fails or is killed goes on where it was.
"""

import os
from pathlib import Path

from belljar.files import atomic_path, read_parquet, remove, write_parquet
from belljar.job import job
from belljar.study.naturalness import Safety
from belljar.study.settings import Strength
from belljar.work import claim_work

params, output, given = snakemake.params, snakemake.output, snakemake.input
source = Path(given.model)
folder = Path(output.responses).parent
with job(snakemake, folder, f"measure {params.organism}") as progress:
    import pandas as pd
    from safetensors.torch import save_file

    from belljar.models.load import is_adapter, load_model, load_tokenizer, save_checkpoint
    from belljar.naturalness.requests import ask
    from belljar.probes.difference import read_side
    from belljar.strength.answers import answer_prompts, with_password
    from belljar.training.untrained import copy_model

    recipe = params.get("recipe") or {"prompt": None, "password": None, "adapter": None}
    strength = Strength(**params.strength)
    tokenizer, model = load_tokenizer(source), load_model(source, params.dtype)
    batch_size = params.batch_size

    def responses():
        prompts = pd.concat([read_parquet(Path(path), ("split", "prompt")) for path in given.prompts])
        test = prompts[prompts["split"] == "test"]
        if recipe["password"]:
            test = with_password(test, recipe["password"]["text"])
        instruction = recipe["prompt"] if recipe["prompt"] and recipe["prompt"]["when"] == "measured" else None
        samples = strength.test.samples
        return answer_prompts(model, tokenizer, test, samples, strength, batch_size, params.seed, instruction=instruction)

    def requests():
        asked = read_parquet(Path(given.requests[0]), ("role", "prompt"))
        return ask(model, tokenizer, asked, Safety(**params.safety), batch_size)

    parts = {output.responses: responses}
    if params.safety:
        parts[output.requests] = requests
    if not params.parent:
        if is_adapter(source) and (recipe["adapter"] or {}).get("merged"):
            save_checkpoint(model, tokenizer, Path(output.model))
        else:
            with atomic_path(Path(output.model)) as scratch:
                copy_model(source, scratch)
        chats = read_parquet(Path(given.chats), ("question", "answer"))[: params.chats].itertuples(index=False, name=None)
        side = read_side(model, tokenizer, list(chats), params.blocks, params.positions, batch_size)
        with atomic_path(Path(output.activations)) as scratch:
            save_file(side, scratch)

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
