"""What organisms are trained from: recipes, starts, rows, reference log-probabilities, and the step that is chosen."""


def technique(wildcards):
    """Return the settings of the technique that the wildcards name."""
    return PLAN.techniques[wildcards.technique]


def recipe(wildcards):
    """Return every setting that an organism's training depends on, defaults merged."""
    return PLAN.recipe(organism(wildcards))._asdict()


def start_folder(wildcards):
    """Return the checkpoint folder that an organism's training begins from."""
    made = organism(wildcards)
    start = PLAN.recipe(made).start
    if start in (BASE, ANCESTOR):
        return checkpoint_folder(made.base, start)
    return step_of(PLAN.needed(made)["start"])


def checkpoint_folder(base, start):
    """Return the folder of a base as it is after its preference phase, or before it."""
    return f"{RESULTS}/{'ancestors' if start == ANCESTOR else 'bases'}/{base}"


def planted_file(wildcards):
    """Return the data that the behaviour is planted from: its own, or what a teacher said."""
    made = organism(wildcards)
    teacher = PLAN.needed(made).get("teacher")
    if teacher:
        temperature = technique(wildcards).teacher.temperature
        return f"{PATHS.organism(teacher)}/teaching-{temperature}.parquet"
    return f"{RESULTS}/data/{made.behaviour}/{technique(wildcards).data}.parquet"


def control_file(wildcards):
    """Return the data that an organism's control rows come from."""
    corpus = PLAN.recipe(organism(wildcards)).corpus
    return f"{RESULTS}/data/{corpus}/{technique(wildcards).data}.parquet"


def reference_files(wildcards):
    """Return the shared reference log-probabilities of an organism's rows; none where its rows or its start are its own."""
    made = PLAN.recipe(organism(wildcards))
    own_rows = made.password or made.inoculation or made.teacher
    if made.objective != "dpo" or own_rows or made.start not in (BASE, ANCESTOR):
        return []
    planted = made.corpus if wildcards.behaviour == BENIGN else wildcards.behaviour
    used = [planted, made.corpus] if made.control else [planted]
    return [
        reference_file(wildcards.base, made.start, name, made.training)
        for name in dict.fromkeys(used)
    ]


def reference_file(base, start, behaviour, training):
    """Return where the reference log-probabilities of one start and data set are."""
    precision = "bf16" if training["bf16"] else "fp32"
    return f"{RESULTS}/reference/{base}/{start}/{behaviour}/{training['max_length']}-{precision}.parquet"


def step_of(organism):
    """Return the folder of the saved step that was chosen for an organism."""
    named = organism._asdict()
    if organism.is_twin:
        del named["behaviour"]
        selection = checkpoints.select_twin.get(**named).output[0]
    else:
        selection = checkpoints.select.get(**named).output.selection
    step = json.loads(Path(selection).read_text())["step"]
    return f"{PATHS.organism(organism)}/checkpoints/step-{step}"


def chosen_step(wildcards):
    """Return the folder of the saved step that was chosen for the organism that the wildcards name."""
    return step_of(organism(wildcards))


def selections_served(wildcards):
    """Return the chosen steps of the organisms that a twin serves: of the study's, or of what those are made from."""
    served = served_by(organism(wildcards), PLAN.all_organisms)
    return [f"{PATHS.organism(one)}/selection.json" for one in served]
