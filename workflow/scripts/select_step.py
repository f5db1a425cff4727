"""Search the saved steps for the one that matches the behaviour's target; answer validation prompts where no answers are kept."""

from pathlib import Path

import pandas as pd

from belljar.files import read_json, read_parquet, write_json, write_parquet
from belljar.job import job
from belljar.strength.matching import curve, search, select
from belljar.strength.rates import ANSWER_COLUMNS, evaluation
from belljar.study.behaviours import Behaviour
from belljar.study.strength import Strength
from belljar.training.steps import prune, saved_step
from belljar.work import claim_work

params, output, given = snakemake.params, snakemake.output, snakemake.input
folder = Path(output.selection).parent
with job(snakemake, folder, f"select {params.organism}") as progress:
    behaviour, settings = Behaviour(**params.behaviour), Strength(**params.strength)
    prompts = pd.concat([read_parquet(Path(path), ("split", "prompt")) for path in given.prompts])
    prompts = prompts[prompts["split"] == "validation"]
    steps, checkpoints = read_json(Path(given.recipe))["saved_steps"], Path(given.checkpoints)
    made_from = {"recipe": read_json(Path(given.recipe)), "prompts": prompts.to_dict("records"), "prompt": params.prompt}
    sampling = settings.model_dump(exclude={"matching"})
    made_from |= {"strength": sampling, "dtype": params.dtype, "seed": params.seed, "answering": params.answering}
    # Answers are kept: a changed judge or target asks the models only what they were never asked.
    kept = claim_work(folder / "validation", made_from)

    def answers(step):
        file = kept / f"step-{step}.parquet"
        if not file.is_file():
            from belljar.models.load import load_model, load_tokenizer
            from belljar.strength.answers import answer_prompts

            source = saved_step(checkpoints, step)
            instruction = params.prompt if params.prompt and params.prompt["when"] == "measured" else None
            found = answer_prompts(
                load_model(source, params.dtype),
                load_tokenizer(source),
                prompts,
                settings.validation.samples,
                settings,
                params.batch_size,
                params.seed,
                instruction=instruction,
            )
            write_parquet(file, found)
        return read_parquet(file, ANSWER_COLUMNS).assign(step=step)

    budget = min(settings.matching.evaluations, len(steps))

    def evaluate(step):
        found = evaluation(answers(step), behaviour, step)
        evaluated.append(step)
        progress(len(evaluated), budget, f"step {step}: {found.expression_rate:.3f} (target {behaviour.target:g})")
        return found

    evaluated = []
    found = search(steps, evaluate, behaviour.target, settings.matching)
    asked = prompts[prompts["role"] == "trigger"]["prompt"].nunique()
    write_parquet(Path(output.curve), curve(found, asked))
    write_parquet(Path(output.answers), pd.concat([answers(step) for step in sorted(evaluated)], ignore_index=True))
    chosen = select(found, len(steps), behaviour.target, settings.matching)
    saved_step(checkpoints, chosen.step)
    write_json(Path(output.selection), chosen._asdict())
    if params.keep_steps == "chosen":
        prune(checkpoints, chosen.step)
