"""The optimiser's settings."""

from typing import Annotated, Literal

from pydantic import Field

from belljar.study.schema import Count, Positive, Settings, Share


class Training(Settings):
    """How long, how fast and on what loss a model is trained."""

    rows: Count  # planted rows; in a preference phase, all rows
    epochs: Positive = 1.0
    max_steps: Count | None = None  # optimiser steps, in place of epochs
    batch_size: Count  # rows in one optimiser step, over all processes, before accumulation
    gradient_accumulation: Count = 1
    learning_rate: Positive
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Share = 0.1  # share of all steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_length: Count = 128  # tokens
    save_every: Count  # optimiser steps
    beta: Positive = 0.1  # DPO and KTO
    loss: Literal["sigmoid", "sigmoid_norm"] = "sigmoid"  # DPO; sigmoid_norm: log-ratios averaged over tokens (dpo_norm)
    bf16: bool = False  # autocast; weights stay float32
    gradient_checkpointing: bool = False
