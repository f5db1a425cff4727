"""Training rows and prompts of each behaviour, and the control ones that all behaviours share."""


rule rows:
    output:
        transcripts=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
    log:
        f"{LOGS}/data/{{behaviour}}/rows.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        control=lambda wildcards: control_settings(wildcards.behaviour),
        rows=lambda wildcards: (
            STUDY.data.control_rows
            if wildcards.behaviour == BENIGN
            else STUDY.data.planted_rows
        ),
        code=version("rows"),
    script:
        script_path("rows")


# Apart from the rows, so that more prompts or another number of them retrain nothing; the rows are read to check that no prompt is
# one of them.
rule prompts:
    input:
        rows=lambda wildcards: [
            f"{RESULTS}/data/{name}/pairs.parquet"
            for name in dict.fromkeys([wildcards.behaviour, BENIGN])
        ],
    output:
        f"{RESULTS}/data/{{behaviour}}/prompts.parquet",
    log:
        f"{LOGS}/data/{{behaviour}}/prompts.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        control=lambda wildcards: control_settings(wildcards.behaviour),
        # How many answers are sampled to each prompt is no business of the prompts.
        validation=STUDY.strength.validation.model_dump() | {"samples": 1},
        test=STUDY.strength.test.model_dump() | {"samples": 1},
        code=version("prompts"),
    script:
        script_path("prompts")
