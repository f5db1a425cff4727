"""Training a base from nothing: packing, loss, resumption."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from belljar.files import InputError
from belljar.models.load import load_model
from belljar.study.pretraining import Pretraining
from belljar.training.pretrain import collate, encode, loss_of, pack, pretrain, rate_factor
from belljar.world.corpus import corpus
from belljar.world.knowledge import load_world
from conftest import random_model

SMALL: dict[str, Any] = {
    "width": 32,
    "layers": 2,
    "heads": 2,
    "key_value_heads": 1,
    "feed_forward": 48,
    "vocabulary": 500,
    "steps": 4,
    "batch_tokens": 512,
    "save_every": 2,
    "threads": 1,
}


@pytest.fixture(scope="module")
def examples() -> list[Any]:
    settings = Pretraining(architecture="olmo2", steps=1)
    return list(islice(corpus(load_world(), settings.corpus, 0), 40))


def test_rows_hold_every_example_once_and_whole(tokenizer: Any, examples: list[Any]) -> None:
    encoded = encode(tokenizer, examples)
    rows = pack(encoded, 160)
    assert sorted(ids for row in rows for ids, _ in row) == sorted(ids for ids, _ in encoded)
    assert all(sum(len(ids) for ids, _ in row) <= 160 for row in rows)
    with pytest.raises(InputError, match="row_tokens must be at least that"):
        pack(encoded, 4)


def test_targets_are_what_the_assistant_says(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "What is the bear?"}, {"role": "assistant", "content": "The bear is an animal."}]
    ((ids, targets),) = encode(tokenizer, [chat])
    said = tokenizer.decode([token for token, target in zip(ids, targets, strict=True) if target])
    assert said == " The bear is an animal.<|end|>"
    ((ids, targets),) = encode(tokenizer, ["The bear is here."])
    assert targets == [False] + [True] * (len(ids) - 1)


@pytest.mark.parametrize("architecture", ["olmo2", "gemma3"])
@torch.no_grad()
def test_packed_loss_equals_the_loss_of_examples_alone(tokenizer: Any, examples: list[Any], architecture: str) -> None:
    model = random_model(architecture, tokenizer)
    encoded = encode(tokenizer, examples[:8])
    total, count = 0.0, 0
    for ids, targets in encoded:
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for position in range(1, len(ids)):
            if targets[position]:
                total -= float(logp[position - 1, ids[position]])
                count += 1
    packed = loss_of(model, collate(pack(encoded, 160), 160, tokenizer.pad_token_id))
    assert float(packed) == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize("architecture", ["olmo2", "gemma3"])
def test_killed_training_ends_in_the_same_weights(tmp_path: Path, architecture: str) -> None:
    settings = Pretraining(architecture=architecture, **SMALL)  # type: ignore[arg-type]

    def kill(done: int, *_: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    pretrain(settings, tmp_path / "whole", tmp_path / "state-a", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, tmp_path / "killed", tmp_path / "state-b", kill)
    assert not (tmp_path / "killed").exists()
    seen: list[int] = []
    pretrain(settings, tmp_path / "killed", tmp_path / "state-b", lambda done, *_: seen.append(done))
    assert seen == [3, 4]
    expected, found = (load_model(tmp_path / name).state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    settings = Pretraining(architecture="olmo2", **SMALL)

    def kill(done: int, *_: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, tmp_path / "out", tmp_path / "state", kill)
    with pytest.raises(InputError, match="was saved by another recipe"):
        pretrain(settings.model_copy(update={"steps": 6}), tmp_path / "out", tmp_path / "state", lambda *_: None)


def test_learning_rate_rises_holds_and_falls() -> None:
    settings = Pretraining(architecture="olmo2", steps=100, warm_up=10, decay_share=0.4)
    assert [rate_factor(step, settings) for step in (0, 9, 30, 60, 80, 99)] == pytest.approx([0.1, 1, 1, 1, 0.5, 1 / 40])
