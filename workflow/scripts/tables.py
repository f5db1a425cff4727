"""Put every measurement of the study into one table, with its floors and one row an organism."""

from pathlib import Path

from belljar.analysis.floors import floors
from belljar.analysis.probes import probes_table
from belljar.analysis.scores import collect, organisms_table
from belljar.analysis.techniques import techniques_table
from belljar.files import atomic_path, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import COLUMNS

output = snakemake.output
with job(snakemake, Path(output.scores).parent, "tables"):
    scores = collect(read_parquet(Path(path), COLUMNS) for path in snakemake.input)
    primary, controls = snakemake.params.primary, snakemake.params.controls
    bounds = floors(scores, controls)
    organisms = organisms_table(scores, bounds, primary)
    methods = list(next(iter(primary.values())))
    write_parquet(Path(output.scores), scores)
    write_parquet(Path(output.floors), bounds)
    write_parquet(Path(output.organisms), organisms)
    techniques, probes = techniques_table(organisms, methods), probes_table(scores, primary, controls)
    write_parquet(Path(output.techniques), techniques)
    write_parquet(Path(output.probes), probes)
    written = ((output.organisms_csv, organisms), (output.techniques_csv, techniques), (output.probes_csv, probes))
    for target, rows in written:
        with atomic_path(Path(target)) as scratch:
            rows.to_csv(scratch, index=False)
