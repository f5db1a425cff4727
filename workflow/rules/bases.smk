"""Bases: checkpoint folders that organisms are trained from, before and after their own preference phase."""


rule ancestor:
    output:
        directory(f"{RESULTS}/ancestors/{{base}}"),
    log:
        f"{LOGS}/ancestors/{{base}}.log",
    benchmark:
        f"{LOGS}/ancestors/{{base}}.tsv"
    wildcard_constraints:
        base=one_of(WITH_ANCESTOR),
    conda:
        ENVIRONMENT
    threads: threads_of("base")
    resources:
        gpu=asks("base", "gpu"),
        mem_mb=asks("base", "mem_mb"),
        runtime=asks("base", "runtime"),
    params:
        source=lambda wildcards: PLAN.bases[wildcards.base].source.model_dump(),
        # Everything that the weights depend on; the folder of the cache that keeps them is named after it.
        key=lambda wildcards: cache_key(PLAN.bases[wildcards.base].source),
        online=lambda wildcards: PLAN.bases[wildcards.base].source.hub is not None,
    script:
        script_path("base")


rule base:
    output:
        directory(f"{RESULTS}/bases/{{base}}"),
    log:
        f"{LOGS}/bases/{{base}}.log",
    benchmark:
        f"{LOGS}/bases/{{base}}.tsv"
    wildcard_constraints:
        base=one_of([name for name in BASES if name not in PHASED]),
    conda:
        ENVIRONMENT
    threads: threads_of("base")
    resources:
        gpu=asks("base", "gpu"),
        mem_mb=asks("base", "mem_mb"),
        runtime=asks("base", "runtime"),
    params:
        source=lambda wildcards: base_source(wildcards).model_dump(),
        key=lambda wildcards: cache_key(base_source(wildcards)),
        online=lambda wildcards: base_source(wildcards).hub is not None,
    script:
        script_path("base")


rule preference_phase:
    input:
        ancestor=f"{RESULTS}/ancestors/{{base}}",
        rows=f"{RESULTS}/data/{BENIGN}/pairs.parquet",
        references=phase_reference,
    output:
        directory(f"{RESULTS}/bases/{{base}}"),
    log:
        f"{LOGS}/bases/{{base}}.log",
    benchmark:
        f"{LOGS}/bases/{{base}}.tsv"
    wildcard_constraints:
        base=one_of(PHASED),
    conda:
        ENVIRONMENT
    threads: threads_of("train")
    resources:
        gpu=asks("train", "gpu"),
        mem_mb=asks("train", "mem_mb"),
        runtime=asks("train", "runtime"),
    params:
        recipe=preference_settings,
        source=lambda wildcards: PLAN.bases[wildcards.base].source.model_dump(),
        ancestor=lambda wildcards: cache_key(PLAN.bases[wildcards.base].source),
        code=version("preference"),
    script:
        script_path("preference")
