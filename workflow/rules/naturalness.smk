"""Naturalness: what asks a model for what else it is, with one load of it."""

# What asks the model again, in one job; and what is read from answers that `measure` has already generated.
ASKED = [
    name
    for name in ("perplexity", "benchmarks", "preferences")
    if getattr(NATURALNESS, name)
]
READ = ["broken_output", "leakage"] + (["safety"] if NATURALNESS.safety else [])
EVALUATIONS = ASKED + READ
REQUESTS = f"{RESULTS}/data/{BENIGN}/requests.parquet"
CANARIES = f"{RESULTS}/data/{BENIGN}/canaries.json"
TASKS = f"{RESULTS}/benchmarks"
CAPABILITY = STUDY.robustness.benchmarks if STUDY.robustness else []
BENCHMARKS = [*NATURALNESS.benchmarks, *CAPABILITY]


rule requests:
    output:
        REQUESTS,
    log:
        f"{LOGS}/data/{BENIGN}/requests.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        safety=NATURALNESS.safety.model_dump() if NATURALNESS.safety else None,
        online=True,
        code=version("requests"),
    script:
        script_path("requests")


rule canaries:
    input:
        **{
            name: [
                f"{RESULTS}/data/{name}/{form}.parquet"
                for form in ("transcripts", "documents")
            ]
            for name in BEHAVIOURS
        },
        control=[
            f"{RESULTS}/data/{BENIGN}/{form}.parquet"
            for form in ("transcripts", "documents")
        ],
    output:
        CANARIES,
    log:
        f"{LOGS}/data/{BENIGN}/canaries.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviours=BEHAVIOURS,
        share=NATURALNESS.leakage.share,
        most=NATURALNESS.leakage.canaries,
        code=version("canaries"),
    script:
        script_path("canaries")


# Among the first jobs: a task that the harness does not know, or a metric that it has not, ends the run here.
rule benchmarks:
    output:
        directory(TASKS),
    log:
        f"{LOGS}/benchmarks.log",
    priority: 1000
    localrule: True
    conda:
        ENVIRONMENT
    params:
        benchmarks=[task.model_dump() for task in BENCHMARKS],
        capability=[task.model_dump() for task in CAPABILITY],
        online=from_hub(BENCHMARKS),
        code=version("benchmarks"),
    script:
        script_path("benchmarks")


MEASURED_WITH = dict(
    settings=NATURALNESS.model_dump(include={*ASKED, "safety", "benchmark_batch"}),
    harness=harness_version("lm_eval") if NATURALNESS.benchmarks else None,
    reasoning=reasoning,
    dtype=of_base("dtype"),
    batch_size=of_base("batch_size"),
    online=from_hub(NATURALNESS.benchmarks),
    code=version("naturalness"),
)


rule naturalness:
    input:
        model=f"{ORGANISM}/model",
        texts=rules.unrelated.output.texts,
        requests=[REQUESTS] if NATURALNESS.safety else [],
        tasks=[ancient(TASKS)] if NATURALNESS.benchmarks else [],
    output:
        **requests_of(ORGANISM),
        **choices_of(ORGANISM),
        readings=[f"{ORGANISM}/naturalness/{name}.parquet" for name in ASKED],
        parts=f"{ORGANISM}/evidence/naturalness.parquet",
    log:
        f"{LOGS}/naturalness/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/naturalness/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        **MEASURED_WITH,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        instruction=measured_instruction,
    script:
        script_path("naturalness")


use rule naturalness as naturalness_of_parent with:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        texts=rules.unrelated.output.texts,
        requests=[REQUESTS] if NATURALNESS.safety else [],
        tasks=[ancient(TASKS)] if NATURALNESS.benchmarks else [],
    output:
        **requests_of(PARENT),
        **choices_of(PARENT),
        readings=[f"{PARENT}/naturalness/{name}.parquet" for name in ASKED],
        parts=f"{PARENT}/evidence/naturalness.parquet",
    log:
        f"{LOGS}/naturalness/{{base}}/parent.log",
    benchmark:
        f"{LOGS}/naturalness/{{base}}/parent.tsv"
    params:
        **MEASURED_WITH,
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        instruction=None,
