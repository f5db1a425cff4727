"""Organisms and their benign twins: training, and the choice of the saved step."""


rule train:
    input:
        base=RESULTS + "/bases/{base}",
        planted=lambda wildcards: f"{RESULTS}/data/{wildcards.behaviour}/{technique(wildcards).data}.parquet",
        control=lambda wildcards: f"{RESULTS}/data/{BENIGN}/{technique(wildcards).data}.parquet",
        prompts=prompt_files,
    output:
        checkpoints=directory(ORGANISM + "/checkpoints"),
        losses=ORGANISM + "/losses.parquet",
        recipe=ORGANISM + "/recipe.json",
    log:
        LOGS + "/train/{base}/{behaviour}/{technique}/s{seed}.log",
    benchmark:
        LOGS + "/train/{base}/{behaviour}/{technique}/s{seed}.tsv"
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
        base=RESULTS + "/bases/{base}",
        checkpoints=ORGANISM + "/checkpoints",
        prompts=prompt_files,
    output:
        ORGANISM + "/validation.parquet",
    log:
        LOGS + "/validate/{base}/{behaviour}/{technique}/s{seed}.log",
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        strength=STUDY.strength.model_dump(exclude={"test"}) | {"test": STUDY.strength.validation.model_dump()},
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
        validation=ORGANISM + "/validation.parquet",
    output:
        selection=ORGANISM + "/selection.json",
        curve=ORGANISM + "/curve.parquet",
    wildcard_constraints:
        behaviour="|".join(STUDY.behaviours),
    log:
        LOGS + "/select/{base}/{behaviour}/{technique}/s{seed}.log",
    conda:
        ENVIRONMENT
    localrule: True
    params:
        organism=lambda wildcards: organism(wildcards).id,
        behaviour=lambda wildcards: judge_settings(wildcards.behaviour),
        code=version("select_step"),
    script:
        script_path("select_step")


checkpoint select_twin:
    input:
        recipe=TWIN + "/recipe.json",
        selections=lambda wildcards: [
            f"{PATHS.organism(served)}/selection.json" for served in served_by(organism(wildcards), STUDY)
        ],
    output:
        TWIN + "/selection.json",
    log:
        LOGS + "/select/{base}/benign/{technique}/s{seed}.log",
    conda:
        ENVIRONMENT
    localrule: True
    params:
        organism=lambda wildcards: organism(wildcards).id,
        code=version("select_twin_step"),
    script:
        script_path("select_twin_step")


def technique(wildcards):
    """Return the settings of the technique that the wildcards name."""
    return PLAN.techniques[wildcards.technique]


def recipe(organism):
    """Return every setting that an organism's training depends on, defaults merged."""
    technique = PLAN.techniques[organism.technique]
    settings = training_settings(PLAN, organism.base, organism.behaviour, organism.technique)
    return {
        "base": organism.base,
        "behaviour": organism.behaviour,
        "technique": organism.technique,
        "seed": organism.seed,
        "objective": technique.objective,
        "data": technique.data,
        "mix": technique.mix,
        "training": settings.model_dump(),
    }


def chosen_step(wildcards):
    """Return the folder of the saved step that was chosen for the organism."""
    chooser = checkpoints.select_twin if wildcards.behaviour == BENIGN else checkpoints.select
    named = {key: wildcards[key] for key in ("base", "behaviour", "technique", "seed")}
    if wildcards.behaviour == BENIGN:
        del named["behaviour"]
    output = chooser.get(**named).output
    selection = output[0] if wildcards.behaviour == BENIGN else output.selection
    step = json.loads(Path(selection).read_text())["step"]
    return f"{PATHS.organism(organism(wildcards))}/checkpoints/step-{step}"
