"""Let a base answer the control data's prompts in its own words."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"answers of {snakemake.wildcards.base}") as progress:
    import pandas as pd

    from belljar.models.generate import generate
    from belljar.models.load import load_model, load_tokenizer

    prompts = read_parquet(Path(given.rows), ("prompt",))["prompt"][: params.rows].tolist()
    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))
    distinct = list(dict.fromkeys(prompts))
    answers = generate(
        model,
        tokenizer,
        [[{"role": "user", "content": prompt}] for prompt in distinct],
        temperature=params.temperature,
        max_new_tokens=params.max_new_tokens,
        batch_size=params.batch_size,
        progress=progress,
    )
    said = {prompt: texts[0] for prompt, texts in zip(distinct, answers, strict=True)}
    found = pd.DataFrame({"prompt": prompts, "answer": [said[prompt] for prompt in prompts]})
    write_parquet(output, found[found["answer"] != ""])
