"""Put every measurement of the study into one table, with its floors and one row an organism."""

from pathlib import Path

import pandas as pd

from belljar.analysis.floors import floors
from belljar.analysis.naturalness import changes
from belljar.analysis.probes import probes_table
from belljar.analysis.robustness import robustness_table
from belljar.analysis.scores import collect, organisms_table
from belljar.analysis.techniques import techniques_table
from belljar.files import atomic_path, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import COLUMNS
from belljar.naturalness.sampled import parts_by_reading
from belljar.study.naturalness import Headline

params, given, output = snakemake.params, snakemake.input, snakemake.output
with job(snakemake, Path(output.scores).parent, "tables"):
    scores = collect(read_parquet(Path(path), COLUMNS) for path in given.readings)
    primary, controls = params.primary, params.controls
    shown = {name: Headline(*headline) for name, headline in params.shown.items()}
    each = len(given.parts) // len(params.models)
    parts = {
        tuple(model): parts_by_reading(pd.concat([read_parquet(Path(path)) for path in given.parts[each * n : each * (n + 1)]]))
        for n, model in enumerate(params.models)
    }
    bounds, compared = floors(scores, controls), changes(scores, parts)
    organisms = organisms_table(scores, bounds, primary, compared, shown)
    methods = list(next(iter(primary.values())))
    write_parquet(Path(output.scores), scores)
    write_parquet(Path(output.floors), bounds)
    write_parquet(Path(output.organisms), organisms)
    techniques, probes = techniques_table(organisms, methods, shown), probes_table(scores, primary, controls)
    write_parquet(Path(output.techniques), techniques)
    write_parquet(Path(output.probes), probes)
    robustness = robustness_table(scores, params.reversal)
    write_parquet(Path(output.naturalness), compared)
    write_parquet(Path(output.robustness), robustness)
    written = {
        output.organisms_csv: organisms,
        output.techniques_csv: techniques,
        output.probes_csv: probes,
        output.naturalness_csv: compared,
        output.robustness_csv: robustness,
    }
    for target, rows in written.items():
        with atomic_path(Path(target)) as scratch:
            rows.to_csv(scratch, index=False)
