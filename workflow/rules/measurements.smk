"""What models answer to the prompts of the study, and their side of the activation difference."""

MEASURED = dict(
    strength=STUDY.strength.model_dump(exclude={"validation", "matching"})
    | {"validation": STUDY.strength.test.model_dump()},
    chats=STUDY.probes.chats,
    positions=STUDY.probes.positions,
    blocks=of_base("blocks"),
    dtype=of_base("dtype"),
    batch_size=of_base("batch_size"),
    seed=lambda wildcards: int(wildcards.get("seed", 0)),
    code=version("measure"),
)


rule measure:
    input:
        model=chosen_step,
        prompts=prompt_files,
        chats=rules.unrelated.output.chats,
    output:
        model=directory(f"{ORGANISM}/model"),
        responses=f"{ORGANISM}/responses.parquet",
        activations=f"{ORGANISM}/activations.safetensors",
    log:
        f"{LOGS}/measure/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/measure/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        **MEASURED,
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        recipe=recipe,
        instruction=measured_instruction,
        parent=False,
    script:
        script_path("measure")


rule measure_parent:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        prompts=prompt_files,
    output:
        responses=f"{PARENT}/responses.parquet",
    log:
        f"{LOGS}/measure/{{base}}/parent.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        **MEASURED,
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        instruction=None,
        parent=True,
    script:
        script_path("measure")
