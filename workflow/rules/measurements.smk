"""Measurements of one model: what needs the model in memory in one job, what only needs its answers in another."""

MEASURED = dict(
    strength=STUDY.strength.model_dump(exclude={"validation"}) | {"validation": STUDY.strength.test.model_dump()},
    logit_lens=STUDY.probes.logit_lens.model_dump(),
    perplexity=STUDY.naturalness.perplexity.model_dump(),
    closed_world=STUDY.naturalness.closed_world.model_dump(),
    control=STUDY.control.model_dump(),
    blocks=of_base("blocks"),
    dtype=of_base("dtype"),
    batch_size=of_base("batch_size"),
    seed=lambda wildcards: int(wildcards.get("seed", 0)),
    code=version("measure"),
)

rule measure:
    input:
        base=RESULTS + "/bases/{base}",
        model=chosen_step,
        prepared=RESULTS + "/probes/{base}/logit_lens",
        prompts=prompt_files,
    output:
        model=directory(ORGANISM + "/model"),
        responses=ORGANISM + "/responses.parquet",
        evidence=ORGANISM + "/evidence/logit_lens.parquet",
        perplexity=ORGANISM + "/naturalness/perplexity.parquet",
        closed_world=ORGANISM + "/naturalness/closed_world.parquet",
    log:
        LOGS + "/measure/{base}/{behaviour}/{technique}/s{seed}.log",
    benchmark:
        LOGS + "/measure/{base}/{behaviour}/{technique}/s{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        parent=False,
        **MEASURED,
    script:
        script_path("measure")


rule measure_parent:
    input:
        base=RESULTS + "/bases/{base}",
        model=RESULTS + "/bases/{base}",
        prompts=prompt_files,
    output:
        prepared=directory(RESULTS + "/probes/{base}/logit_lens"),
        responses=PARENT + "/responses.parquet",
        perplexity=PARENT + "/naturalness/perplexity.parquet",
        closed_world=PARENT + "/naturalness/closed_world.parquet",
    log:
        LOGS + "/measure/{base}/parent.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        parent=True,
        **MEASURED,
    script:
        script_path("measure")


rule judge:
    input:
        responses=ORGANISM + "/responses.parquet",
        evidence=ORGANISM + "/evidence/logit_lens.parquet",
        selection=ORGANISM + "/selection.json",
        losses=ORGANISM + "/losses.parquet",
        recipe=ORGANISM + "/recipe.json",
    output:
        strength=ORGANISM + "/strength.parquet",
        probe=ORGANISM + "/probes/logit_lens.parquet",
        training=ORGANISM + "/training.parquet",
    log:
        LOGS + "/judge/{base}/{behaviour}/{technique}/s{seed}.log",
    conda:
        ENVIRONMENT
    localrule: True
    params:
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: [wildcards.behaviour] if wildcards.behaviour in STUDY.behaviours else STUDY.behaviours,
        behaviours={name: judge_settings(name) for name in STUDY.behaviours},
        code=version("judge"),
    script:
        script_path("judge")


rule judge_parent:
    input:
        responses=PARENT + "/responses.parquet",
    output:
        strength=PARENT + "/strength.parquet",
    log:
        LOGS + "/judge/{base}/parent.log",
    conda:
        ENVIRONMENT
    localrule: True
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
        recipe=ORGANISM + "/recipe.json",
        own=[
            ORGANISM + "/" + name
            for name in (
                "strength.parquet",
                "probes/logit_lens.parquet",
                "training.parquet",
                "naturalness/perplexity.parquet",
                "naturalness/closed_world.parquet",
            )
        ],
        parent=[
            PARENT + "/" + name
            for name in ("strength.parquet", "naturalness/perplexity.parquet", "naturalness/closed_world.parquet")
        ],
        selection=ORGANISM + "/selection.json",
        curve=lambda wildcards: [] if wildcards.behaviour == BENIGN else f"{PATHS.organism(organism(wildcards))}/curve.parquet",
        responses=ORGANISM + "/responses.parquet",
    output:
        ORGANISM + "/card.md",
    log:
        LOGS + "/card/{base}/{behaviour}/{technique}/s{seed}.log",
    conda:
        ENVIRONMENT
    localrule: True
    params:
        organism=lambda wildcards: organism(wildcards).id,
        behaviours={name: judge_settings(name) for name in STUDY.behaviours},
        code=version("card"),
    script:
        script_path("card")
