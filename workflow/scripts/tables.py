"""Put every measurement of the study into one table, with its floors and one row an organism."""

from pathlib import Path

from belljar.analysis.floors import floors
from belljar.analysis.scores import collect, organisms_table
from belljar.analysis.techniques import techniques_table
from belljar.files import atomic_path, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import COLUMNS

output = snakemake.output
with job(snakemake, Path(output.scores).parent, "tables"):
    scores = collect(read_parquet(Path(path), COLUMNS) for path in snakemake.input)
    bounds = floors(scores)
    organisms = organisms_table(scores, bounds, snakemake.params.primary)
    write_parquet(Path(output.scores), scores)
    write_parquet(Path(output.floors), bounds)
    write_parquet(Path(output.organisms), organisms)
    techniques = techniques_table(organisms)
    write_parquet(Path(output.techniques), techniques)
    for target, rows in ((output.organisms_csv, organisms), (output.techniques_csv, techniques)):
        with atomic_path(Path(target)) as scratch:
            rows.to_csv(scratch, index=False)
