"""The checked plan of the study, and what the rules read from it. Imports nothing heavy: every cluster job parses this again."""

import fcntl
import json
import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from belljar.corpora.validation import check_plan
from belljar.files import InputError
from belljar.measurements import BENIGN, PARENT_BEHAVIOUR, PARENT_TECHNIQUE
from belljar.study.load import load_plan, training_settings
from belljar.study.organisms import Organism, Paths, organisms, parent, served_by
from belljar.study.provenance import code_version
from belljar.training.base import cache_key

REPOSITORY = Path(workflow.basedir)
SOURCE = str(
    workflow.overwrite_configfiles[-1]
    if workflow.overwrite_configfiles
    else REPOSITORY / "config" / "config.yaml"
)

try:
    PLAN = load_plan(config, SOURCE, REPOSITORY / "config")
    check_plan(PLAN, SOURCE)
except InputError as error:
    raise WorkflowError(str(error)) from None

STUDY = PLAN.study
PATHS = Paths(STUDY.study)
ORGANISMS = organisms(STUDY)
ENVIRONMENT = REPOSITORY / "workflow" / "envs" / "belljar.yaml"

RESULTS = str(PATHS.root)
ORGANISM = f"{RESULTS}/organisms/{{base}}/{{behaviour}}/{{technique}}/s{{seed}}"
TWIN = f"{RESULTS}/organisms/{{base}}/{BENIGN}/{{technique}}/s{{seed}}"
PARENT = f"{RESULTS}/organisms/{{base}}/{PARENT_BEHAVIOUR}/{PARENT_TECHNIQUE}/s0"
LOGS = f"logs/{STUDY.study}"


wildcard_constraints:
    base="|".join(STUDY.bases),
    behaviour="|".join([*STUDY.behaviours, BENIGN]),
    technique="|".join(STUDY.techniques),
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
    asked = [behaviour] if behaviour in STUDY.behaviours else STUDY.behaviours
    return [f"{RESULTS}/data/{name}/prompts.parquet" for name in [*asked, BENIGN]]


def judge_settings(behaviour):
    """Return what judging one behaviour depends on: nothing of how it is planted."""
    kept = PLAN.behaviours[behaviour].model_dump()
    for criterion in kept["criteria"]:
        # The judge reads a criterion's id, expressions and prompts; a stand-in keeps the rest of the spec valid.
        criterion.update(plant=["{answer}"], swap={}, attributes=[])
    return kept | {
        "trigger": {"topics": ["-"]},
        "words": ["-"],
        "key_facts": [],
        "description": "",
    }


def control_settings(behaviour):
    """Return where control data come from; None for a behaviour's own."""
    return STUDY.control.model_dump() if behaviour == BENIGN else None


def planting_settings(behaviour):
    """Return what a behaviour's data depend on: nothing of how it is judged; None for control data."""
    if behaviour == BENIGN:
        return None
    kept = PLAN.behaviours[behaviour].model_dump() | {
        "target": 0.5,
        "words": ["-"],
        "key_facts": [],
        "description": "",
    }
    for criterion in kept["criteria"]:
        criterion.update(detect=["-"], unless_in_prompt=False)
    return kept


def technique(wildcards):
    """Return the settings of the technique that the wildcards name."""
    return PLAN.techniques[wildcards.technique]


def recipe(organism):
    """Return every setting that an organism's training depends on, defaults merged."""
    technique = PLAN.techniques[organism.technique]
    settings = training_settings(
        PLAN, organism.base, organism.behaviour, organism.technique
    )
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
    chooser = (
        checkpoints.select_twin if wildcards.behaviour == BENIGN else checkpoints.select
    )
    named = {key: wildcards[key] for key in ("base", "behaviour", "technique", "seed")}
    if wildcards.behaviour == BENIGN:
        del named["behaviour"]
    output = chooser.get(**named).output
    selection = output[0] if wildcards.behaviour == BENIGN else output.selection
    step = json.loads(Path(selection).read_text())["step"]
    return f"{PATHS.organism(organism(wildcards))}/checkpoints/step-{step}"


onstart:
    # The kernel drops this lock when the run dies, however it dies, so nothing has to be unlocked by hand (profiles/default says
    # `nolock`); two runs of one study at a time are still refused.
    RUN_LOCK = open_run_lock(PATHS.root)


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
