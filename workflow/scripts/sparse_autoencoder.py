"""Train a base's sparse autoencoder, or load a published one; label its latents; read the base's own side."""

from pathlib import Path

from belljar.files import atomic_path, read_parquet, write_parquet
from belljar.job import job
from belljar.study.probes import SparseAutoencoder

SEED = 0
LONGEST = 128  # tokens of a text
LABELLED = 6000  # texts that labels are looked for in
HELD_OUT = 500  # further texts, on which it is measured how much the autoencoder explains
params, given, output = snakemake.params, snakemake.input, snakemake.output
with job(snakemake, Path(output.sides).parent, f"sparse autoencoder of {snakemake.wildcards.base}") as progress:
    from safetensors.torch import save_file

    from belljar.corpora import general
    from belljar.models.load import load_model, load_tokenizer
    from belljar.probes import sparse_autoencoder as probe

    settings, block, size = SparseAutoencoder(**params.settings), params.block, params.batch_size
    model, tokenizer = load_model(Path(given.base), params.dtype), load_tokenizer(Path(given.base))
    sequences = general.tokenised(tokenizer, read_parquet(Path(given.general), general.COLUMNS), LONGEST)
    held_out = min(HELD_OUT, len(sequences) // 5)
    kept, rest = sequences[:-held_out], sequences[-held_out:]
    if params.published:
        autoencoder = probe.published(params.published["release"], params.published["id"], model.device)
    else:
        autoencoder = probe.train(model, tokenizer, kept, block, settings, size, SEED)
    quality = probe.quality(autoencoder, model, tokenizer, rest, block, size)
    probe.save(autoencoder, Path(output.autoencoder), quality)
    autoencoder = probe.load(Path(output.autoencoder), model.device)
    progress(1, 3, f"{quality['unexplained_variance']:.3f} of the variance unexplained")
    labels = probe.label(autoencoder, model, tokenizer, kept[:LABELLED], block, settings.examples, size)
    write_parquet(Path(output.latents), labels)
    chats = list(read_parquet(Path(given.chats), ("question", "answer"))[: params.chats].itertuples(index=False, name=None))
    sides = {}
    for start in [name for name in ("base", "ancestor") if name in given.keys()]:
        model = load_model(Path(given[start]), params.dtype)
        sides[start] = probe.side(autoencoder, model, tokenizer, chats, block, size)
    with atomic_path(Path(output.sides)) as scratch:
        save_file(sides, scratch)
