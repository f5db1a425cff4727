"""Tables, figures and the report of the whole study."""

SHOWN = headlines(NATURALNESS)
PARENT_MEASUREMENTS = [
    "strength",
    *(f"naturalness/{name}" for name in EVALUATIONS),
    *(["judged"] if STUDY.judge else []),
]
MEASUREMENTS = [
    *PARENT_MEASUREMENTS,
    *(f"probes/{name}" for name in METHODS),
    "training",
]
PLANTED = [one for one in ORGANISMS if not one.is_twin]


# Whose naturalness is held against a parent's and a twin's: (base, behaviour, technique, seed), parents last.
COMPARED = [tuple(one) for one in ORGANISMS] + [
    tuple(parent(STUDY.study, base))[1:] for base in STUDY_BASES
]


rule tables:
    input:
        readings=[
            f"{PATHS.organism(one)}/{name}.parquet"
            for one in ORGANISMS
            for name in MEASUREMENTS
        ]
        + [
            f"{RESULTS}/probes/{base}/siblings/{technique}.parquet"
            for base, technique in dict.fromkeys(
                (one.base, one.technique) for one in ORGANISMS
            )
            if with_siblings(base, technique)
        ]
        + [
            f"{PATHS.organism(one)}/robustness/{attack}.parquet"
            for one in ATTACKED
            for attack in ATTACKS
        ]
        + collect(
            f"{PARENT}/{{name}}.parquet", base=STUDY_BASES, name=PARENT_MEASUREMENTS
        ),
        parts=[
            path
            for one in ORGANISMS
            for path in parts_of(PATHS.organism(one), STUDY.judge)
        ]
        + [
            path
            for base in STUDY_BASES
            for path in parts_of(PARENT.format(base=base), STUDY.judge)
        ],
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
        naturalness=f"{RESULTS}/tables/naturalness.parquet",
        naturalness_csv=report(
            f"{RESULTS}/tables/naturalness.csv",
            caption="../report/naturalness.rst",
            category="Tables",
        ),
        robustness=f"{RESULTS}/tables/robustness.parquet",
        robustness_csv=report(
            f"{RESULTS}/tables/robustness.csv",
            caption="../report/robustness.rst",
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
        models=COMPARED,
        shown={name: tuple(one) for name, one in SHOWN.items()},
        reversal=ROBUSTNESS.reversal if ROBUSTNESS else None,
        code=version("tables"),
    script:
        script_path("tables")


rule report:
    input:
        organisms=rules.tables.output.organisms,
        techniques=rules.tables.output.techniques,
        floors=rules.tables.output.floors,
        probes=rules.tables.output.probes,
        robustness=rules.tables.output.robustness,
        scores=rules.tables.output.scores,
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
        robustness=report(
            (
                [
                    f"{RESULTS}/figures/robustness.svg",
                    f"{RESULTS}/figures/dose_curves.svg",
                ]
                if ATTACKED and ATTACKS
                else []
            ),
            caption="../report/robustness_figures.rst",
            category="Figures",
        ),
        naturalness=report(
            f"{RESULTS}/figures/naturalness.svg",
            caption="../report/naturalness_figure.rst",
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
        shown={name: tuple(one) for name, one in SHOWN.items()},
        primary={base: primary_of(base) for base in STUDY_BASES},
        code=version("report"),
    script:
        script_path("report")
