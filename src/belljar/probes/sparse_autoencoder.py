"""Sparse autoencoders, through sae-lens: which latents rise between reference and organism, and what they speak of.

An autoencoder is trained once a base, or a published one is loaded. A latent's label is the texts that it is most active on. The
score is the share of the rise that belongs to latents about the behaviour (the lottery paper, section 4.4, which takes the share
of activation).
"""

import contextlib
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from belljar.files import InputError, atomic_path
from belljar.models.activations import block_outputs
from belljar.models.chats import render
from belljar.probes.difference import GROUPS, LONGEST, replicates
from belljar.study.probes import SparseAutoencoder

LATENT_COLUMNS = ("latent", "rank", "activation", "text")
COLUMNS = ("replicate", "latent", "rise")
BEFORE, AFTER = 8, 4  # tokens of a label's text around the token where the latent is most active
CHUNK = 1024  # sequences whose activations are shuffled together
QUALITY = "quality.json"


def train(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[Sequence[int]],
    block: int,
    settings: SparseAutoencoder,
    batch_size: int,
    seed: int,
) -> Any:
    """Return a TopK autoencoder, trained on the block's output at all tokens of `sequences` but their first."""
    from sae_lens import SAETrainer, TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig

    torch.manual_seed(seed)
    width, total = model.config.hidden_size, settings.tokens * settings.epochs
    shape = TopKTrainingSAEConfig(
        d_in=width,
        d_sae=settings.latents,
        k=settings.active,
        device=str(model.device),
        normalize_activations="expected_average_only_in",
    )
    steps = max(total // settings.batch_size, 1)
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=steps * settings.batch_size,
            train_batch_size_samples=settings.batch_size,
            lr=settings.learning_rate,
            lr_warm_up_steps=steps // 20,
            lr_decay_steps=steps // 5,
            lr_end=settings.learning_rate / 10,
            device=str(model.device),
            n_batches_for_norm_estimate=20,
            logger=LoggingConfig(log_to_wandb=False),
        ),
        sae=TopKTrainingSAE(shape),
        data_provider=activations(model, tokenizer, sequences, block, batch_size, settings.batch_size, seed),
    )
    with contextlib.redirect_stderr(io.StringIO()):  # its bar; a job has its own progress
        return trainer.fit()


def activations(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], block: int, batch_size: int, size: int, seed: int
) -> Iterator[torch.Tensor]:
    """Yield batches (size, d_model) of the block's output at shuffled tokens, over and over.

    A sequence's first token is left out: its activation is many times as long as all others and the same in every text.
    """
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    found_any = True
    while found_any:
        found_any = False
        order = rng.sample(range(len(sequences)), len(sequences))
        for begin in range(0, len(order), CHUNK):
            chunk = [sequences[index] for index in order[begin : begin + CHUNK]]
            found = [kept for _, _, kept in token_activations(model, tokenizer, chunk, block, batch_size)]
            flat = torch.cat([rows.reshape(-1, rows.shape[-1]) for rows in found])
            flat = flat[torch.randperm(len(flat), generator=generator).to(flat.device)]
            for part in flat.split(size):
                if len(part) == size:
                    found_any = True
                    yield part
    raise InputError(f"probes.sparse_autoencoder.batch_size {size} is more than the tokens of {CHUNK} general texts; lower it.")


@torch.inference_mode()
def token_activations(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], block: int, batch_size: int
) -> Iterator[tuple[int, Sequence[int], torch.Tensor]]:
    """Yield each sequence's index, its token ids but the first, and their activations (tokens, d_model) in float32."""
    for batch in block_outputs(model, tokenizer, sequences, [block], batch_size):
        for row, index in enumerate(batch.rows):
            length = len(sequences[index])
            yield index, sequences[index][1:], batch.outputs[0][row, 1:length].float().clone()


def save(sae: Any, folder: Path, quality: Mapping[str, float]) -> None:
    """Write the autoencoder to `folder` as sae-lens loads it for inference, and beside it how good it is."""
    with atomic_path(folder) as scratch:
        getattr(sae, "save_inference_model", sae.save_model)(scratch)  # one that is loaded is for inference already
        (scratch / QUALITY).write_text(json.dumps(quality))


def published(release: str, name: str, device: Any) -> Any:
    """Return the autoencoder that sae-lens knows by release and id, from the hub."""
    from sae_lens import SAE

    return SAE.from_pretrained(release, name, device=str(device)).eval()


def load(folder: Path, device: Any) -> Any:
    """Return the autoencoder in `folder`."""
    from sae_lens import SAE

    return SAE.load_from_disk(folder, device=str(device)).eval()


@torch.inference_mode()
def quality(
    sae: Any, model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], block: int, batch_size: int
) -> dict[str, float]:
    """Return the share of variance that the autoencoder misses, the mean number of active latents, and the share of dead ones."""
    missed = spread = active = 0.0
    count = 0
    fired = torch.zeros(sae.cfg.d_sae, dtype=torch.bool, device=model.device)
    found = [kept for _, _, kept in token_activations(model, tokenizer, sequences, block, batch_size)]
    middle = torch.cat(found).mean(dim=0)
    for rows in found:
        latents = sae.encode(rows)
        missed += float((sae.decode(latents) - rows).pow(2).sum())
        spread += float((rows - middle).pow(2).sum())
        active += float((latents > 0).sum())
        fired |= (latents > 0).any(dim=0)
        count += len(rows)
    return {
        "unexplained_variance": missed / spread,
        "active_latents": active / count,
        "dead_share": 1 - float(fired.float().mean()),
    }


@torch.inference_mode()
def label(
    sae: Any, model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], block: int, examples: int, batch_size: int
) -> pd.DataFrame:
    """Return for each latent the texts around the tokens where it is most active, one a sequence, LATENT_COLUMNS.

    A latent that is active in fewer than `examples` sequences has that many.
    """
    best = torch.zeros(len(sequences), sae.cfg.d_sae)
    where = torch.zeros(len(sequences), sae.cfg.d_sae, dtype=torch.int32)
    for index, _, rows in token_activations(model, tokenizer, sequences, block, batch_size):
        peak = sae.encode(rows).max(dim=0)
        best[index], where[index] = peak.values.cpu(), peak.indices.int().cpu()
    top = best.topk(min(examples, len(sequences)), dim=0)
    rows = []
    for latent in range(sae.cfg.d_sae):
        for rank, (value, index) in enumerate(zip(top.values[:, latent].tolist(), top.indices[:, latent].tolist(), strict=True)):
            if value > 0:
                place = int(where[index, latent]) + 1
                near = sequences[index][max(place - BEFORE, 0) : place + AFTER + 1]
                rows.append((latent, rank, value, tokenizer.decode(near, skip_special_tokens=True)))
    return pd.DataFrame(rows, columns=list(LATENT_COLUMNS))


@torch.inference_mode()
def side(sae: Any, model: Any, tokenizer: Any, chats: Sequence[tuple[str, str]], block: int, batch_size: int) -> torch.Tensor:
    """Return one model's side, (groups, latents): each latent's maximum over tokens, mean over the chats of a jackknife group."""
    sequences = [render(tokenizer, question, answer, LONGEST).ids for question, answer in chats]
    sums, counts = torch.zeros(GROUPS, sae.cfg.d_sae), torch.zeros(GROUPS, 1)
    for index, _, rows in token_activations(model, tokenizer, sequences, block, batch_size):
        sums[index % GROUPS] += sae.encode(rows).max(dim=0).values.cpu()
        counts[index % GROUPS] += 1
    return sums / counts


def evidence(own: torch.Tensor, reference: torch.Tensor, moved: int) -> pd.DataFrame:
    """Return the latents that rise most between the reference and the organism, COLUMNS; both sides (groups, latents)."""
    rows = []
    for replicate, rise in replicates(own - reference).items():
        top = rise.topk(min(moved, len(rise)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        rows += [(replicate, latent, value) for latent, value in pairs if value > 0]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"replicate": int, "latent": int, "rise": float})
