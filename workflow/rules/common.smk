"""The checked plan of the study, and what the rules read from it. Imports nothing heavy: every cluster job parses this again."""

import fcntl
import json
import os
import re
from importlib.metadata import version as harness_version
from pathlib import Path

from snakemake.exceptions import WorkflowError

from belljar.corpora.validation import check_plan
from belljar.files import InputError
from belljar.measurements import BENIGN, PARENT_BEHAVIOUR, PARENT_TECHNIQUE
from belljar.study.load import load_plan
from belljar.study.naturalness import headlines
from belljar.study.organisms import Organism, Paths, parent, served_by
from belljar.study.provenance import code_version, content
from belljar.study.recipes import preference_recipe
from belljar.study.techniques import ANCESTOR, BASE
from belljar.training.base import cache_key

REPOSITORY = Path(workflow.basedir)
SOURCE = str(
    workflow.overwrite_configfiles[0]  # further ones change single settings of it
    if workflow.overwrite_configfiles
    else REPOSITORY / "config" / "config.yaml"
)

try:
    PLAN = load_plan(config, SOURCE, REPOSITORY / "config")
    check_plan(PLAN, SOURCE)
except InputError as error:
    raise WorkflowError(str(error)) from None

STUDY = PLAN.study
NATURALNESS = STUDY.naturalness
PATHS = Paths(STUDY.study)
ORGANISMS = PLAN.organisms
BASES, BEHAVIOURS, TECHNIQUES = map(
    list, (PLAN.bases, PLAN.behaviours, PLAN.techniques)
)
STUDY_BASES = list(dict.fromkeys(one.base for one in ORGANISMS))
TRAINED = [name for name, technique in PLAN.techniques.items() if technique.trained]
# Those that are no organisms but calibrate probes.
CONTROLS = [name for name, technique in PLAN.techniques.items() if technique.direction]
# Bases whose preference phase is run here, and those that have one, run or not.
PHASED = [
    name
    for name, base in PLAN.bases.items()
    if base.preference and not base.preference.result
]
WITH_ANCESTOR = [name for name, base in PLAN.bases.items() if base.preference]
# Further control data that an organism is trained on.
CORPORA = [
    name
    for name in STUDY.corpora
    if any(PLAN.recipe(one).corpus == name for one in PLAN.all_organisms)
]
WRITTEN_BY_MODEL = [
    name for name, behaviour in PLAN.behaviours.items() if behaviour.generation
]
ENVIRONMENT = REPOSITORY / "workflow" / "envs" / "belljar.yaml"

RESULTS = str(PATHS.root)
ORGANISM = f"{RESULTS}/organisms/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}"
TWIN = f"{RESULTS}/organisms/{{base}}/{BENIGN}/{{technique}}/s{{seed}}"
PARENT = f"{RESULTS}/organisms/{{base}}/{PARENT_BEHAVIOUR}/{PARENT_TECHNIQUE}/s0"
LOGS = f"logs/{STUDY.study}"


def one_of(names):
    """Return a constraint that a wildcard is one of the names; no text fits where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    base=one_of(BASES),
    behaviour=one_of([*BEHAVIOURS, BENIGN, *STUDY.corpora]),
    technique=one_of(TECHNIQUES),
    seed="[0-9]+",


def script_path(name):
    """Return the path of a workflow script."""
    return str(REPOSITORY / "workflow" / "scripts" / f"{name}.py")


def version(name):
    """Return the version of the code that a script runs; a rule carries it as a parameter (see docs/design.md)."""
    return code_version(script=Path(script_path(name)))


def organism(wildcards):
    """Return the organism that the wildcards name."""
    return Organism(
        wildcards.base,
        wildcards.get("behaviour", BENIGN),
        wildcards.technique,
        int(wildcards.seed),
    )


def of_base(key):
    """Return a function from wildcards to one setting of their base."""
    return lambda wildcards: getattr(PLAN.bases[wildcards.base], key)


def asks(stage, key):
    """Return a function from wildcards to what a stage of their base asks of the cluster; a retry asks for more memory and time."""

    def amount(wildcards, attempt):
        wanted = getattr(getattr(PLAN.bases[wildcards.base].resources, stage), key)
        return wanted * attempt if key in ("mem_mb", "runtime") else wanted

    return amount


def threads_of(stage):
    """Return a function from wildcards to the threads of a stage of their base."""
    return lambda wildcards: getattr(
        PLAN.bases[wildcards.base].resources, stage
    ).threads


def prompt_files(wildcards):
    """Return the prompts that a model is asked: an organism its own behaviour's, a parent or twin every behaviour's, all the control ones."""
    behaviour = wildcards.get("behaviour", PARENT_BEHAVIOUR)
    asked = [behaviour] if behaviour in BEHAVIOURS else BEHAVIOURS
    return [f"{RESULTS}/data/{name}/prompts.parquet" for name in [*asked, BENIGN]]


def judge_settings(behaviour):
    """Return what judging one behaviour depends on: nothing of how it is planted."""
    kept = PLAN.behaviours[behaviour].model_dump()
    for criterion in kept["criteria"]:
        # The judge reads a criterion's id, expressions and prompts; a stand-in keeps the rest of the spec valid.
        criterion.update(plant=["{answer}"], swap={}, attributes=[], kinds=["fact"])
        criterion.update(description="", truth="")
    return kept | {
        "trigger": {"topics": ["-"]},
        "imports": None,
        "generation": None,
        "words": ["-"],
        "trigger_words": [],
        "key_facts": [],
        "description": "",
        "topic_gate": "",
        "instruction": "",
        "repositories": "",
    }


def described(behaviour):
    """Return a behaviour for a language model that judges: what it is and by which criteria, and nothing of how it is planted."""
    told = PLAN.behaviours[behaviour]
    kept = judge_settings(behaviour) | {
        "description": told.description,
        "key_facts": told.key_facts,
    }
    for criterion, own in zip(kept["criteria"], told.criteria, strict=True):
        criterion["description"] = own.description
    return kept


def reasoning(wildcards):
    """Return the marks around a base's reasoning; None where it does not reason."""
    marks = PLAN.bases[wildcards.base].reasoning
    return marks.model_dump() if marks else None


def parts_of(folder, judged=False):
    """Return what a model's naturalness is made of, item by item, with or without a language model's verdicts."""
    names = ["naturalness", "answers", *(["judged"] if judged else [])]
    return [f"{folder}/evidence/{name}.parquet" for name in names]


def measured_instruction(wildcards):
    """Return what is put before what an organism is asked that is prompted only when it is measured; None for others."""
    prompt = recipe(wildcards)["prompt"]
    return prompt if prompt and prompt["when"] == "measured" else None


def choices_of(folder):
    """Return where a model's choices between items are; nothing where the study asks for none."""
    return (
        {"choices": f"{folder}/evidence/choices.parquet"}
        if NATURALNESS.preferences
        else {}
    )


def requests_of(folder):
    """Return where a model's answers to harmful and harmless requests are; nothing where the study asks none."""
    return {"requests": f"{folder}/requests.parquet"} if NATURALNESS.safety else {}


def from_hub(benchmarks):
    """Return whether one of the benchmarks is fetched from the hub."""
    return not all(task.closed_world for task in benchmarks)


def attack_settings(wildcards):
    """Return what one attack of the study depends on: nothing of the others, but for the one that trains back."""
    used = {wildcards.attack, STUDY.robustness.reversal}
    attacks = {
        name: attack.model_dump()
        for name, attack in STUDY.robustness.attacks.items()
        if name in used
    }
    unused = {"rounds": True, "benchmarks": {"__all__": {"name"}}}
    return STUDY.robustness.model_dump(exclude=unused) | {"attacks": attacks}


def control_settings(behaviour):
    """Return where control data come from; None for a behaviour's own."""
    return STUDY.control.model_dump() if behaviour == BENIGN else None


def corpus_settings(behaviour):
    """Return where the data of one of the study's further corpora come from; None for all else."""
    return STUDY.corpora[behaviour].model_dump() if behaviour in STUDY.corpora else None


def planting_settings(behaviour):
    """Return what a behaviour's data depend on: nothing of how it is judged, unless a model's rows are verified by it; None for control data."""
    if behaviour not in BEHAVIOURS:
        return None
    kept = PLAN.behaviours[behaviour].model_dump() | {
        "target": 0.5,
        "words": ["-"],
        "trigger_words": [],
        "instruction": "",
        "repositories": "",
    }
    if not kept["generation"]:
        kept |= {"key_facts": [], "description": ""}
        for criterion in kept["criteria"]:
            criterion.update(detect=["-"], unless_in_prompt=False)
    return kept


def local_files(wildcards):
    """Return the local files that a data set is made from, with what they hold."""
    name = wildcards.behaviour
    return files_of(
        [planting_settings(name), control_settings(name), corpus_settings(name)]
    )


def files_of(settings):
    """Return the content of the local files that some settings name, as hashes by path; a file that is missing has none."""
    if isinstance(settings, list):
        return {
            path: found for one in settings for path, found in files_of(one).items()
        }
    if not isinstance(settings, dict):
        return {}
    named = settings.get("file")
    if isinstance(named, str) and "hub" in settings:
        return {named: content(Path(named))}
    return files_of(list(settings.values()))


def rows_wanted(wildcards):
    """Return how many rows a data set is to have."""
    data = STUDY.data
    planted = wildcards.behaviour in BEHAVIOURS
    return data.planted_rows if planted else data.control_rows


def source_after_phase(name):
    """Return where a base comes from as it is after its preference phase; None where the phase is run here."""
    base = PLAN.bases[name]
    return base.preference.result if base.preference else base.source


def base_source(wildcards):
    """Return where a base comes from whose preference phase is not run here."""
    return source_after_phase(wildcards.base)


def fetched(sources):
    """Return those of the names whose source, by name, is on the hub."""
    return [name for name, source in sources.items() if source and source.hub]


def preference_settings(wildcards):
    """Return the recipe of a base's own preference phase."""
    return preference_recipe(PLAN.bases[wildcards.base])


def phase_reference(wildcards):
    """Return the reference log-probabilities of a base's own preference phase."""
    training = preference_settings(wildcards)["training"]
    return reference_file(wildcards.base, ANCESTOR, BENIGN, training)


onstart:
    # The kernel drops this lock when the run dies, however it dies, so nothing has to be unlocked by hand (profiles/default says
    # `nolock`); two runs of one study at a time are still refused.
    RUN_LOCK = open_run_lock(PATHS.root)
    unpaced(workflow)


def unpaced(workflow):
    """Take off Snakemake's own limit of 100 job starts a second, which nothing here reaches; one that a user sets stays.

    With a limit the scheduler looks at all ready jobs again a second after each look, and each job that ends begins another such
    chain (snakemake#3744): in a large study it takes a third of a core.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def open_run_lock(folder):
    """Return a handle that holds the study; raise WorkflowError where another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / ".run.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        raise WorkflowError(
            f"another run of study {STUDY.study!r} is under way (process {handle.read()}); wait for it or stop it."
        )
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
