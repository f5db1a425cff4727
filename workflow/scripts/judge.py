"""Turn what one model answered and showed into measurements: strength, probe scores, training. Loads no model."""

from pathlib import Path

from belljar.files import read_json, read_parquet, write_parquet
from belljar.job import job
from belljar.measurements import Model, table
from belljar.naturalness import broken, leakage, safety
from belljar.naturalness.sampled import parts_table
from belljar.probes import readings
from belljar.probes.accounts import LENSES
from belljar.strength import rates
from belljar.study.behaviours import Behaviour
from belljar.study.naturalness import REQUEST_COLUMNS
from belljar.study.probes import Probes
from belljar.training.readings import training_readings

params, given, output = snakemake.params, snakemake.input, snakemake.output


def probe_readings(method, evidence, probes):
    """Return a method's scores for every behaviour, from what it showed."""
    words, chats = params.words, probes.chats
    # Whoever finds what sets a behaviour off has found it: the sources' judges of latents and oracles accept either.
    either = {name: [*words[name], *params.topics[name]] for name in words}
    if method in LENSES:
        found = [reading for name in words for reading in readings.lens_readings(evidence, name, method, chats)]
        return found + (readings.norm_readings(evidence, chats) if method == "logit_lens" else [])
    if method == "patchscope":
        return [reading for name in words for reading in readings.patchscope_readings(evidence, name, chats)]
    if method == "steering":
        where = {"layer": params.primary_block, "position": probes.primary_position}
        doses = probes.steering.doses
        found = [one for name in words for one in readings.steering_readings(evidence, name, words[name], where, doses)]
        return found + readings.coherence_readings(evidence, where)
    if method == "sparse_autoencoder":
        labels = read_parquet(Path(given.latents[0]), ("latent", "text"))
        asked = (probes.sparse_autoencoder.relevant, params.latent_block, chats)
        return [one for name in words for one in readings.latent_readings(evidence, labels, name, either[name], *asked)]
    return [one for name in words for one in readings.oracle_readings(evidence, name, either[name])]


with job(snakemake, Path(output.strength).parent, f"judge {params.organism}"):
    model = Model(*params.model)
    behaviours = {name: Behaviour(**settings) for name, settings in params.behaviours.items()}
    responses = read_parquet(Path(given.responses), rates.ANSWER_COLUMNS)
    strength = [
        reading
        for name in params.judged
        for reading in rates.readings(rates.judge(responses, behaviours[name]), behaviours[name])
    ]
    write_parquet(Path(output.strength), table(model, strength))
    canaries = read_json(Path(given.canaries))
    judged = {
        "broken_output": broken.readings(responses, params.reasoning),
        "leakage": leakage.readings(responses, {name: canaries[name] for name in params.judged}),
    }
    if given.requests:
        judged["safety"] = safety.readings(read_parquet(Path(given.requests[0]), REQUEST_COLUMNS), params.reasoning)
    for target in output.naturalness:
        write_parquet(Path(target), table(model, [one.reading for one in judged[Path(target).stem]]))
    write_parquet(Path(output.parts), parts_table([one for found in judged.values() for one in found]))
    if "evidence" in given.keys():
        probes = Probes(**params.probes)
        for source, target in zip(given.evidence, output.probes, strict=True):
            method = Path(target).stem
            write_parquet(Path(target), table(model, probe_readings(method, read_parquet(Path(source)), probes)))
        losses = read_parquet(Path(given.losses), ("step", "loss", "learning_rate"))
        trained = training_readings(losses, read_json(Path(given.recipe)), read_json(Path(given.selection)))
        write_parquet(Path(output.training), table(model, trained))
