"""Answer the validation prompts with every saved step of one organism."""

from pathlib import Path

from belljar.files import read_parquet, write_parquet
from belljar.job import job
from belljar.study.settings import Strength

params = snakemake.params
output = Path(snakemake.output[0])
with job(snakemake, output.parent, f"validate {params.organism}") as progress:
    import pandas as pd

    from belljar.models.load import load_model, load_tokenizer
    from belljar.strength.answers import answer_prompts
    from belljar.training.checkpoints import published_steps

    settings = Strength(**params.strength)
    prompts = pd.concat([read_parquet(Path(path), ("split", "prompt")) for path in snakemake.input.prompts])
    prompts = prompts[prompts["split"] == "validation"]
    tokenizer = load_tokenizer(Path(snakemake.input.base))
    steps = published_steps(Path(snakemake.input.checkpoints))
    answers = []
    for number, (step, folder) in enumerate(steps.items()):
        model = load_model(folder, params.dtype)
        found = answer_prompts(model, tokenizer, prompts, settings.validation.samples, settings, params.batch_size, params.seed)
        answers.append(found.assign(step=step))
        progress(number + 1, len(steps), f"step {step} answered")
    write_parquet(output, pd.concat(answers, ignore_index=True))
