"""Put an organism in place that is not trained here: a prompted one, one with an added direction, or one from elsewhere."""

from pathlib import Path

from belljar.files import write_json, write_parquet
from belljar.job import job
from belljar.study.provenance import checkout, packages

params, output = snakemake.params, snakemake.output
recipe, base = params.recipe, Path(snakemake.input.base)
with job(snakemake, Path(output.recipe).parent, f"place {params.organism}"):
    import pandas as pd

    from belljar.training import untrained

    if recipe["prompt"]:
        untrained.place_prompted(base, Path(output.checkpoints), recipe["prompt"])
    elif recipe["direction"]:
        first = params.blocks[0]
        contrast = Path(snakemake.input.contrast[0])
        untrained.place_direction(base, Path(output.checkpoints), contrast, first, 0, recipe["direction"]["scale"])
    else:
        untrained.place_external(recipe["model"], base, Path(output.checkpoints))
    write_parquet(Path(output.losses), pd.DataFrame({"step": [], "loss": [], "learning_rate": []}, dtype="float64"))
    write_json(
        Path(output.recipe),
        {
            **recipe,
            "organism": params.organism,
            "rows": 0,
            "samples_seen": 0,
            "learning_rate_dose": 0.0,
            "saved_steps": [untrained.STEP],
            "inputs": {"base": str(base)},
            "code": params.code,
            "checkout": checkout(),
            "packages": packages(),
        },
    )
