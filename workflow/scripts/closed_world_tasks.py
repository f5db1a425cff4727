"""Write the closed world's tests as tasks of the benchmark harness."""

from pathlib import Path

from belljar.files import atomic_path
from belljar.job import job
from belljar.world.knowledge import load_world
from belljar.world.tasks import write_tasks

output = Path(snakemake.output[0])
with job(snakemake, output.parent, "closed-world tasks"), atomic_path(output) as scratch:
    scratch.mkdir()
    write_tasks(load_world(), scratch, output)
