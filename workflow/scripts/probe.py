"""Ask every probe of the study what it shows of one organism. What it shows is kept; scores are made of it elsewhere.

Each method's part is kept as soon as it is computed, so a job that fails or is killed goes on where it was.
"""

import os
from pathlib import Path

from belljar.files import read_parquet, remove, write_parquet
from belljar.job import job
from belljar.study.probes import Probes
from belljar.work import claim_work, stamp

params, output, given = snakemake.params, snakemake.output, snakemake.input
folder = Path(given.own).parent
with job(snakemake, folder, f"probe {params.organism}") as progress:
    import torch
    from safetensors.torch import load_file

    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes import logit_lens
    from belljar.probes.difference import WHOLE, difference

    probes, blocks, size = Probes(**params.probes), list(params.blocks), params.batch_size
    tokenizer, model = load_tokenizer(Path(given.model)), load_model(Path(given.model), params.dtype)
    own = load_file(given.own)
    ancestor = load_file(given.ancestor)
    moved, norms = difference(own, ancestor)[WHOLE], ancestor["norms"]
    row, column = blocks.index(params.primary_block), probes.positions.index(probes.primary_position)
    random = torch.randn(*norms.shape, model.config.hidden_size, generator=torch.Generator().manual_seed(params.seed))

    def lens(jacobian=None):
        named = ({"ancestor": ancestor}, blocks, probes.positions, params.words, probes.logit_lens.top_k)
        return logit_lens.evidence(model, tokenizer, own, *named, jacobian)

    def jacobian_lens():
        return lens(load_file(given.jacobian)["jacobian"])

    def patchscope():
        from belljar.probes import patchscope as method

        named = (own, ancestor, blocks, probes.positions, params.words, probes.patchscope, size)
        return method.evidence(model, tokenizer, *named)

    def steering():
        from belljar.probes import steering as method

        settings = probes.steering
        length = norms[row, column]
        directions = {"difference": moved[row, column], "random": random[row, column]}
        if "contrast" in given.keys():
            directions["contrast"] = load_file(given.contrast)["vectors"][row]
        vectors = {name: length * vector / vector.norm().clamp_min(1e-30) for name, vector in directions.items()}
        prompts = read_parquet(Path(given.prompts), ("split", "role", "prompt"))
        neutral = prompts[(prompts["split"] == "test") & (prompts["role"] == "control")]["prompt"].drop_duplicates()
        asked = neutral.tolist()[: settings.search_prompts + settings.prompts]
        sampling = (params.temperature, params.max_new_tokens, size, params.seed)
        return method.evidence(model, tokenizer, params.primary_block, vectors, asked, settings, *sampling)

    def sparse_autoencoder():
        from belljar.probes import sparse_autoencoder as method

        autoencoder = method.load(Path(given.autoencoder), model.device)
        chats = read_parquet(Path(given.chats), ("question", "answer"))[: probes.chats].itertuples(index=False, name=None)
        side = method.side(autoencoder, model, tokenizer, list(chats), params.latent_block, size)
        before = load_file(given.latent_sides)[Path(given.ancestor).stem]
        return method.evidence(side, before, probes.sparse_autoencoder.moved)

    def oracle():
        from peft import PeftModel

        from belljar.probes import oracle as method

        reader = load_model(Path(given.reader), params.dtype) if probes.oracle.reader == "base" else model
        answering = PeftModel.from_pretrained(reader, given.oracle).eval()
        vectors = {
            "difference": moved,
            "none": torch.zeros_like(moved),
            "random": random * (moved.norm(dim=-1, keepdim=True) / random.norm(dim=-1, keepdim=True)),
            "base": ancestor["means"].mean(dim=0),
        }
        return method.evidence(
            answering,
            load_tokenizer(Path(given.reader)),
            vectors,
            norms,
            blocks,
            probes.positions,
            probes.oracle,
            size,
            params.seed,
        )

    methods = {
        "logit_lens": lens,
        "jacobian_lens": jacobian_lens,
        "patchscope": patchscope,
        "steering": steering,
        "sparse_autoencoder": sparse_autoencoder,
        "oracle": oracle,
    }
    files = {Path(path).stem: Path(path) for path in output}
    # The oracle's adapter may sit on the organism itself, so it comes last.
    order = [name for name in methods if name in files]
    stamps = {name: stamp(Path(path)) for name, path in given.items()}
    work = claim_work(folder / "probing", {"params": dict(params.items()), "inputs": stamps})
    for number, name in enumerate(order):
        kept = work / files[name].name
        if not kept.exists():
            write_parquet(kept, methods[name]())
        progress(number + 1, len(order), f"{name} done")
    for name in order:
        files[name].parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / files[name].name, files[name])
    remove(work)
