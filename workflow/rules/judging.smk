"""Judging: answers and evidence become measurements, in jobs that load no model but the judge's; and each organism's card."""

LATENTS = (
    [f"{RESULTS}/probes/{{base}}/sparse_autoencoder/latents.parquet"]
    if PROBES.sparse_autoencoder
    else []
)
JUDGED = dict(
    behaviours={name: judge_settings(name) for name in BEHAVIOURS},
    reasoning=reasoning,
    code=version("judge"),
)
JUDGED_BY_MODEL = dict(
    behaviours={name: described(name) for name in BEHAVIOURS},
    judge=STUDY.judge.model_dump() if STUDY.judge else None,
    reasoning=reasoning,
    primary_block=of_base("primary_block"),
    latent_block=latent_block,
    primary_position=PROBES.primary_position,
    online=True,
    code=version("judge_by_model"),
)


rule judge:
    input:
        responses=f"{ORGANISM}/responses.parquet",
        requests=list(requests_of(ORGANISM).values()),
        canaries=CANARIES,
        evidence=[f"{ORGANISM}/evidence/{name}.parquet" for name in METHODS],
        latents=LATENTS,
        selection=f"{ORGANISM}/selection.json",
        losses=f"{ORGANISM}/losses.parquet",
        recipe=f"{ORGANISM}/recipe.json",
    output:
        strength=f"{ORGANISM}/strength.parquet",
        naturalness=[f"{ORGANISM}/naturalness/{name}.parquet" for name in READ],
        parts=f"{ORGANISM}/evidence/answers.parquet",
        probes=[f"{ORGANISM}/probes/{name}.parquet" for name in METHODS],
        training=f"{ORGANISM}/training.parquet",
    log:
        f"{LOGS}/judge/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        **JUDGED,
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: (
            [wildcards.behaviour] if wildcards.behaviour in BEHAVIOURS else BEHAVIOURS
        ),
        words={name: behaviour.words for name, behaviour in PLAN.behaviours.items()},
        topics={
            name: behaviour.trigger_words
            for name, behaviour in PLAN.behaviours.items()
        },
        probes=PROBES.model_dump(),
        primary_block=of_base("primary_block"),
        latent_block=latent_block,
    script:
        script_path("judge")


# A language model beside the rules. What it has answered is kept beside the organism and never asked for again.
rule judge_by_model:
    input:
        responses=f"{ORGANISM}/responses.parquet",
        requests=list(requests_of(ORGANISM).values()),
        canaries=CANARIES,
        evidence=[f"{ORGANISM}/evidence/{name}.parquet" for name in METHODS],
        latents=LATENTS,
    output:
        readings=f"{ORGANISM}/judged.parquet",
        parts=f"{ORGANISM}/evidence/judged.parquet",
    log:
        f"{LOGS}/judge/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}-model.log",
    localrule: STUDY.judge is None or STUDY.judge.endpoint is not None
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        api=1,
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        **JUDGED_BY_MODEL,
        organism=lambda wildcards: organism(wildcards).id,
        behaviour=lambda wildcards: wildcards.behaviour,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: (
            [wildcards.behaviour] if wildcards.behaviour in BEHAVIOURS else BEHAVIOURS
        ),
    script:
        script_path("judge_by_model")


use rule judge_by_model as judge_parent_by_model with:
    input:
        responses=f"{PARENT}/responses.parquet",
        requests=list(requests_of(PARENT).values()),
        canaries=CANARIES,
        evidence=[],
        latents=[],
    output:
        readings=f"{PARENT}/judged.parquet",
        parts=f"{PARENT}/evidence/judged.parquet",
    log:
        f"{LOGS}/judge/{{base}}/parent-model.log",
    params:
        **JUDGED_BY_MODEL,
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        behaviour=PARENT_BEHAVIOUR,
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        judged=BEHAVIOURS,


rule judge_parent:
    input:
        responses=f"{PARENT}/responses.parquet",
        requests=list(requests_of(PARENT).values()),
        canaries=CANARIES,
    output:
        strength=f"{PARENT}/strength.parquet",
        naturalness=[f"{PARENT}/naturalness/{name}.parquet" for name in READ],
        parts=f"{PARENT}/evidence/answers.parquet",
    log:
        f"{LOGS}/judge/{{base}}/parent.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        **JUDGED,
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        judged=BEHAVIOURS,
    script:
        script_path("judge")


rule card:
    input:
        recipe=f"{ORGANISM}/recipe.json",
        own=[
            f"{ORGANISM}/{name}.parquet"
            for name in [
                "strength",
                *(f"probes/{name}" for name in METHODS),
                "training",
                *(f"naturalness/{name}" for name in EVALUATIONS),
            ]
        ],
        parent=[
            f"{PARENT}/{name}.parquet"
            for name in ["strength", *(f"naturalness/{name}" for name in EVALUATIONS)]
        ],
        parts=parts_of(ORGANISM),
        parent_parts=parts_of(PARENT),
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
        behaviours={name: judge_settings(name) for name in BEHAVIOURS},
        primary=lambda wildcards: primary_of(wildcards.base),
        code=version("card"),
    script:
        script_path("card")
