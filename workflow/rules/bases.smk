"""Bases: checkpoint folders that organisms are trained from."""


rule base:
    output:
        directory(f"{RESULTS}/bases/{{base}}"),
    log:
        f"{LOGS}/bases/{{base}}.log",
    benchmark:
        f"{LOGS}/bases/{{base}}.tsv"
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
