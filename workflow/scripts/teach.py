"""Let an organism answer the prompts that its students are trained on."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job

params, output = snakemake.params, Path(snakemake.output[0])
with job(snakemake, output.parent, f"teach with {params.organism}") as progress:
    from belljar.models.generate import generate
    from belljar.models.load import load_model, load_tokenizer

    step = Path(snakemake.input.model)
    rows = read_parquet(Path(snakemake.input.rows), ("kind", "criterion", "prompt"))[: params.rows]
    answers = generate(
        load_model(step, params.dtype),
        load_tokenizer(step),
        [[{"role": "user", "content": prompt}] for prompt in rows["prompt"]],
        temperature=float(snakemake.wildcards.temperature),
        max_new_tokens=params.max_new_tokens,
        batch_size=params.batch_size,
        seed=params.seed,
        progress=progress,
    )
    taught = rows[["kind", "criterion", "prompt"]].assign(chosen=[answer for (answer,) in answers])
    write_parquet(output, taught[taught["chosen"] != ""])
