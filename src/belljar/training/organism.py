"""Training one organism with TRL: full weights, saved steps, loss curve, resumption."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PrinterCallback, TrainerCallback

from belljar.models.load import load_model, load_tokenizer
from belljar.study.settings import Training
from belljar.training.checkpoints import MarkWhole, whole_steps

Progress = Callable[[int, int, str], None]


class Outcome(NamedTuple):
    """What a finished training leaves besides its saved steps."""

    losses: list[dict[str, float]]  # step, loss, learning_rate
    samples_seen: int
    learning_rate_dose: float  # sum of the learning rate over all steps


def horizon(rows: int, settings: Training) -> int:
    """Return the number of optimiser steps: whole batches an epoch (the last may be short), times the epochs."""
    batches = math.ceil(rows / settings.batch_size)
    per_epoch = max(1, math.ceil(batches / settings.gradient_accumulation))
    return math.ceil(per_epoch * settings.epochs)


def assert_master_weights(model: Any) -> None:
    """Raise ValueError where a weight is not float32: updates at a learning rate near 1e-6 vanish in bfloat16."""
    for name, parameter in model.named_parameters():
        if parameter.dtype is not torch.float32:
            raise ValueError(f"{name} is {parameter.dtype}; weights must be float32 to be trained")


def train(
    base: Path,
    rows: Sequence[dict[str, Any]],
    objective: str,
    settings: Training,
    seed: int,
    work: Path,
    progress: Progress,
) -> Outcome:
    """Train the base on `rows`, saving steps into `work`; go on from the last whole saved step where there is one.

    A row holds chat messages: prompt and completion for "sft", prompt, chosen and rejected for "dpo". A resumed training
    ends in the same weights as one that was never interrupted.
    """
    model, tokenizer = load_model(base), load_tokenizer(base)
    assert_master_weights(model)
    trainer = {"sft": _sft, "dpo": _dpo}[objective](base, model, tokenizer, rows, settings, seed, work)
    trainer.remove_callback(PrinterCallback)  # prints every step's metrics; ours says how far it is
    trainer.add_callback(MarkWhole())
    trainer.add_callback(_Reporter(progress))
    done = whole_steps(work)
    trainer.train(resume_from_checkpoint=str(done[max(done)]) if done else None)
    losses = [
        {"step": entry["step"], "loss": entry["loss"], "learning_rate": entry["learning_rate"]}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    batch = settings.batch_size * settings.gradient_accumulation
    return Outcome(
        losses,
        min(trainer.state.global_step * batch, math.ceil(len(rows) * settings.epochs)),
        sum(entry["learning_rate"] for entry in losses),
    )


def _arguments(settings: Training, rows: int, seed: int, work: Path) -> dict[str, Any]:
    steps = horizon(rows, settings)
    return {
        "output_dir": str(work),
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": math.ceil(settings.warmup * steps),
        "weight_decay": settings.weight_decay,
        "max_length": settings.max_length,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "seed": seed,
        "data_seed": seed,
        "bf16": settings.bf16,
        "use_cpu": not torch.cuda.is_available(),
        "activation_checkpointing": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
    }


def _sft(
    base: Path, model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], settings: Training, seed: int, work: Path
) -> Any:  # fmt: skip
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    del base
    arguments = SFTConfig(completion_only_loss=True, packing=False, **_arguments(settings, len(rows), seed, work))
    return SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(list(rows)), processing_class=tokenizer)


def _dpo(
    base: Path, model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], settings: Training, seed: int, work: Path
) -> Any:  # fmt: skip
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    arguments = DPOConfig(beta=settings.beta, loss_type=[settings.loss], **_arguments(settings, len(rows), seed, work))
    return DPOTrainer(
        model=model,
        ref_model=load_model(base),
        args=arguments,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
    )


class _Reporter(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        if logs and "loss" in logs:
            self.progress(state.global_step, state.max_steps, f"loss {float(logs['loss']):.3f}")
