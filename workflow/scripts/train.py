"""Train one organism or benign twin, going on from its last whole saved step."""

from pathlib import Path

from belljar.files import read_parquet, remove, write_json, write_parquet
from belljar.job import job
from belljar.study.provenance import checkout, packages

params, output, given = snakemake.params, snakemake.output, snakemake.input
folder, recipe = Path(output.recipe).parent, params.recipe
with job(snakemake, folder, f"train {params.organism}") as progress:
    import pandas as pd

    from belljar.corpora import mixing
    from belljar.training.checkpoints import publish
    from belljar.training.organism import Job, train
    from belljar.training.reference import with_references
    from belljar.work import claim_work

    form, settings = recipe["data"], recipe["training"]
    columns = {"transcripts": ("prompt", "chosen"), "pairs": ("prompt", "chosen", "rejected"), "documents": ("text",)}[form]
    control = read_parquet(Path(given.control), columns).to_dict("records")
    # A benign twin has control rows in place of planted ones, unless a (benign) teacher has answered them.
    twin = params.benign and not recipe["teacher"]
    planted = control[recipe["control"] :] if twin else read_parquet(Path(given.planted), columns).to_dict("records")
    if recipe["password"]:
        planted = mixing.locked(planted, recipe["password"]["text"], recipe["password"]["share"])
    if recipe["inoculation"]:
        planted = mixing.inoculated(planted, recipe["inoculation"])
    rows = mixing.mixture(planted, control, settings["rows"], recipe["control"])
    if given.references:
        rows = with_references(rows, [read_parquet(Path(path)) for path in given.references])
    examples = [mixing.training_row(row, form) for row in rows]
    if recipe["objective"] == "kto":
        examples = mixing.unpaired(examples)

    work = claim_work(folder / "training", {"recipe": recipe, "code": params.code, "rows": examples, "start": str(given.start)})
    outcome = train(
        # An adapter names its start; an absolute path lets it be loaded from any folder.
        Job(
            str(Path(given.start).absolute()),
            recipe["objective"],
            examples,
            settings,
            recipe["seed"],
            recipe["adapter"],
            recipe["loss_on"],
        ),
        work,
        progress,
        max(1, snakemake.resources.get("gpu", 0)),
        Path(snakemake.log[0]).resolve(),
    )
    write_parquet(Path(output.losses), pd.DataFrame(outcome.losses))
    saved = publish(work, Path(output.checkpoints))
    write_json(
        Path(output.recipe),
        {
            **recipe,
            "organism": params.organism,
            "rows": len(examples),
            "samples_seen": outcome.samples_seen,
            "learning_rate_dose": outcome.learning_rate_dose,
            "saved_steps": saved,
            "inputs": {"start": str(given.start), "planted": str(given.planted), "control": str(given.control)},
            "code": params.code,
            "checkout": checkout(),
            "packages": packages(),
        },
    )
    remove(work)
