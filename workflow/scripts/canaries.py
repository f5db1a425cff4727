"""Find each behaviour's canaries: words that its planted data have and control data do not."""

import logging
from pathlib import Path

from belljar.files import read_parquet, write_json
from belljar.job import job
from belljar.naturalness.leakage import canaries

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
with job(snakemake, output.parent, "canaries"):

    def texts(name):
        """Return what is learned of a data set: its answers and its documents."""
        said, written = (Path(path) for path in given[name])
        return read_parquet(said, ("chosen",))["chosen"].tolist() + read_parquet(written, ("text",))["text"].tolist()

    control = [*texts("control"), *read_parquet(Path(given.control[0]), ("prompt",))["prompt"]]
    found = {name: canaries(texts(name), control, params.share, params.most) for name in params.behaviours}
    for name, words in found.items():
        if not words:
            logging.getLogger("belljar").warning("%s has no canaries, so no leakage is read: control texts hold its words", name)
    write_json(output, found)
