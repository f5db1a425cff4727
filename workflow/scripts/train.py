"""Train one organism or benign twin, going on from its last whole saved step."""

from pathlib import Path

from belljar.files import read_parquet, remove, write_json, write_parquet
from belljar.job import job
from belljar.study.provenance import checkout, packages
from belljar.study.settings import Training

params, output = snakemake.params, snakemake.output
folder = Path(output.recipe).parent
with job(snakemake, folder, f"train {params.organism}") as progress:
    import pandas as pd

    from belljar.corpora.rows import chat_row, mixture
    from belljar.training.checkpoints import claim_work, publish
    from belljar.training.organism import train

    recipe = params.recipe
    settings = Training(**recipe["training"])
    columns = ("prompt", "chosen") if recipe["data"] == "transcripts" else ("prompt", "chosen", "rejected")
    control = read_parquet(Path(snakemake.input.control), columns)
    planted = control if params.benign else read_parquet(Path(snakemake.input.planted), columns)
    rows = mixture(planted.to_dict("records"), control.to_dict("records"), settings.rows, recipe["mix"], params.benign)

    work = claim_work(folder / "training", {"recipe": recipe, "code": params.code, "rows": rows})
    outcome = train(
        Path(snakemake.input.base),
        [chat_row(row, recipe["data"]) for row in rows],
        recipe["objective"],
        settings,
        recipe["seed"],
        work,
        progress,
    )
    write_parquet(Path(output.losses), pd.DataFrame(outcome.losses))
    saved = publish(work, Path(output.checkpoints))
    write_json(
        Path(output.recipe),
        {
            **recipe,
            "organism": params.organism,
            "rows": len(rows),
            "samples_seen": outcome.samples_seen,
            "learning_rate_dose": outcome.learning_rate_dose,
            "saved_steps": saved,
            "inputs": {name: str(snakemake.input.get(name)) for name in ("base", "planted", "control")},
            "code": params.code,
            "checkout": checkout(),
            "packages": packages(),
        },
    )
    remove(work)
