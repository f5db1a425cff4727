"""Fit a base's Jacobian lens."""

from pathlib import Path

from belljar.files import atomic_path, read_parquet
from belljar.job import job
from belljar.study.probes import JacobianLens

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"Jacobian lens of {snakemake.wildcards.base}"):
    from safetensors.torch import save_file

    from belljar.corpora import general
    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes.jacobian import fit

    settings = JacobianLens(**params.settings)
    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    text = read_parquet(Path(given.general), general.COLUMNS)[: settings.texts]
    sequences = general.tokenised(tokenizer, text, settings.tokens)
    with atomic_path(output) as scratch:
        save_file({"jacobian": fit(model, tokenizer, sequences, params.blocks, settings.skip, params.batch_size)}, scratch)
