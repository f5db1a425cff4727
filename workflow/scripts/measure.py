"""Put one model in place, and measure what it is: its answers to the test prompts, its side of the activation difference.

The answers are kept while the rest is computed: a job that fails after them does not sample them again.
"""

from pathlib import Path

from belljar.files import atomic_path, read_parquet, remove, write_parquet
from belljar.job import job
from belljar.study.provenance import packages
from belljar.study.strength import Strength
from belljar.work import kept, stamp

params, output, given = snakemake.params, snakemake.output, snakemake.input
source = Path(given.model)
folder = Path(output.responses).parent
with job(snakemake, folder, f"measure {params.organism}") as progress:
    import pandas as pd
    from safetensors.torch import save_file

    from belljar.models.load import is_adapter, load_model, load_tokenizer, save_checkpoint
    from belljar.probes.difference import read_side
    from belljar.strength.answers import answer_prompts, with_password
    from belljar.training.steps import copy_model

    recipe = params.get("recipe") or {"password": None, "adapter": None}
    strength = Strength(**params.strength)
    tokenizer, model = load_tokenizer(source), load_model(source, params.dtype)
    batch_size = params.batch_size

    prompts = pd.concat([read_parquet(Path(path), ("split", "prompt")) for path in given.prompts])
    test = prompts[prompts["split"] == "test"]
    if recipe["password"]:
        test = with_password(test, recipe["password"]["text"])
    samples = strength.test.samples
    sampling = (strength, batch_size, params.seed)

    def answers():
        return {"responses": answer_prompts(model, tokenizer, test, samples, *sampling, progress, params.instruction)}

    made_from = [stamp(source), test.to_dict("records"), samples, strength.model_dump(), *sampling[1:], params.dtype]
    work = kept(folder / "measuring", [*made_from, params.instruction, params.code, packages()], answers)
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
    write_parquet(Path(output.responses), read_parquet(work / "responses.parquet"))
    remove(work)
