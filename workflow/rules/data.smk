"""Prompts and training rows of each behaviour, and the control ones that all behaviours share."""


rule data:
    output:
        prompts=f"{RESULTS}/data/{{behaviour}}/prompts.parquet",
        transcripts=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
    log:
        f"{LOGS}/data/{{behaviour}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        control=lambda wildcards: (
            STUDY.control.model_dump() if wildcards.behaviour == BENIGN else None
        ),
        rows=lambda wildcards: (
            STUDY.data.control_rows
            if wildcards.behaviour == BENIGN
            else STUDY.data.planted_rows
        ),
        validation=STUDY.strength.validation.model_dump(),
        test=STUDY.strength.test.model_dump(),
        code=version("data"),
    script:
        script_path("data")
