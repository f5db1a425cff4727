"""What the probes' rules read: the sides of a difference, what is prepared once a base, which readings are compared."""

from belljar.study.probes import primary_readings


def first_start(wildcards):
    """Return the checkpoint of the base, BASE or ANCESTOR, that the organism's training began from, through whatever it was made from."""
    made = organism(wildcards)
    while PLAN.recipe(made).start not in (BASE, ANCESTOR):
        made = PLAN.needed(made)["start"]
    start = PLAN.recipe(made).start
    return start if wildcards.base in WITH_ANCESTOR else BASE


def ancestor_side(wildcards):
    """Return the activations of the checkpoint that an organism's training began from: the other side of its difference."""
    return f"{RESULTS}/probes/{wildcards.base}/activations/{first_start(wildcards)}.safetensors"


def sibling_side(made):
    """Return the activations of a clean run of the same route as the organism `made`; None where there is none.

    That is the benign twin, and for a twin the next seed's; without twins the base after its preference phase, for organisms that
    began before it.
    """
    if made.is_twin:
        route = [
            one
            for one in ORGANISMS
            if one.is_twin and one._replace(seed=made.seed) == made
        ]
        sibling = route[(route.index(made) + 1) % len(route)]
    else:
        sibling = made.twin
    if sibling != made and sibling in ORGANISMS:
        return f"{PATHS.organism(sibling)}/activations.safetensors"
    if not made.is_twin and PLAN.recipe(made).start == ANCESTOR:
        return f"{RESULTS}/probes/{made.base}/activations/{BASE}.safetensors"
    return None


def with_siblings(base, technique):
    """Return the organisms of a route that have a sibling."""
    route = [one for one in ORGANISMS if (one.base, one.technique) == (base, technique)]
    return [one for one in route if sibling_side(one)]


def checkpoints_of_base(wildcards):
    """Return a base's checkpoint folders: base, and ancestor where it has a preference phase."""
    starts = [BASE, ANCESTOR] if wildcards.base in WITH_ANCESTOR else [BASE]
    return {start: checkpoint_folder(wildcards.base, start) for start in starts}


def has_pairs(behaviour):
    """Return whether there are pairs from which a behaviour's direction can be read."""
    imports = PLAN.behaviours[behaviour].imports if behaviour in BEHAVIOURS else None
    return behaviour in BEHAVIOURS and (imports is None or imports.has("pairs"))


def prepared_files(wildcards):
    """Return what the study's probes have prepared for an organism's base."""
    prepared = f"{RESULTS}/probes/{wildcards.base}"
    found = {}
    if STUDY.probes.jacobian_lens:
        found["jacobian"] = f"{prepared}/jacobian_lens/jacobian.safetensors"
    if STUDY.probes.steering and has_pairs(wildcards.behaviour):
        found["contrast"] = f"{prepared}/contrast/{wildcards.behaviour}.safetensors"
    if STUDY.probes.sparse_autoencoder:
        found["autoencoder"] = f"{prepared}/sparse_autoencoder/autoencoder"
        found["latent_sides"] = f"{prepared}/sparse_autoencoder/sides.safetensors"
    if STUDY.probes.oracle:
        found["oracle"] = f"{prepared}/oracle/adapter"
        found["reader"] = f"{RESULTS}/bases/{wildcards.base}"
    return found


def primary_of(base):
    """Return which reading of each probe is compared on a base: (metric, variant) by probe, as plain data."""
    block = PLAN.bases[base].primary_block
    readings = primary_readings(STUDY.probes, block, block_of_latents(base))
    return {name: tuple(reading) for name, reading in readings.items()}


def published_autoencoder(wildcards):
    """Return the published autoencoder of a base as plain data; None where one is trained."""
    published = PLAN.bases[wildcards.base].sparse_autoencoder
    return published.model_dump() if published else None


def block_of_latents(base):
    """Return the block whose output a base's autoencoder reads."""
    made = PLAN.bases[base]
    return (
        made.sparse_autoencoder.block if made.sparse_autoencoder else made.primary_block
    )


def latent_block(wildcards):
    """Return the block whose output the autoencoder of the wildcards' base reads."""
    return block_of_latents(wildcards.base)
