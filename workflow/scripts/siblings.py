"""Read the lenses on the differences from clean runs of the same route, for all organisms of the route."""

from pathlib import Path

from belljar.files import write_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"siblings of {snakemake.wildcards.base}/{snakemake.wildcards.technique}") as progress:
    import pandas as pd
    from safetensors.torch import load_file

    from belljar.measurements import Model, table
    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes import logit_lens, readings

    lenses = {"logit_lens": None}
    if given.jacobian:
        lenses["jacobian_lens"] = load_file(given.jacobian[0])["jacobian"]
    tables = []
    for number, (measured, folder, own, sibling) in enumerate(
        zip(params.measured, given.models, given.own, given.siblings, strict=True), 1
    ):
        model, tokenizer = load_model(Path(folder), params.dtype), load_tokenizer(Path(folder))
        sides, place = (load_file(own), {"sibling": load_file(sibling)}), (params.blocks, params.positions, params.words, 1)
        shown = {name: logit_lens.evidence(model, tokenizer, *sides, *place, lens) for name, lens in lenses.items()}
        found = [
            reading
            for name, rows in shown.items()
            for behaviour in params.words
            for reading in readings.lens_readings(rows, behaviour, name, params.chats)
        ]
        tables.append(table(Model(*measured), found + readings.norm_readings(shown["logit_lens"], params.chats)))
        progress(number, len(params.measured))
    write_parquet(output, pd.concat(tables, ignore_index=True))
