"""Let a base answer prompts of the control data in its own words; answers that are empty or cut off are left out."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, f"answers of {snakemake.wildcards.base}") as progress:
    from belljar.models.generate import answers
    from belljar.models.load import load_model, load_tokenizer
    from belljar.robustness.items import capability_items
    from belljar.robustness.rows import parent_answers

    items = capability_items(params.skills, params.of_each)
    prompts = read_parquet(Path(given.rows), ("prompt",))["prompt"][params.first :].tolist()
    model, tokenizer = load_model(Path(given.model), params.dtype), load_tokenizer(Path(given.model))

    def ask(some):
        found = answers(
            model,
            tokenizer,
            [[{"role": "user", "content": prompt}] for prompt in some],
            temperature=params.temperature,
            max_new_tokens=params.max_new_tokens,
            batch_size=params.batch_size,
            progress=progress,
        )
        return [answer.text if answer.finished else None for (answer,) in found]

    write_parquet(output, parent_answers(ask, prompts, params.rows, items, params.words))
