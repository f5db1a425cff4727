"""Write the closed world's tests as tasks of the benchmark harness, and check that it knows what the study asks.

Tasks from the hub are loaded, so their data are on this machine before a job without network asks for them.
"""

from pathlib import Path

from belljar.files import atomic_path
from belljar.job import job
from belljar.naturalness.benchmarks import check_capability, check_tasks, tasks
from belljar.study.naturalness import Benchmark
from belljar.world.knowledge import load_world
from belljar.world.tasks import write_tasks

output = Path(snakemake.output[0])
with job(snakemake, output.parent, "benchmarks"):
    asked = [Benchmark(**settings) for settings in snakemake.params.benchmarks]
    with atomic_path(output) as scratch:
        scratch.mkdir()
        write_tasks(load_world(), scratch, scratch)
        manager = tasks(scratch, asked)
        check_tasks(manager, asked)
        check_capability(manager, [Benchmark(**settings) for settings in snakemake.params.capability])
        write_tasks(load_world(), scratch, output)
