"""Prompts and training rows of each behaviour, and the control ones that all behaviours share."""


rule data:
    output:
        prompts=RESULTS + "/data/{behaviour}/prompts.parquet",
        transcripts=RESULTS + "/data/{behaviour}/transcripts.parquet",
        pairs=RESULTS + "/data/{behaviour}/pairs.parquet",
    log:
        LOGS + "/data/{behaviour}.log",
    conda:
        ENVIRONMENT
    localrule: True
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        control=lambda wildcards: STUDY.control.model_dump() if wildcards.behaviour == BENIGN else None,
        rows=lambda wildcards: STUDY.data.control_rows if wildcards.behaviour == BENIGN else STUDY.data.planted_rows,
        validation=STUDY.strength.validation.model_dump(),
        test=STUDY.strength.test.model_dump(),
        code=version("data"),
    script:
        script_path("data")


def planting_settings(behaviour):
    """Return what a behaviour's data depend on: nothing of how it is judged; None for control data."""
    if behaviour == BENIGN:
        return None
    kept = PLAN.behaviours[behaviour].model_dump() | {"target": 0.5, "words": ["-"], "key_facts": [], "description": ""}
    for criterion in kept["criteria"]:
        criterion.update(detect=["-"], unless_in_prompt=False)
    return kept
