"""Tables, figures and the report of the whole study."""

PARENT_MEASUREMENTS = ["strength", *(f"naturalness/{name}" for name in EVALUATIONS)]
MEASUREMENTS = [
    *PARENT_MEASUREMENTS,
    *(f"probes/{name}" for name in METHODS),
    "training",
    *(["judged"] if STUDY.judge else []),
]
PLANTED = [one for one in ORGANISMS if not one.is_twin]


rule tables:
    input:
        [
            f"{PATHS.organism(one)}/{name}.parquet"
            for one in ORGANISMS
            for name in MEASUREMENTS
        ],
        [
            f"{RESULTS}/probes/{base}/siblings/{technique}.parquet"
            for base, technique in dict.fromkeys(
                (one.base, one.technique) for one in ORGANISMS
            )
            if with_siblings(base, technique)
        ],
        [
            f"{PATHS.organism(one)}/robustness/{attack}.parquet"
            for one in ATTACKED
            for attack in ATTACKS
        ],
        collect(
            f"{PARENT}/{{name}}.parquet", base=STUDY_BASES, name=PARENT_MEASUREMENTS
        ),
    output:
        scores=f"{RESULTS}/tables/scores.parquet",
        floors=f"{RESULTS}/tables/floors.parquet",
        probes=f"{RESULTS}/tables/probes.parquet",
        probes_csv=report(
            f"{RESULTS}/tables/probes.csv",
            caption="../report/probes.rst",
            category="Tables",
        ),
        organisms=f"{RESULTS}/tables/organisms.parquet",
        organisms_csv=report(
            f"{RESULTS}/tables/organisms.csv",
            caption="../report/organisms.rst",
            category="Tables",
        ),
        techniques=f"{RESULTS}/tables/techniques.parquet",
        techniques_csv=report(
            f"{RESULTS}/tables/techniques.csv",
            caption="../report/techniques.rst",
            category="Tables",
        ),
    log:
        f"{LOGS}/tables.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        primary={base: primary_of(base) for base in STUDY_BASES},
        controls=CONTROLS,
        code=version("tables"),
    script:
        script_path("tables")


rule report:
    input:
        organisms=rules.tables.output.organisms,
        techniques=rules.tables.output.techniques,
        floors=rules.tables.output.floors,
        probes=rules.tables.output.probes,
        cards=[f"{PATHS.organism(one)}/card.md" for one in ORGANISMS],
        curves=[f"{PATHS.organism(one)}/curve.parquet" for one in PLANTED],
        selections=[f"{PATHS.organism(one)}/selection.json" for one in PLANTED],
        bases=collect(f"{RESULTS}/bases/{{base}}", base=STUDY_BASES),
        autoencoders=collect(
            f"{RESULTS}/probes/{{base}}/sparse_autoencoder/autoencoder",
            base=STUDY_BASES if PROBES.sparse_autoencoder else [],
        ),
        oracles=collect(
            f"{RESULTS}/probes/{{base}}/oracle/quality.parquet",
            base=STUDY_BASES if PROBES.oracle else [],
        ),
    output:
        report=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"
        ),
        scatters=report(
            [f"{RESULTS}/figures/{name}_against_strength.svg" for name in METHODS],
            caption="../report/scatter.rst",
            category="Figures",
        ),
        curves=report(
            f"{RESULTS}/figures/validation_curves.svg",
            caption="../report/curves.rst",
            category="Figures",
        ),
    log:
        f"{LOGS}/report.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        study={
            "study": STUDY.study,
            "bases": STUDY_BASES,
            "behaviours": BEHAVIOURS,
            "techniques": list(dict.fromkeys(one.technique for one in ORGANISMS)),
            "controls": CONTROLS,
            "seeds": sorted({one.seed for one in ORGANISMS}),
        },
        organisms=[one.id for one in ORGANISMS],
        curves_of=[tuple(one) for one in PLANTED],
        targets={name: behaviour.target for name, behaviour in PLAN.behaviours.items()},
        methods=METHODS,
        primary={base: primary_of(base) for base in STUDY_BASES},
        code=version("report"),
    script:
        script_path("report")
