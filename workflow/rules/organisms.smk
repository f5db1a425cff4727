"""Organisms and their benign twins: training, and the choice of the saved step."""


rule train:
    input:
        base=f"{RESULTS}/bases/{{base}}",
        planted=lambda wildcards: f"{RESULTS}/data/{wildcards.behaviour}/{technique(wildcards).data}.parquet",
        control=lambda wildcards: f"{RESULTS}/data/{BENIGN}/{technique(wildcards).data}.parquet",
    output:
        checkpoints=directory(f"{ORGANISM}/checkpoints"),
        losses=f"{ORGANISM}/losses.parquet",
        recipe=f"{ORGANISM}/recipe.json",
    log:
        f"{LOGS}/train/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/train/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("train")
    resources:
        gpu=asks("train", "gpu"),
        mem_mb=asks("train", "mem_mb"),
        runtime=asks("train", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        benign=lambda wildcards: organism(wildcards).is_twin,
        recipe=lambda wildcards: recipe(organism(wildcards)),
        code=version("train"),
    script:
        script_path("train")


rule validate:
    input:
        base=f"{RESULTS}/bases/{{base}}",
        checkpoints=f"{ORGANISM}/checkpoints",
        prompts=prompt_files,
    output:
        f"{ORGANISM}/validation.parquet",
    log:
        f"{LOGS}/validate/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        strength=STUDY.strength.model_dump(exclude={"test"})
        | {"test": STUDY.strength.validation.model_dump()},
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        seed=lambda wildcards: int(wildcards.seed),
        code=version("validate"),
    script:
        script_path("validate")


# The two rules below are checkpoints so that what follows depends on the chosen step and not on the choosing: where a changed judge
# chooses the same step again, no model is measured anew.
checkpoint select:
    input:
        validation=f"{ORGANISM}/validation.parquet",
    output:
        selection=f"{ORGANISM}/selection.json",
        curve=f"{ORGANISM}/curve.parquet",
    log:
        f"{LOGS}/select/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    wildcard_constraints:
        behaviour="|".join(STUDY.behaviours),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        behaviour=lambda wildcards: judge_settings(wildcards.behaviour),
        code=version("select_step"),
    script:
        script_path("select_step")


checkpoint select_twin:
    input:
        recipe=f"{TWIN}/recipe.json",
        selections=lambda wildcards: [
            f"{PATHS.organism(served)}/selection.json"
            for served in served_by(organism(wildcards), STUDY)
        ],
    output:
        f"{TWIN}/selection.json",
    log:
        f"{LOGS}/select/{{base}}/benign/{{technique}}/s{{seed}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        code=version("select_twin_step"),
    script:
        script_path("select_twin_step")
