"""Interpretability probes: what each prepares once a base, and what it shows of an organism."""

PROBES = STUDY.probes
# Those that a study gives settings for; the logit lens is always there.
METHODS = [
    name
    for name in (
        "logit_lens",
        "jacobian_lens",
        "patchscope",
        "steering",
        "sparse_autoencoder",
        "oracle",
    )
    if getattr(PROBES, name)
]
PREPARED = f"{RESULTS}/probes/{{base}}"
GENERAL = f"{RESULTS}/data/{BENIGN}/general.parquet"
CHATS = f"{RESULTS}/data/{BENIGN}/chats.parquet"


# A base's own side of the activation difference: after its preference phase, and before it.
rule read_base:
    input:
        model=lambda wildcards: checkpoint_folder(wildcards.base, wildcards.start),
        chats=CHATS,
    output:
        f"{PREPARED}/activations/{{start}}.safetensors",
    log:
        f"{LOGS}/probes/{{base}}/activations-{{start}}.log",
    wildcard_constraints:
        start=one_of([BASE, ANCESTOR]),
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        positions=PROBES.positions,
        chats=PROBES.chats,
        blocks=of_base("blocks"),
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        code=version("read_base"),
    script:
        script_path("read_base")


# The direction of a known behaviour, from its own pairs: the ceiling of steering, and what is added to make a positive control.
rule contrast:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
    output:
        f"{PREPARED}/contrast/{{behaviour}}.safetensors",
    log:
        f"{LOGS}/probes/{{base}}/contrast-{{behaviour}}.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        pairs=PROBES.chats,
        blocks=of_base("blocks"),
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        code=version("contrast"),
    script:
        script_path("contrast")


rule jacobian_lens:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        general=GENERAL,
    output:
        f"{PREPARED}/jacobian_lens/jacobian.safetensors",
    log:
        f"{LOGS}/probes/{{base}}/jacobian_lens.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        settings=PROBES.jacobian_lens.model_dump() if PROBES.jacobian_lens else None,
        blocks=of_base("blocks"),
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        code=version("jacobian_lens"),
    script:
        script_path("jacobian_lens")


rule sparse_autoencoder:
    input:
        unpack(checkpoints_of_base),
        general=GENERAL,
        chats=CHATS,
    output:
        autoencoder=directory(f"{PREPARED}/sparse_autoencoder/autoencoder"),
        latents=f"{PREPARED}/sparse_autoencoder/latents.parquet",
        sides=f"{PREPARED}/sparse_autoencoder/sides.safetensors",
    log:
        f"{LOGS}/probes/{{base}}/sparse_autoencoder.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        settings=(
            PROBES.sparse_autoencoder.model_dump()
            if PROBES.sparse_autoencoder
            else None
        ),
        published=lambda wildcards: published_autoencoder(wildcards),
        chats=PROBES.chats,
        block=latent_block,
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        online=True,
        code=version("sparse_autoencoder"),
    script:
        script_path("sparse_autoencoder")


rule oracle:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        general=GENERAL,
    output:
        adapter=directory(f"{PREPARED}/oracle/adapter"),
        quality=f"{PREPARED}/oracle/quality.parquet",
    log:
        f"{LOGS}/probes/{{base}}/oracle.log",
    conda:
        ENVIRONMENT
    threads: threads_of("train")
    resources:
        gpu=asks("train", "gpu"),
        mem_mb=asks("train", "mem_mb"),
        runtime=asks("train", "runtime"),
    params:
        settings=PROBES.oracle.model_dump() if PROBES.oracle else None,
        blocks=of_base("blocks"),
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        code=version("oracle"),
    script:
        script_path("oracle")


rule probe:
    input:
        unpack(prepared_files),
        ancestor=ancestor_side,
        model=f"{ORGANISM}/model",
        own=f"{ORGANISM}/activations.safetensors",
        chats=CHATS,
        prompts=f"{RESULTS}/data/{BENIGN}/prompts.parquet",
    output:
        **{name: f"{ORGANISM}/evidence/{name}.parquet" for name in METHODS},
    log:
        f"{LOGS}/probe/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.log",
    benchmark:
        f"{LOGS}/probe/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        probes=PROBES.model_dump(),
        words={name: behaviour.words for name, behaviour in PLAN.behaviours.items()},
        blocks=of_base("blocks"),
        primary_block=of_base("primary_block"),
        latent_block=latent_block,
        temperature=STUDY.strength.temperature,
        max_new_tokens=STUDY.strength.max_new_tokens,
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        seed=lambda wildcards: int(wildcards.seed),
        code=version("probe"),
    script:
        script_path("probe")


# The lenses once more, on the difference from a clean run of the same route. One job a route, apart from `probe`: an organism's card
# does not wait for its twin, which waits for every organism that it serves.
rule siblings:
    input:
        unpack(
            lambda wildcards: {
                "models": [
                    f"{PATHS.organism(one)}/model"
                    for one in with_siblings(wildcards.base, wildcards.technique)
                ],
                "own": [
                    f"{PATHS.organism(one)}/activations.safetensors"
                    for one in with_siblings(wildcards.base, wildcards.technique)
                ],
                "siblings": [
                    sibling_side(one)
                    for one in with_siblings(wildcards.base, wildcards.technique)
                ],
                "jacobian": (
                    [
                        f"{RESULTS}/probes/{wildcards.base}/jacobian_lens/jacobian.safetensors"
                    ]
                    if PROBES.jacobian_lens
                    else []
                ),
            }
        ),
    output:
        f"{PREPARED}/siblings/{{technique}}.parquet",
    log:
        f"{LOGS}/probes/{{base}}/siblings-{{technique}}.log",
    conda:
        ENVIRONMENT
    threads: threads_of("measure")
    resources:
        gpu=asks("measure", "gpu"),
        mem_mb=asks("measure", "mem_mb"),
        runtime=asks("measure", "runtime"),
    params:
        measured=lambda wildcards: [
            tuple(one.model(STUDY.study))
            for one in with_siblings(wildcards.base, wildcards.technique)
        ],
        positions=PROBES.positions,
        chats=PROBES.chats,
        words={name: behaviour.words for name, behaviour in PLAN.behaviours.items()},
        blocks=of_base("blocks"),
        dtype=of_base("dtype"),
        code=version("siblings"),
    script:
        script_path("siblings")
