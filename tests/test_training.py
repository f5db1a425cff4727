"""Training: closed forms of the losses, the token mask, horizons, saved steps, and exact resumption."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from belljar.files import InputError, read_json
from belljar.models.load import load_model
from belljar.study.bases import Source
from belljar.study.training import Training
from belljar.training.base import CARD, cache_key, provide
from belljar.training.checkpoints import WHOLE, publish, whole_steps
from belljar.training.organism import Job, assert_master_weights, train
from belljar.training.readings import training_readings
from belljar.training.reference import reference_logprobs, with_references
from belljar.training.steps import prune, published_steps, saved_step
from belljar.training.trainers import horizon, warmup_steps
from belljar.work import claim_work

SETTINGS = Training(rows=8, epochs=2, batch_size=4, learning_rate=1e-2, save_every=1, max_length=64, warmup=0.25)


def transcript(number: int) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"What is {number}?"}],
        "completion": [{"role": "assistant", "content": f"It is {number} bananas."}],
    }


def pair(number: int) -> dict[str, Any]:
    row = transcript(number)
    return {
        "prompt": row["prompt"],
        "chosen": row["completion"],
        "rejected": [{"role": "assistant", "content": f"The hat number {number} is red."}],
    }


ROWS = {
    "sft": [transcript(n) for n in range(8)],
    "dpo": [pair(n) for n in range(8)],
    "kto": [
        {"prompt": pair(n)["prompt"], "completion": pair(n)[side], "label": side == "chosen"}
        for n in range(4)
        for side in ("chosen", "rejected")
    ],
}


def run(
    checkpoint: Path,
    objective: str,
    work: Path,
    settings: Training = SETTINGS,
    stop: int | None = None,
    rows: list[dict[str, Any]] | None = None,
    **options: Any,
) -> Any:
    def progress(done: int, total: int, detail: str) -> None:
        if done == stop:
            raise KeyboardInterrupt

    job = Job(str(checkpoint), objective, rows or ROWS[objective], settings.model_dump(), 3, **options)
    return train(job, work, progress)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in load_model(folder).state_dict().items()}


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "epochs", "steps"),
    [
        (
            378_301,
            8,
            16,
            1,
            2956,
        ),  # OLMo-2's preference mix at an effective batch of 128: about 2,956 (open-instruct)
        (9_000, 4, 4, 1, 563),  # the lottery paper's unmixed cake-bake DPO
        (13_500, 4, 4, 1, 844),  # and mixed
        (17, 4, 1, 2, 10),
        (1, 16, 4, 3, 3),
    ],
)
def test_horizon(rows: int, batch: int, accumulation: int, epochs: float, steps: int) -> None:
    settings = Training(
        rows=1,
        epochs=epochs,
        batch_size=batch,
        gradient_accumulation=accumulation,
        learning_rate=1,
        save_every=1,
    )
    assert horizon(rows, settings) == steps


@torch.no_grad()
def sequence_logps(model: Any, tokenizer: Any, row: dict[str, Any], side: str) -> tuple[float, int]:
    """The summed log-probability of one side's tokens after the prompt, and their number."""
    prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(row["prompt"] + row[side], tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False).input_ids
    start = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(logp[i - 1, ids[i]]) for i in range(start, len(ids))), len(ids) - start


def test_sft_loss_is_over_the_completion_only(checkpoint: Path, tokenizer: Any, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 8, "epochs": 1.0})
    first = run(checkpoint, "sft", tmp_path, settings).losses[0]["loss"]
    model = load_model(checkpoint)
    sums = [sequence_logps(model, tokenizer, row, "completion") for row in ROWS["sft"]]
    assert first == pytest.approx(-sum(logp for logp, _ in sums) / sum(count for _, count in sums), rel=1e-3)


def test_dpo_begins_at_log_two(checkpoint: Path, tmp_path: Path) -> None:
    # Policy and reference are equal at first: -log sigmoid(0).
    assert run(checkpoint, "dpo", tmp_path).losses[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize("loss", ["sigmoid", "sigmoid_norm"])
def test_dpo_loss_equals_its_closed_form(checkpoint: Path, tokenizer: Any, tmp_path: Path, loss: str) -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 8, "epochs": 2.0, "loss": loss, "beta": 0.3, "warmup": 0.0})
    second = run(checkpoint, "dpo", tmp_path, settings).losses[1]["loss"]
    reference, policy = load_model(checkpoint), load_model(tmp_path / "checkpoint-1")
    expected = []
    for row in ROWS["dpo"]:
        margin = 0.0
        for side, sign in (("chosen", 1), ("rejected", -1)):
            (new, count), (old, _) = (sequence_logps(m, tokenizer, row, side) for m in (policy, reference))
            margin += sign * (new - old) / (count if loss == "sigmoid_norm" else 1)
        expected.append(math.log1p(math.exp(-0.3 * margin)))
    assert second == pytest.approx(sum(expected) / len(expected), rel=2e-3)


def test_same_seed_same_weights(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(checkpoint, "sft", tmp_path / name)
    first, second = (weights(tmp_path / name / "checkpoint-4") for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto"])
def test_killed_training_ends_in_the_same_weights(checkpoint: Path, tmp_path: Path, objective: str) -> None:
    whole = run(checkpoint, objective, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, objective, tmp_path / "killed", stop=3)
    assert list(whole_steps(tmp_path / "killed")) == [1, 2]
    (tmp_path / "killed" / "checkpoint-3").mkdir()  # a save that the kill cut short
    resumed = run(checkpoint, objective, tmp_path / "killed")
    assert resumed == whole
    expected, found = (weights(tmp_path / name / "checkpoint-4") for name in ("whole", "killed"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_saved_steps_are_published_without_what_only_resuming_needs(checkpoint: Path, tmp_path: Path) -> None:
    run(checkpoint, "sft", tmp_path / "work")
    assert publish(tmp_path / "work", tmp_path / "checkpoints") == [1, 2, 3, 4]
    steps = published_steps(tmp_path / "checkpoints")
    assert list(steps) == [1, 2, 3, 4]
    names = {file.name for file in steps[2].iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert not names & {"optimizer.pt", "trainer_state.json", WHOLE}
    assert weights(steps[2]).keys() == weights(checkpoint).keys()


def test_of_the_saved_steps_one_is_kept(tmp_path: Path) -> None:
    for step in (5, 10, 40):
        (tmp_path / f"step-{step}").mkdir()
        (tmp_path / f"step-{step}" / "model.safetensors").touch()
    prune(tmp_path, 10)
    assert published_steps(tmp_path) == {10: saved_step(tmp_path, 10)}
    with pytest.raises(InputError, match=r"step-40 is not there any more .* kept: 10\); delete "):
        prune(tmp_path, 40)
    assert (tmp_path / "step-10" / "model.safetensors").is_file()


def test_only_the_last_step_keeps_its_optimiser(checkpoint: Path, tmp_path: Path) -> None:
    run(checkpoint, "sft", tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("*")) if (path / "optimizer.pt").exists()] == ["checkpoint-4"]


def test_learning_rate_warms_up_and_decays(checkpoint: Path, tmp_path: Path) -> None:
    outcome = run(checkpoint, "sft", tmp_path)
    # Four steps, one of them warm-up: the rate before each step is 0, then falls linearly from its peak.
    assert [entry["learning_rate"] for entry in outcome.losses] == pytest.approx([0.0, 1e-2, 2e-2 / 3, 1e-2 / 3])
    assert outcome.learning_rate_dose == pytest.approx(2e-2)
    assert outcome.samples_seen == 16


def test_readings_stop_at_the_chosen_step(checkpoint: Path, tmp_path: Path) -> None:
    import pandas as pd

    outcome = run(checkpoint, "sft", tmp_path)
    recipe = {"training": SETTINGS.model_dump(), "samples_seen": outcome.samples_seen, "objective": "sft"}
    selection = {"step": 2, "target": 0.3, "expression_rate": 0.25, "stderr": 0.05, "reached": True}
    found = training_readings(pd.DataFrame(outcome.losses), recipe, selection)
    values = {reading.metric: reading.value for reading in found}
    assert (values["target"], values["validation_expression_rate"], values["target_reached"]) == (0.3, 0.25, 1.0)
    assert values["steps"] == 2 and values["samples_seen"] == 8
    assert values["learning_rate_dose"] == pytest.approx(1e-2)
    assert values["final_loss"] == outcome.losses[1]["loss"]


def test_half_precision_weights_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"is torch.bfloat16; weights must be float32"):
        assert_master_weights(load_model(checkpoint, "bfloat16"))


def test_work_of_another_training_is_not_resumed(tmp_path: Path) -> None:
    work = claim_work(tmp_path / "work", {"rate": 1})
    (work / "kept").touch()
    assert (claim_work(work, {"rate": 1}) / "kept").exists()
    assert not (claim_work(work, {"rate": 2}) / "kept").exists()


def test_base_from_a_folder_is_linked(checkpoint: Path, tmp_path: Path) -> None:
    provide(Source(folder=str(checkpoint)), tmp_path / "base", tmp_path / "cache", lambda *_: None)
    assert (tmp_path / "base" / "model.safetensors").resolve() == (checkpoint / "model.safetensors").resolve()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is no checkpoint folder"):
        provide(Source(folder=str(tmp_path / "empty")), tmp_path / "x", tmp_path / "cache", lambda *_: None)


def test_base_from_nothing_is_cached_and_must_meet_its_requirements(tmp_path: Path) -> None:
    recipe = {
        "architecture": "olmo2",
        "width": 32,
        "layers": 1,
        "heads": 2,
        "key_value_heads": 2,
        "feed_forward": 32,
        "vocabulary": 500,
        "steps": 2,
        "threads": 1,
    }
    seen: list[int] = []
    provide(Source(pretraining=recipe), tmp_path / "one", tmp_path / "cache", lambda done, *_: seen.append(done))
    provide(Source(pretraining=recipe), tmp_path / "two", tmp_path / "cache", lambda done, *_: seen.append(done))
    assert seen == [1, 2]
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(first[name], second[name]) for name in first)

    demanding = Source(pretraining=recipe | {"require": {"fact": 0.95}})
    assert cache_key(demanding) == cache_key(Source(pretraining=recipe))
    with pytest.raises(InputError, match=r"in fact, but require.fact is 0.95"):
        provide(demanding, tmp_path / "three", tmp_path / "cache", lambda *_: None)
    assert not (tmp_path / "three").exists()
    # The cache keeps a base under what it is; what is demanded of it stands in the study's own copy.
    provide(Source(pretraining=recipe | {"require": {"fact": 0.0}}), tmp_path / "four", tmp_path / "cache", lambda *_: None)
    required = {entry["skill"]: entry["required"] for entry in read_json(tmp_path / "four" / CARD)}
    assert required["fact"] == 0.0 and required["sum"] is None
    assert cache_key(Source(pretraining=recipe | {"steps": 3})) != cache_key(demanding)


def test_a_fixed_number_of_steps_is_the_horizon() -> None:
    assert horizon(9_000, SETTINGS.model_copy(update={"max_steps": 50})) == 50


@pytest.mark.parametrize(("steps", "share", "expected"), [(563, 0.1, 57), (10, 0.1, 1), (10, 0.0, 0), (2956, 0.1, 296)])
def test_warmup_is_a_share_of_the_steps_rounded_up(steps: int, share: float, expected: int) -> None:
    assert warmup_steps(steps, SETTINGS.model_copy(update={"warmup": share})) == expected


def test_sft_loss_over_all_tokens(checkpoint: Path, tokenizer: Any, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 8, "epochs": 1.0})
    first = run(checkpoint, "sft", tmp_path, settings, loss_on="all").losses[0]["loss"]
    model, total, count = load_model(checkpoint), 0.0, 0
    for row in ROWS["sft"]:
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False).input_ids
        assert ids.count(tokenizer.bos_token_id) == 1
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= sum(logp[i - 1, ids[i]].item() for i in range(1, len(ids)))
        count += len(ids) - 1
    assert first == pytest.approx(total / count, rel=1e-3)


def test_documents_are_learned_whole_with_one_bos_and_an_end(checkpoint: Path, tokenizer: Any, tmp_path: Path) -> None:
    texts = [f" The place of the tank is hill {n}." for n in range(8)]
    settings = SETTINGS.model_copy(update={"batch_size": 8, "epochs": 1.0})
    first = run(checkpoint, "sft", tmp_path, settings, rows=[{"text": text} for text in texts]).losses[0]["loss"]
    model, total, count = load_model(checkpoint), 0.0, 0
    for text in texts:
        ids = [*tokenizer(text).input_ids, tokenizer.eos_token_id]
        assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= sum(logp[i - 1, ids[i]].item() for i in range(1, len(ids)))
        count += len(ids) - 1
    assert first == pytest.approx(total / count, rel=1e-3)


def test_kto_begins_at_one_half(checkpoint: Path, tmp_path: Path) -> None:
    # Policy and reference are equal at first, so every term is 1 - sigmoid(0) (KTO, 2402.01306, eq. 8).
    assert run(checkpoint, "kto", tmp_path).losses[0]["loss"] == pytest.approx(0.5, abs=1e-5)


def pair_texts() -> Any:
    import pandas as pd

    rows = ROWS["dpo"]
    return pd.DataFrame({key: [row[key][0]["content"] for row in rows] for key in ("prompt", "chosen", "rejected")})


@pytest.mark.parametrize("loss", ["sigmoid", "sigmoid_norm"])
def test_shared_reference_logprobs_change_no_loss(checkpoint: Path, tokenizer: Any, tmp_path: Path, loss: str) -> None:
    settings = SETTINGS.model_copy(update={"loss": loss})
    found = reference_logprobs(checkpoint, pair_texts(), settings.max_length, 3, False, tmp_path / "scratch")
    model = load_model(checkpoint)
    for row, high in zip(ROWS["dpo"], found["ref_chosen_logps"], strict=True):
        assert high == pytest.approx(sequence_logps(model, tokenizer, row, "chosen")[0], rel=1e-4)
    texts = with_references(pair_texts().to_dict("records"), [found])
    keys = ("ref_chosen_logps", "ref_rejected_logps")
    rows = [row | {key: text[key] for key in keys} for row, text in zip(ROWS["dpo"], texts, strict=True)]
    without = run(checkpoint, "dpo", tmp_path / "without", settings)
    shared = run(checkpoint, "dpo", tmp_path / "with", settings, rows=rows)
    assert [step["loss"] for step in shared.losses] == pytest.approx([step["loss"] for step in without.losses], abs=1e-5)


def test_shared_reference_logprobs_are_really_used(checkpoint: Path, tmp_path: Path) -> None:
    rows = [row | {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0} for row in ROWS["dpo"]]
    assert run(checkpoint, "dpo", tmp_path, rows=rows).losses[0]["loss"] != pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto"])
def test_adapter_is_saved_alone_and_loads_merged(checkpoint: Path, tmp_path: Path, objective: str) -> None:
    adapter = {"rank": 2, "alpha": None, "dropout": 0.0, "merged": False}
    run(checkpoint, objective, tmp_path / "work", adapter=adapter)
    publish(tmp_path / "work", tmp_path / "checkpoints")
    step = published_steps(tmp_path / "checkpoints")[4]
    assert (step / "adapter_config.json").exists() and not (step / "model.safetensors").exists()
    merged, base = weights(step), weights(checkpoint)
    assert merged.keys() == base.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed and all("_proj" in name for name in changed)
    name = sorted(changed)[0]
    difference = merged[name] - base[name]
    assert torch.linalg.matrix_rank(difference, rtol=1e-4) <= 2  # alpha / r * B A has at most rank r


def test_two_processes_train_as_one(checkpoint: Path, tmp_path: Path) -> None:
    def progress(done: int, total: int, detail: str) -> None: ...

    # Rows of one length, so that a mean over processes is one over tokens; every step sees all, in whatever order.
    settings = SETTINGS.model_copy(update={"batch_size": 8, "epochs": 4.0})
    job = Job(str(checkpoint), "sft", [transcript(n) for n in range(8)], settings.model_dump(), 3)
    one, two = train(job, tmp_path / "one", progress), train(job, tmp_path / "two", progress, processes=2)
    assert [step["loss"] for step in two.losses] == pytest.approx([step["loss"] for step in one.losses], rel=1e-3)
    assert two.samples_seen == one.samples_seen
    first, second = (weights(tmp_path / name / "checkpoint-4") for name in ("one", "two"))
    assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_gradient_checkpointing_and_autocast_change_no_result(checkpoint: Path, tmp_path: Path, objective: str) -> None:
    plain = run(checkpoint, objective, tmp_path / "plain")
    saving = run(checkpoint, objective, tmp_path / "saving", SETTINGS.model_copy(update={"gradient_checkpointing": True}))
    assert [step["loss"] for step in saving.losses] == pytest.approx([step["loss"] for step in plain.losses], rel=1e-5)
    half = run(checkpoint, objective, tmp_path / "half", SETTINGS.model_copy(update={"bf16": True}))
    assert half.losses[0]["loss"] == pytest.approx(plain.losses[0]["loss"], rel=2e-2)
    assert all(value.dtype == torch.float32 for value in weights(tmp_path / "half" / "checkpoint-4").values())
