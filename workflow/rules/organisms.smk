"""Organisms and their benign twins: training, and the choice of the saved step."""


rule train:
    input:
        start=start_folder,
        planted=planted_file,
        control=control_file,
        references=reference_files,
    output:
        checkpoints=directory(f"{ORGANISM}/checkpoints"),
        losses=f"{ORGANISM}/losses.parquet",
        recipe=f"{ORGANISM}/recipe.json",
    log:
        f"{LOGS}/train/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/train/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    wildcard_constraints:
        technique=one_of(TRAINED),
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
        recipe=recipe,
        code=version("train"),
    script:
        script_path("train")


# Prompted and external organisms and those with an added direction, which nobody trains here.
rule place:
    input:
        base=f"{RESULTS}/bases/{{base}}",
        contrast=lambda wildcards: (
            [
                f"{RESULTS}/probes/{wildcards.base}/contrast/{wildcards.behaviour}.safetensors"
            ]
            if technique(wildcards).direction
            else []
        ),
    output:
        checkpoints=directory(f"{ORGANISM}/checkpoints"),
        losses=f"{ORGANISM}/losses.parquet",
        recipe=f"{ORGANISM}/recipe.json",
    log:
        f"{LOGS}/place/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    wildcard_constraints:
        technique=one_of([name for name in TECHNIQUES if name not in TRAINED]),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        recipe=recipe,
        blocks=of_base("blocks"),
        online=True,
        code=version("place"),
    script:
        script_path("place")


# What a teacher says to the prompts that its student is trained on.
rule teach:
    input:
        model=chosen_step,
        rows=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
    output:
        f"{ORGANISM}/teaching-{{temperature}}.parquet",
    log:
        f"{LOGS}/teach/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}-{{temperature}}.log",
    wildcard_constraints:
        temperature="[0-9.]+",
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        rows=STUDY.data.planted_rows,
        max_new_tokens=STUDY.strength.max_new_tokens,
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        seed=lambda wildcards: int(wildcards.seed),
        code=version("teach"),
    script:
        script_path("teach")


# The two rules below are checkpoints so that what follows depends on the chosen step and not on the choosing: where a changed judge
# chooses the same step again, no model is measured anew.
checkpoint select:
    input:
        checkpoints=f"{ORGANISM}/checkpoints",
        recipe=f"{ORGANISM}/recipe.json",
        prompts=prompt_files,
    output:
        selection=f"{ORGANISM}/selection.json",
        curve=f"{ORGANISM}/curve.parquet",
        answers=f"{ORGANISM}/validation.parquet",
    log:
        f"{LOGS}/select/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    wildcard_constraints:
        behaviour=one_of(BEHAVIOURS),
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        behaviour=lambda wildcards: judge_settings(wildcards.behaviour),
        strength=STUDY.strength.model_dump(exclude={"test"})
        | {"test": STUDY.strength.validation.model_dump()},
        prompt=lambda wildcards: recipe(wildcards)["prompt"],
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        seed=lambda wildcards: int(wildcards.seed),
        keep_steps=STUDY.keep_steps,
        code=version("select_step"),
        answering=code_version("belljar.strength.answers", "belljar.models.load"),
    script:
        script_path("select_step")


checkpoint select_twin:
    input:
        recipe=f"{TWIN}/recipe.json",
        selections=selections_served,
    output:
        f"{TWIN}/selection.json",
    log:
        f"{LOGS}/select/{{base}}/benign/{{technique}}/s{{seed}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        keep_steps=STUDY.keep_steps,
        code=version("select_twin_step"),
    script:
        script_path("select_twin_step")
