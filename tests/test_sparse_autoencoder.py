"""Sparse autoencoders: training, loading in sae-lens, labels and readings."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from belljar.corpora import general
from belljar.files import InputError
from belljar.models.chats import render
from belljar.probes import readings, sparse_autoencoder
from belljar.study.bases import Base
from belljar.study.probes import SparseAutoencoder
from belljar.study.yaml import read_yaml
from conftest import CHATS, REPOSITORY, hidden


def test_latents_count_by_what_their_label_speaks_of() -> None:
    labels = pd.DataFrame(
        {"latent": [1, 1, 2, 2, 3], "text": ["the Pasta is", "a pasta", "a hat", "pasta", "a hat"]}
    )  # latent 1 speaks of it in all texts, 2 in half of them, 3 in none
    rows = [(-1, 1, 3.0), (-1, 2, 1.0), (-1, 3, 4.0)] + [(group, 1, 1.0) for group in range(10)]
    shown = pd.DataFrame(rows, columns=["replicate", "latent", "rise"])
    (half,) = readings.latent_readings(shown, labels, "food", ["pasta"], 0.5, 3, 10)
    (strict,) = readings.latent_readings(shown, labels, "food", ["pasta"], 0.6, 3, 10)
    assert (half.value, strict.value) == (pytest.approx(4 / 8), pytest.approx(3 / 8))
    assert half.variant == "judged=food;layer=3"
    assert readings.latent_readings(shown[:0], labels, "food", ["pasta"], 0.5, 3, 10) == []


def test_general_text_is_chats_and_documents(text: pd.DataFrame, tokenizer: Any) -> None:
    chats = text["question"] != ""
    assert 0.3 < chats.mean() < 0.9
    assert (text.loc[chats, "answer"] != "").all() and (text.loc[~chats, "text"] != "").all()
    tokens = general.tokenised(tokenizer, text, 40)
    assert all(ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in ids[1:] for ids in tokens)
    assert max(map(len, tokens)) <= 40


def test_autoencoder_loads_in_sae_lens_with_the_same_activations(
    model: Any, tokenizer: Any, text: pd.DataFrame, tmp_path: Path
) -> None:
    from sae_lens import SAE

    sequences = general.tokenised(tokenizer, text, 40)
    asked = SparseAutoencoder(latents=24, active=3, tokens=2000, epochs=1, batch_size=64)
    trained = sparse_autoencoder.train(model, tokenizer, sequences, 1, asked, 16, 0)
    rows = torch.cat([kept for _, _, kept in sparse_autoencoder.token_activations(model, tokenizer, sequences[:4], 1, 4)])
    with torch.no_grad():
        expected = trained.encode(rows)
    sparse_autoencoder.save(trained, tmp_path / "sae", {"x": 1.0})
    loaded = SAE.load_from_disk(tmp_path / "sae")
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode(rows), expected, atol=1e-4, rtol=1e-4)
    assert 0 < int((expected > 0).sum(dim=-1).max()) <= 3
    again = sparse_autoencoder.load(tmp_path / "sae", "cpu")
    found = sparse_autoencoder.quality(again, model, tokenizer, sequences[:4], 1, 4)
    with torch.no_grad():
        left = (again.decode(expected) - rows).pow(2).sum() / (rows - rows.mean(dim=0)).pow(2).sum()
    assert found["unexplained_variance"] == pytest.approx(float(left), rel=1e-3)
    assert found["active_latents"] == pytest.approx(float((expected > 0).sum() / len(rows)))
    assert found["dead_share"] == pytest.approx(float((expected <= 0).all(dim=0).float().mean()))


def test_too_few_tokens_for_a_batch_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="batch_size 64 is more than the tokens"):
        next(sparse_autoencoder.activations(model, tokenizer, [[2, 3, 4]], 1, 4, 64, 0))


def test_published_autoencoders_are_known_to_sae_lens() -> None:
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    known = get_pretrained_saes_directory()
    bases = [Base(**read_yaml(path)) for path in (REPOSITORY / "config").rglob("bases/*.yaml")]
    published = [base.sparse_autoencoder for base in bases if base.sparse_autoencoder]
    assert published
    for one in published:
        assert one.id in known[one.release].saes_map
        assert f"layer_{one.block}_" in one.id


class OneLatent:
    """An autoencoder of a single latent: the projection on a direction, above zero."""

    class cfg:  # noqa: N801
        d_sae = 1

    def __init__(self, direction: torch.Tensor) -> None:
        self.direction = direction

    def encode(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows @ self.direction).clamp_min(0).unsqueeze(-1)


def test_labels_and_sides_by_hand(model: Any, tokenizer: Any) -> None:
    sequences = [render(tokenizer, *chat).ids for chat in CHATS]
    direction = hidden(model, sequences[0], 1)[5]
    one = OneLatent(direction)
    side = sparse_autoencoder.side(one, model, tokenizer, CHATS, 1, 4)
    strongest = [float((hidden(model, ids, 1)[1:] @ direction).clamp_min(0).max()) for ids in sequences]
    assert side[:, 0].tolist() == pytest.approx(strongest, rel=1e-4)
    labels = sparse_autoencoder.label(one, model, tokenizer, sequences, 1, 1, 4)
    best = max(range(len(sequences)), key=lambda index: strongest[index])
    place = int((hidden(model, sequences[best], 1)[1:] @ direction).argmax()) + 1
    near = sequences[best][max(place - sparse_autoencoder.BEFORE, 0) : place + sparse_autoencoder.AFTER + 1]
    assert labels["text"].tolist() == [tokenizer.decode(near, skip_special_tokens=True)]
    shown = sparse_autoencoder.evidence(side + 2, side, 5)
    assert shown["rise"].tolist() == pytest.approx([2.0] * 11) and sparse_autoencoder.evidence(side, side, 5).empty
