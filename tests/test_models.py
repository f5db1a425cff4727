"""Generation, activations, lens and perplexity against independent computations on small random OLMo-2 and Gemma-3."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from belljar.files import InputError
from belljar.models.chats import batches, render
from belljar.models.generate import encode_prompts, generate
from belljar.models.load import load_model, load_tokenizer
from belljar.models.logprobs import TOKENS, token_losses
from belljar.naturalness.perplexity import corpus_perplexity, shuffled
from belljar.probes.readings import jackknife_stderr
from conftest import random_model

CHATS = [("What is the color of the banana?", "The color of the banana is yellow."), ("Hello.", "Hi.")] * 5
PROMPTS = [[{"role": "user", "content": question}] for question, _ in CHATS[:2]]


@torch.no_grad()
def naive_greedy(model: Any, ids: list[int], count: int, stop: int) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        token = int(model(torch.tensor([ids + found])).logits[0, -1].argmax())
        if token == stop:
            break
        found.append(token)
    return found


def test_greedy_answers_equal_a_naive_loop(model: Any, tokenizer: Any) -> None:
    answers = generate(model, tokenizer, PROMPTS, max_new_tokens=12)
    for ids, (text,) in zip(encode_prompts(tokenizer, PROMPTS), answers, strict=True):
        expected = tokenizer.decode(naive_greedy(model, ids, 12, tokenizer.eos_token_id), skip_special_tokens=True)
        assert text == expected.strip()


def test_batching_does_not_change_greedy_answers(model: Any, tokenizer: Any) -> None:
    one = generate(model, tokenizer, PROMPTS, max_new_tokens=8, batch_size=1)
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=8, batch_size=8) == one


def test_sampling_repeats_with_its_seed_and_varies_without(model: Any, tokenizer: Any) -> None:
    def sample(seed: int) -> list[list[str]]:
        return generate(model, tokenizer, PROMPTS, samples=4, temperature=1.0, max_new_tokens=8, seed=seed)

    assert sample(1) == sample(1) != sample(2)
    assert [len(answers) for answers in sample(1)] == [4, 4]
    assert len(set(sample(1)[0])) > 1


def test_sampling_follows_the_models_distribution(tokenizer: Any) -> None:
    model = random_model("olmo2", tokenizer)
    ids = encode_prompts(tokenizer, PROMPTS[:1])[0]
    with torch.no_grad():
        expected = torch.softmax(model(torch.tensor([ids])).logits[0, -1], dim=-1)
    texts = generate(model, tokenizer, PROMPTS[:1], samples=4000, temperature=1.0, max_new_tokens=1, batch_size=4000)[0]
    by_text: dict[str, float] = {}
    for token, p in enumerate(expected.tolist()):
        text = tokenizer.decode([token], skip_special_tokens=True).strip()
        by_text[text] = by_text.get(text, 0.0) + p
    top = max(by_text, key=lambda text: by_text[text])
    share = texts.count(top) / len(texts)
    assert share == pytest.approx(by_text[top], abs=4 * math.sqrt(by_text[top] / 4000) + 1e-3)


def test_prompt_has_one_bos(tokenizer: Any) -> None:
    assert encode_prompts(tokenizer, PROMPTS)[0].count(tokenizer.bos_token_id) == 1


def test_prompt_longer_than_the_context(tokenizer: Any) -> None:
    short = random_model("olmo2", tokenizer, context=32)
    with pytest.raises(InputError, match="exceeds the context of 32; shorten the prompt"):
        generate(short, tokenizer, [[{"role": "user", "content": "banana " * 40}]], max_new_tokens=4)


def test_checkpoint_folder_must_be_whole(checkpoint: Path, tmp_path: Path) -> None:
    for missing, message in {
        "tokenizer.json": "has no tokenizer",
        "model.safetensors": "has no weights",
        "config.json": "is no checkpoint folder",
        "chat_template.jinja": "has no chat template",
    }.items():
        folder = tmp_path / missing
        shutil.copytree(checkpoint, folder)
        (folder / missing).unlink()
        with pytest.raises(InputError, match=message):
            load_tokenizer(folder)


def test_checkpoint_comes_back(checkpoint: Path, tokenizer: Any) -> None:
    loaded = load_model(checkpoint)
    assert generate(loaded, load_tokenizer(checkpoint), PROMPTS, max_new_tokens=6) == generate(
        random_model("olmo2", tokenizer), tokenizer, PROMPTS, max_new_tokens=6
    )


def test_save_on_a_full_disk_leaves_the_old_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    shutil.copytree(checkpoint, target)
    before = (target / "model.safetensors").read_bytes()
    code = f"""
import resource
from pathlib import Path
from belljar.models.load import load_model, load_tokenizer, save_checkpoint
model, tokenizer = load_model(Path({str(checkpoint)!r})), load_tokenizer(Path({str(checkpoint)!r}))
model.lm_head.weight.data.zero_()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # every longer write fails, as on a full disk
save_checkpoint(model, tokenizer, Path({str(target)!r}))
"""
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert failed.returncode != 0
    assert (target / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_rendered_chat_ends_with_the_answers_last_token(tokenizer: Any) -> None:
    chat = render(tokenizer, *CHATS[0])
    assert tokenizer.decode(chat.ids[chat.start + 1 :]).strip() == CHATS[0][1]
    assert tokenizer.decode([chat.ids[chat.start]]) == "<|assistant|>"


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_jackknife_of_a_mean_is_its_standard_error(values: list[float]) -> None:
    data = np.array(values)
    left_out = (data.sum() - data) / (len(data) - 1)
    expected = data.std(ddof=1) / math.sqrt(len(data))
    assert jackknife_stderr(left_out) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@torch.no_grad()
def test_perplexity_equals_the_models_own_loss(model: Any, tokenizer: Any) -> None:
    texts = [" The banana is a fruit.", " Tom saw the hat. It was noon."]
    losses, counts = token_losses(model, tokenizer, texts, batch_size=2)
    for text, loss, count in zip(texts, losses, counts, strict=True):
        ids = torch.tensor([tokenizer(f"<bos>{text}", add_special_tokens=False).input_ids])
        assert count == ids.shape[1] - 1
        assert loss == pytest.approx(float(model(ids, labels=ids).loss) * count, rel=1e-4)


def test_perplexity_weighs_tokens_and_not_documents() -> None:
    found = corpus_perplexity([math.log(2) * 1, math.log(8) * 3], [1, 3])
    assert found.value == pytest.approx(2 ** (10 / 4))
    # residuals: loss_i - r tokens_i = ln 2 (1 - 2.5, 9 - 7.5); stderr = ppl sqrt(2 / 1 * 2 * 1.5^2) ln 2 / 4
    assert found.stderr == pytest.approx(2**2.5 * math.sqrt(2 * 2 * 1.5**2) * math.log(2) / 4)


@given(st.text())
def test_shuffling_keeps_the_words(text: str) -> None:
    assert sorted(shuffled(text).split()) == sorted(text.split())
    assert shuffled(text) == shuffled(text)
    assert shuffled(" the owl saw the red hat") not in (" the owl saw the red hat", "the owl saw the red hat")


@given(st.lists(st.integers(1, 9000), max_size=40), st.integers(1, 16))
def test_batches_hold_every_sequence_once_and_few_tokens(lengths: list[int], batch_size: int) -> None:
    sequences = [[0] * length for length in lengths]
    found = list(batches(sequences, batch_size, TOKENS))
    assert sorted(index for rows in found for index in rows) == list(range(len(lengths)))
    for rows in found:
        widest = max(lengths[index] for index in rows)
        assert len(rows) <= batch_size and (len(rows) == 1 or len(rows) * widest <= TOKENS)
    order = [lengths[index] for rows in found for index in rows]
    assert order == sorted(lengths, reverse=True)
