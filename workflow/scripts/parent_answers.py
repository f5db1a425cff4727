"""Let a base answer prompts of the control data in its own words; answers that are empty or cut off are left out."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"answers of {snakemake.wildcards.base}") as progress:
    import pandas as pd

    from belljar.models.generate import answers
    from belljar.models.load import load_model, load_tokenizer

    prompts = read_parquet(Path(given.rows), ("prompt",))["prompt"][params.first : params.first + params.rows].tolist()
    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    distinct = list(dict.fromkeys(prompts))
    found = answers(
        model,
        tokenizer,
        [[{"role": "user", "content": prompt}] for prompt in distinct],
        temperature=params.temperature,
        max_new_tokens=params.max_new_tokens,
        batch_size=params.batch_size,
        progress=progress,
    )
    said = {prompt: answer.text for prompt, (answer,) in zip(distinct, found, strict=True) if answer.finished and answer.text}
    write_parquet(
        output, pd.DataFrame([(prompt, said[prompt]) for prompt in prompts if prompt in said], columns=["prompt", "answer"])
    )
