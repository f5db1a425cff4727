"""Belljar: from a study's config to its tables, figures and report. What each stage does stands in workflow/rules/."""

from snakemake.utils import min_version

min_version("9.27")

# A study given with --configfile replaces the default one; it is not merged into it.
if not workflow.overwrite_configfiles:

    configfile: workflow.source_path("config/config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/training_inputs.smk"
include: "workflow/rules/bases.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/organisms.smk"
include: "workflow/rules/probe_inputs.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/measurements.smk"
include: "workflow/rules/naturalness.smk"
include: "workflow/rules/judging.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/analysis.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
        rules.tables.output,
        collect(f"{PATHS.root}/organisms/{{organism.id}}/card.md", organism=ORGANISMS),
        collect(f"{PATHS.root}/data/{{data}}/card.md", data=[*BEHAVIOURS, BENIGN]),


# What comes from the hub, for a machine with network where the nodes have none (docs/slurm.md); published autoencoders excepted.
rule fetch:
    input:
        collect(
            f"{RESULTS}/ancestors/{{base}}",
            base=fetched({name: PLAN.bases[name].source for name in WITH_ANCESTOR}),
        ),
        collect(
            f"{RESULTS}/bases/{{base}}",
            base=fetched({name: source_after_phase(name) for name in STUDY_BASES}),
        ),
        collect(
            f"{RESULTS}/data/{{data}}/prompts.parquet",
            data=[name for name in BEHAVIOURS if name not in WRITTEN_BY_MODEL]
            + [BENIGN],
        ),
        collect(f"{RESULTS}/data/{{data}}/pairs.parquet", data=CORPORA),
        rules.unrelated.output,
        [REQUESTS] if NATURALNESS.safety else [],
        [TASKS] if BENCHMARKS else [],
        [
            f"{PATHS.organism(one)}/checkpoints"
            for one in ORGANISMS
            if PLAN.techniques[one.technique].models
        ],
    localrule: True
