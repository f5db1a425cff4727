"""Give a benign twin the step of the longest-trained organism that it serves."""

from pathlib import Path

from belljar.files import read_json, write_json
from belljar.job import job
from belljar.strength.matching import twin_selection
from belljar.training.steps import prune, saved_step

output = Path(snakemake.output[0])
with job(snakemake, output.parent, f"select {snakemake.params.organism}"):
    chosen = [read_json(Path(path))["step"] for path in snakemake.input.selections]
    saved = read_json(Path(snakemake.input.recipe))["saved_steps"]
    selection = twin_selection(chosen, saved)
    checkpoints = output.parent / "checkpoints"
    saved_step(checkpoints, selection.step)
    write_json(output, selection._asdict())
    if snakemake.params.keep_steps == "chosen":
        prune(checkpoints, selection.step)
