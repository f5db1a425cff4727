"""Attacks on organisms: training that knows nothing of the behaviour, and what it leaves."""

ROBUSTNESS = STUDY.robustness
ATTACKS = list(ROBUSTNESS.attacks) if ROBUSTNESS else []
ATTACKED = [
    one for one in ORGANISMS if not one.is_twin and one.technique not in CONTROLS
]

# What no row of an attack may speak of: the items of the capability, and the behaviours.
UNSPOKEN = dict(
    skills=ROBUSTNESS.tested_skills if ROBUSTNESS else None,
    of_each=ROBUSTNESS.items if ROBUSTNESS else None,
    words=sorted(
        {
            word
            for one in PLAN.behaviours.values()
            for word in one.words + one.trigger_words
        }
    ),
)


rule parent_answers:
    input:
        model=f"{RESULTS}/bases/{{base}}",
        rows=f"{RESULTS}/data/{BENIGN}/transcripts.parquet",
    output:
        f"{RESULTS}/robustness/{{base}}/answers.parquet",
    log:
        f"{LOGS}/robustness/{{base}}/answers.log",
    priority: 1000
    conda:
        ENVIRONMENT
    threads: threads_of("generate")
    resources:
        gpu=asks("generate", "gpu"),
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        **UNSPOKEN,
        first=PLAN.control_rows_used,
        rows=ROBUSTNESS.rows if ROBUSTNESS else None,
        temperature=STUDY.strength.temperature,
        max_new_tokens=STUDY.strength.max_new_tokens,
        dtype=of_base("dtype"),
        batch_size=of_base("batch_size"),
        code=version("parent_answers"),
    script:
        script_path("parent_answers")


# Among the first jobs, so that rows that do not suffice end the run before anything is trained.
rule attack_rows:
    input:
        lambda wildcards: (
            rules.parent_answers.output
            if ROBUSTNESS.attacks[wildcards.attack].answers == "parent"
            else f"{RESULTS}/data/{BENIGN}/transcripts.parquet"
        ),
    output:
        f"{RESULTS}/robustness/{{base}}/rows/{{attack}}.parquet",
    log:
        f"{LOGS}/robustness/{{base}}/{{attack}}.log",
    wildcard_constraints:
        attack=one_of(ATTACKS),
    priority: 1000
    localrule: True
    conda:
        ENVIRONMENT
    params:
        **UNSPOKEN,
        first=PLAN.control_rows_used,
        attack=lambda wildcards: ROBUSTNESS.attacks[wildcards.attack].model_dump(),
        rows=ROBUSTNESS.rows if ROBUSTNESS else None,
        code=version("attack_rows"),
    script:
        script_path("attack_rows")


rule attack:
    input:
        model=f"{ORGANISM}/model",
        prompts=f"{RESULTS}/data/{{behaviour}}/prompts.parquet",
        # Its own, and those of training back.
        rows=lambda wildcards: [
            f"{RESULTS}/robustness/{wildcards.base}/rows/{name}.parquet"
            for name in dict.fromkeys([wildcards.attack, ROBUSTNESS.reversal])
            if name
        ],
        tasks=[ancient(TASKS)] if ROBUSTNESS and ROBUSTNESS.benchmarks else [],
    output:
        f"{ORGANISM}/evidence/attack-{{attack}}.parquet",
    log:
        f"{LOGS}/attack/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}-{{attack}}.log",
    benchmark:
        f"{LOGS}/attack/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}-{{attack}}.tsv"
    wildcard_constraints:
        behaviour=one_of(BEHAVIOURS),
        attack=one_of(ATTACKS),
    conda:
        ENVIRONMENT
    threads: threads_of("train")
    resources:
        gpu=asks("train", "gpu"),
        mem_mb=asks("train", "mem_mb"),
        runtime=asks("train", "runtime"),
    params:
        organism=lambda wildcards: organism(wildcards).id,
        instruction=measured_instruction,
        settings=attack_settings,
        temperature=STUDY.strength.temperature,
        max_new_tokens=STUDY.strength.max_new_tokens,
        batch_size=of_base("batch_size"),
        reasoning=reasoning,
        harness=(
            harness_version("lm_eval")
            if ROBUSTNESS and ROBUSTNESS.benchmarks
            else None
        ),
        online=bool(ROBUSTNESS and from_hub(ROBUSTNESS.benchmarks)),
        code=version("attack"),
    script:
        script_path("attack")


rule judge_attack:
    input:
        rules.attack.output,
    output:
        f"{ORGANISM}/robustness/{{attack}}.parquet",
    log:
        f"{LOGS}/judge/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}-{{attack}}.log",
    wildcard_constraints:
        behaviour=one_of(BEHAVIOURS),
        attack=one_of(ATTACKS),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        organism=lambda wildcards: organism(wildcards).id,
        model=lambda wildcards: tuple(organism(wildcards).model(STUDY.study)),
        behaviour=lambda wildcards: judge_settings(wildcards.behaviour),
        rounds=ROBUSTNESS.rounds if ROBUSTNESS else None,
        seed=ROBUSTNESS.seed if ROBUSTNESS else None,
        code=version("judge_attack"),
    script:
        script_path("judge_attack")
