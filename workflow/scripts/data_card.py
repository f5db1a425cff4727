"""Write the data card of a behaviour, or of the control data."""

from pathlib import Path

from belljar.analysis.cards import environment
from belljar.corpora.summary import summary
from belljar.files import read_parquet, write_text
from belljar.job import job
from belljar.study.behaviours import Behaviour

params, given, output = snakemake.params, snakemake.input, Path(snakemake.output[0])
name = snakemake.wildcards.behaviour
with job(snakemake, output.parent, f"data card {name}"):
    behaviours = {key: Behaviour(**settings) for key, settings in params.behaviours.items()}
    tables = {form: read_parquet(Path(given[form])) for form in ("pairs", "transcripts", "documents", "prompts")}
    found = summary(tables, behaviours.get(name), list(behaviours.values()))
    write_text(output, environment().get_template("data_card.md.j2").render(name=name, **found))
