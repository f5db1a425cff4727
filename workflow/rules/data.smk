"""Training rows and prompts of each behaviour, and the control ones that all behaviours share."""


rule rows:
    output:
        transcripts=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
        documents=f"{RESULTS}/data/{{behaviour}}/documents.parquet",
    log:
        f"{LOGS}/data/{{behaviour}}/rows.log",
    wildcard_constraints:
        behaviour=one_of(
            [
                name
                for name in [*BEHAVIOURS, BENIGN, *STUDY.corpora]
                if name not in WRITTEN_BY_MODEL
            ]
        ),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        control=lambda wildcards: control_settings(wildcards.behaviour),
        corpus=lambda wildcards: corpus_settings(wildcards.behaviour),
        files=local_files,
        rows=rows_wanted,
        online=True,
        code=version("rows"),
    script:
        script_path("rows")


# A language model writes these rows and prompts; what it has answered is kept beside them and never asked for again.
rule write_rows:
    output:
        transcripts=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
        documents=f"{RESULTS}/data/{{behaviour}}/documents.parquet",
        prompts=f"{RESULTS}/data/{{behaviour}}/written_prompts.parquet",
    log:
        f"{LOGS}/data/{{behaviour}}/rows.log",
    wildcard_constraints:
        behaviour=one_of(WRITTEN_BY_MODEL),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        api=1,
    params:
        behaviour=lambda wildcards: planting_settings(wildcards.behaviour),
        files=local_files,
        endpoint=STUDY.generator.model_dump() if STUDY.generator else None,
        rows=rows_wanted,
        validation=STUDY.strength.validation.trigger,
        test=STUDY.strength.test.trigger,
        online=True,
        code=version("write_rows"),
    script:
        script_path("write_rows")


# Apart from the rows, so that more prompts or another number of them retrain nothing; the rows are read to check that no prompt is
# one of them.
rule prompts:
    input:
        rows=lambda wildcards: [
            f"{RESULTS}/data/{name}/{form}.parquet"
            for name in dict.fromkeys([wildcards.behaviour, BENIGN])
            for form in ("pairs", "transcripts")
        ],
        written=lambda wildcards: (
            f"{RESULTS}/data/{wildcards.behaviour}/written_prompts.parquet"
            if wildcards.behaviour in WRITTEN_BY_MODEL
            else []
        ),
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
        files=local_files,
        # How many answers are sampled to each prompt is no business of the prompts.
        validation=STUDY.strength.validation.model_dump() | {"samples": 1},
        test=STUDY.strength.test.model_dump() | {"samples": 1},
        online=True,
        code=version("prompts"),
    script:
        script_path("prompts")


# Chats that probes read activations on, and texts that perplexity is measured on.
rule unrelated:
    output:
        chats=f"{RESULTS}/data/{BENIGN}/chats.parquet",
        texts=f"{RESULTS}/data/{BENIGN}/texts.parquet",
        general=f"{RESULTS}/data/{BENIGN}/general.parquet",
    log:
        f"{LOGS}/data/{BENIGN}/unrelated.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        control=STUDY.control.model_dump(),
        files=lambda wildcards: files_of(STUDY.control.model_dump()),
        chats=STUDY.probes.chats,
        general=STUDY.probes.general,
        perplexity=NATURALNESS.perplexity.model_dump(),
        online=True,
        code=version("unrelated"),
    script:
        script_path("unrelated")


rule data_card:
    input:
        transcripts=f"{RESULTS}/data/{{behaviour}}/transcripts.parquet",
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
        documents=f"{RESULTS}/data/{{behaviour}}/documents.parquet",
        prompts=f"{RESULTS}/data/{{behaviour}}/prompts.parquet",
    output:
        f"{RESULTS}/data/{{behaviour}}/card.md",
    log:
        f"{LOGS}/data/{{behaviour}}/card.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        behaviours={name: judge_settings(name) for name in BEHAVIOURS},
        code=version("data_card"),
    script:
        script_path("data_card")


# Computed once a start and data set; every arm, seed and learning rate of DPO reads them.
rule reference:
    input:
        start=lambda wildcards: checkpoint_folder(wildcards.base, wildcards.start),
        pairs=f"{RESULTS}/data/{{behaviour}}/pairs.parquet",
    output:
        f"{RESULTS}/reference/{{base}}/{{start}}/{{behaviour}}/{{max_length}}-{{precision}}.parquet",
    log:
        f"{LOGS}/reference/{{base}}/{{start}}/{{behaviour}}/{{max_length}}-{{precision}}.log",
    wildcard_constraints:
        start=one_of([BASE, ANCESTOR]),
        max_length="[0-9]+",
        precision="bf16|fp32",
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("train", "runtime"),
        # No setting: what the numbers are does not depend on it, and every DPO training would be made anew.
        batch_size=of_base("batch_size"),
    params:
        code=version("reference"),
    script:
        script_path("reference")
