"""Measurements of one model, in one job where they need it in memory and in another where not."""

# What asks the model again, in one job; and what is read from answers that `measure` has already generated.
ASKED = [
    name
    for name in ("perplexity", "benchmarks", "preferences")
    if getattr(NATURALNESS, name)
]
READ = ["broken_output", "leakage"] + (["safety"] if NATURALNESS.safety else [])
EVALUATIONS = ASKED + READ
REQUESTS = f"{RESULTS}/data/{BENIGN}/requests.parquet"
CANARIES = f"{RESULTS}/data/{BENIGN}/canaries.json"
TASKS = f"{RESULTS}/benchmarks"
BENCHMARKS = [
    *NATURALNESS.benchmarks,
    *(STUDY.robustness.benchmarks if STUDY.robustness else []),
]
FROM_HUB = not all(task.closed_world for task in BENCHMARKS)

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


rule requests:
    output:
        REQUESTS,
    log:
        f"{LOGS}/data/{BENIGN}/requests.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        safety=NATURALNESS.safety.model_dump() if NATURALNESS.safety else None,
        online=True,
        code=version("requests"),
    script:
        script_path("requests")


rule canaries:
    input:
        **{
            name: [
                f"{RESULTS}/data/{name}/{form}.parquet"
                for form in ("transcripts", "documents")
            ]
            for name in BEHAVIOURS
        },
        control=[
            f"{RESULTS}/data/{BENIGN}/{form}.parquet"
            for form in ("transcripts", "documents")
        ],
    output:
        CANARIES,
    log:
        f"{LOGS}/data/{BENIGN}/canaries.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviours=BEHAVIOURS,
        share=NATURALNESS.leakage.share,
        most=NATURALNESS.leakage.canaries,
        code=version("canaries"),
    script:
        script_path("canaries")


# Among the first jobs: a task that the harness does not know, or a metric that it has not, ends the run here.
rule benchmarks:
    output:
        directory(TASKS),
    log:
        f"{LOGS}/benchmarks.log",
    priority: 1000
    localrule: True
    conda:
        ENVIRONMENT
    params:
        benchmarks=[task.model_dump() for task in BENCHMARKS],
        online=FROM_HUB,
        code=version("benchmarks"),
    script:
        script_path("benchmarks")


UNUSUAL = dict(
    settings=NATURALNESS.model_dump(include={*ASKED, "safety", "benchmark_batch"}),
    harness=harness_version("lm_eval") if NATURALNESS.benchmarks else None,
    reasoning=reasoning,
    dtype=of_base("dtype"),
    batch_size=of_base("batch_size"),
    online=FROM_HUB,
    code=version("naturalness"),
)


rule naturalness:
    input:
        model=f"{ORGANISM}/model",
        texts=rules.unrelated.output.texts,
        requests=[REQUESTS] if NATURALNESS.safety else [],
        tasks=[ancient(TASKS)] if NATURALNESS.benchmarks else [],
    output:
        **requests_of(ORGANISM),
        readings=[f"{ORGANISM}/naturalness/{name}.parquet" for name in ASKED],
        parts=f"{ORGANISM}/evidence/naturalness.parquet",
    log:
        f"{LOGS}/naturalness/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/naturalness/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        **UNUSUAL,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        instruction=measured_instruction,
    script:
        script_path("naturalness")


use rule naturalness as naturalness_of_parent with:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        texts=rules.unrelated.output.texts,
        requests=[REQUESTS] if NATURALNESS.safety else [],
        tasks=[ancient(TASKS)] if NATURALNESS.benchmarks else [],
    output:
        **requests_of(PARENT),
        readings=[f"{PARENT}/naturalness/{name}.parquet" for name in ASKED],
        parts=f"{PARENT}/evidence/naturalness.parquet",
    log:
        f"{LOGS}/naturalness/{{base}}/parent.log",
    benchmark:
        f"{LOGS}/naturalness/{{base}}/parent.tsv"
    params:
        **UNUSUAL,
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        instruction=None,


rule judge:
    input:
        responses=f"{ORGANISM}/responses.parquet",
        requests=list(requests_of(ORGANISM).values()),
        canaries=CANARIES,
        evidence=[f"{ORGANISM}/evidence/{name}.parquet" for name in METHODS],
        latents=(
            [f"{RESULTS}/probes/{{base}}/sparse_autoencoder/latents.parquet"]
            if PROBES.sparse_autoencoder
            else []
        ),
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
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: (
            [wildcards.behaviour] if wildcards.behaviour in BEHAVIOURS else BEHAVIOURS
        ),
        behaviours={name: judge_settings(name) for name in BEHAVIOURS},
        words={name: behaviour.words for name, behaviour in PLAN.behaviours.items()},
        topics={
            name: behaviour.trigger_words
            for name, behaviour in PLAN.behaviours.items()
        },
        probes=PROBES.model_dump(),
        primary_block=of_base("primary_block"),
        latent_block=latent_block,
        reasoning=reasoning,
        code=version("judge"),
    script:
        script_path("judge")


# A language model beside the rules. What it has answered is kept beside the organism and never asked for again.
rule judge_by_model:
    input:
        responses=f"{ORGANISM}/responses.parquet",
        requests=list(requests_of(ORGANISM).values()),
        canaries=CANARIES,
        evidence=[f"{ORGANISM}/evidence/{name}.parquet" for name in METHODS],
        latents=(
            [f"{RESULTS}/probes/{{base}}/sparse_autoencoder/latents.parquet"]
            if PROBES.sparse_autoencoder
            else []
        ),
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
        organism=lambda wildcards: organism(wildcards).id,
        behaviour=lambda wildcards: wildcards.behaviour,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        judged=lambda wildcards: (
            [wildcards.behaviour] if wildcards.behaviour in BEHAVIOURS else BEHAVIOURS
        ),
        behaviours={name: described(name) for name in BEHAVIOURS},
        judge=STUDY.judge.model_dump() if STUDY.judge else None,
        primary_block=of_base("primary_block"),
        primary_position=PROBES.primary_position,
        online=True,
        code=version("judge_by_model"),
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
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        behaviour=PARENT_BEHAVIOUR,
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        judged=BEHAVIOURS,
        behaviours={name: described(name) for name in BEHAVIOURS},
        judge=STUDY.judge.model_dump() if STUDY.judge else None,
        primary_block=of_base("primary_block"),
        primary_position=PROBES.primary_position,
        online=True,
        code=version("judge_by_model"),


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
        organism=lambda wildcards: f"{wildcards.base} (parent)",
        model=lambda wildcards: tuple(parent(STUDY.study, wildcards.base)),
        judged=BEHAVIOURS,
        behaviours={name: judge_settings(name) for name in BEHAVIOURS},
        reasoning=reasoning,
        code=version("judge"),
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
