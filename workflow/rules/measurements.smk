"""Measurements of one model, in one job where they need it in memory and in another where not."""

MEASURED = dict(
    strength=STUDY.strength.model_dump(exclude={"validation"})
    | {"validation": STUDY.strength.test.model_dump()},
    logit_lens=STUDY.probes.logit_lens.model_dump(),
    perplexity=STUDY.naturalness.perplexity.model_dump(),
    closed_world=STUDY.naturalness.closed_world.model_dump(),
    control=STUDY.control.model_dump(),
    words={name: behaviour.words for name, behaviour in PLAN.behaviours.items()},
    blocks=of_base("blocks"),
    dtype=of_base("dtype"),
    batch_size=of_base("batch_size"),
    seed=lambda wildcards: int(wildcards.get("seed", 0)),
    code=version("measure"),
)


rule measure:
    input:
        base=f"{RESULTS}/bases/{{base}}",
        model=chosen_step,
        prepared=f"{RESULTS}/probes/{{base}}/logit_lens",
        prompts=prompt_files,
    output:
        model=directory(f"{ORGANISM}/model"),
        responses=f"{ORGANISM}/responses.parquet",
        evidence=f"{ORGANISM}/evidence/logit_lens.parquet",
        perplexity=f"{ORGANISM}/naturalness/perplexity.parquet",
        closed_world=f"{ORGANISM}/naturalness/closed_world.parquet",
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
        parent=False,
    script:
        script_path("measure")


rule measure_parent:
    input:
        base=f"{RESULTS}/bases/{{base}}",
        model=f"{RESULTS}/bases/{{base}}",
        prompts=prompt_files,
    output:
        prepared=directory(f"{RESULTS}/probes/{{base}}/logit_lens"),
        responses=f"{PARENT}/responses.parquet",
        perplexity=f"{PARENT}/naturalness/perplexity.parquet",
        closed_world=f"{PARENT}/naturalness/closed_world.parquet",
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
        parent=True,
    script:
        script_path("measure")


rule judge:
    input:
        responses=f"{ORGANISM}/responses.parquet",
        evidence=f"{ORGANISM}/evidence/logit_lens.parquet",
        selection=f"{ORGANISM}/selection.json",
        losses=f"{ORGANISM}/losses.parquet",
        recipe=f"{ORGANISM}/recipe.json",
    output:
        strength=f"{ORGANISM}/strength.parquet",
        probe=f"{ORGANISM}/probes/logit_lens.parquet",
        training=f"{ORGANISM}/training.parquet",
    log:
        f"{LOGS}/judge/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: (
            [wildcards.behaviour]
            if wildcards.behaviour in STUDY.behaviours
            else STUDY.behaviours
        ),
        behaviours={name: judge_settings(name) for name in STUDY.behaviours},
        code=version("judge"),
    script:
        script_path("judge")


rule judge_parent:
    input:
        responses=f"{PARENT}/responses.parquet",
    output:
        strength=f"{PARENT}/strength.parquet",
    log:
        f"{LOGS}/judge/{{base}}/parent.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        judged=STUDY.behaviours,
        behaviours={name: judge_settings(name) for name in STUDY.behaviours},
        code=version("judge"),
    script:
        script_path("judge")


rule card:
    input:
        recipe=f"{ORGANISM}/recipe.json",
        own=[
            f"{ORGANISM}/{name}"
            for name in (
                "strength.parquet",
                "probes/logit_lens.parquet",
                "training.parquet",
                "naturalness/perplexity.parquet",
                "naturalness/closed_world.parquet",
            )
        ],
        parent=[
            f"{PARENT}/{name}"
            for name in (
                "strength.parquet",
                "naturalness/perplexity.parquet",
                "naturalness/closed_world.parquet",
            )
        ],
        selection=f"{ORGANISM}/selection.json",
        curve=lambda wildcards: (
            []
            if wildcards.behaviour == BENIGN
            else f"{PATHS.organism(organism(wildcards))}/curve.parquet"
        ),
        responses=f"{ORGANISM}/responses.parquet",
    output:
        f"{ORGANISM}/card.md",
    log:
        f"{LOGS}/card/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        behaviours={name: judge_settings(name) for name in STUDY.behaviours},
        code=version("card"),
    script:
        script_path("card")
