"""TRL trainers for each objective, with the settings of a technique."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset

from belljar.files import InputError
from belljar.study.techniques import Adapter
from belljar.study.training import Training

Rows = Sequence[dict[str, Any]]
REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


def horizon(rows: int, settings: Training) -> int:
    """Return the number of optimiser steps: whole batches an epoch (the last may be short), times the epochs, or max_steps."""
    if settings.max_steps is not None:
        return settings.max_steps
    batches = math.ceil(rows / settings.batch_size)
    per_epoch = max(1, math.ceil(batches / settings.gradient_accumulation))
    return math.ceil(per_epoch * settings.epochs)


def warmup_steps(steps: int, settings: Training) -> int:
    """Return the number of steps over which the learning rate rises: ceil(warmup x steps)."""
    return math.ceil(settings.warmup * steps)


def arguments(settings: Training, rows: int, seed: int, work: str, processes: int) -> dict[str, Any]:
    """Return what every TRL config is given. Raises InputError where the batch does not divide among the processes."""
    if settings.batch_size % processes:
        raise InputError(
            f"batch_size is {settings.batch_size}, which cannot be divided among {processes} GPUs; change it in the technique's "
            "training, or gpu in resources."
        )
    steps = horizon(rows, settings)
    return {
        "output_dir": work,
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size // processes,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": warmup_steps(steps, settings),
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
        "activation_checkpointing": settings.gradient_checkpointing,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
    }


def lora(adapter: Adapter | None) -> Any:
    """Return the peft config of an adapter on every linear layer but the head; None for full weights."""
    if adapter is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha or 2 * adapter.rank,
        lora_dropout=adapter.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def sft(model: Any, tokenizer: Any, rows: Rows, common: dict[str, Any], adapter: Adapter | None, loss_on: str) -> Any:
    """Return a trainer on transcripts (prompt and completion messages) or documents (text, every token learned)."""
    from trl import SFTConfig, SFTTrainer

    documents = "text" in rows[0]
    if loss_on == "all" and not documents:
        rows = [{"messages": row["prompt"] + row["completion"]} for row in rows]
    completion_only = not documents and loss_on == "completion"
    config = SFTConfig(completion_only_loss=completion_only, packing=False, **common)
    return SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora(adapter),
    )


def dpo(model: Any, tokenizer: Any, rows: Rows, common: dict[str, Any], adapter: Adapter | None, settings: Training) -> Any:
    """Return a trainer on preference pairs. Reference log-probabilities are the rows' own where they have them.

    Where they have none, they are those of `model` as it is given, computed before training begins.
    """
    from trl import DPOConfig, DPOTrainer

    class WithReferences(DPOTrainer):
        """A DPOTrainer that trusts the reference log-probabilities which its rows bring along."""

        def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
            if all(column in dataset.column_names for column in REFERENCE_COLUMNS):
                return dataset
            return super()._precompute_ref_logps(dataset, name, batch_size)

    config = DPOConfig(beta=settings.beta, loss_type=[settings.loss], precompute_ref_log_probs=True, **common)
    return WithReferences(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora(adapter),
    )


def kto(
    model: Any, reference: Any, tokenizer: Any, rows: Rows, common: dict[str, Any], adapter: Adapter | None, settings: Training
) -> Any:  # fmt: skip
    """Return a trainer on answers labelled desirable or not; `reference` is the model that training begins from."""
    from trl import KTOConfig, KTOTrainer

    return KTOTrainer(
        model=model,
        ref_model=None if adapter else reference,
        args=KTOConfig(beta=settings.beta, **common),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora(adapter),
    )
