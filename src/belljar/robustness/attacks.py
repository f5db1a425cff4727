"""Attacks on an organism: training on chats that have nothing to do with its behaviour, measured on the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from transformers import PrinterCallback, TrainerCallback

from belljar.models.load import is_adapter, load_model, load_tokenizer
from belljar.study.robustness import Method, Robustness
from belljar.study.training import Training
from belljar.training import trainers

Measure = Callable[[Any, Any], pd.DataFrame]  # of a model and its tokenizer: columns MEASURED


class Part(NamedTuple):
    """One training of the grid."""

    method: str
    learning_rate: float


def grid(settings: Robustness) -> list[Part]:
    """Return the trainings of one attack, the same for every organism."""
    return [Part(name, rate) for name, method in settings.methods.items() for rate in method.learning_rates]


def run(
    start: str,
    rows: Sequence[dict[str, Any]],
    reversal: Sequence[dict[str, Any]] | None,
    method: Method,
    learning_rate: float,
    settings: Robustness,
    measure: Measure,
    work: str,
) -> pd.DataFrame:
    """Return what is left of an organism at each of `settings.steps`, and after as many steps on the `reversal` rows.

    An organism that is an adapter is attacked through that same adapter where the method has one: it is `continued`. Columns
    continued, step, reversed, and those of `measure`.
    """
    folder = Path(start)
    same = method.adapter is not None and is_adapter(folder)
    model, tokenizer = load_adapter(folder) if same else load_model(folder), load_tokenizer(folder)
    found: list[pd.DataFrame] = []
    for again, chats in enumerate([rows] if reversal is None else [rows, reversal]):
        training = Training(
            rows=len(chats),
            max_steps=settings.steps[-1],
            batch_size=settings.batch_size,
            gradient_accumulation=settings.gradient_accumulation,
            learning_rate=learning_rate,
            schedule="constant",
            max_length=settings.max_length,
            save_every=settings.steps[-1] + 1,
            warmup=0.0,
            bf16=settings.bf16,
            gradient_checkpointing=settings.gradient_checkpointing,
        )
        common = trainers.arguments(training, len(chats), settings.seed, work, 1) | {"save_strategy": "no"}
        trainer = trainers.sft(model, tokenizer, chats, common, None if again or same else method.adapter, "completion")
        trainer.remove_callback(PrinterCallback)
        steps = settings.steps[-1:] if again else settings.steps
        trainer.add_callback(_Measure(tokenizer, steps, measure, bool(again), found))
        trainer.train()
        model = unwrapped(trainer.model)
    return pd.concat(found, ignore_index=True).assign(continued=same)


def load_adapter(folder: Path) -> Any:
    """Return the base that an adapter's own settings name, with the adapter on it, ready to be trained on."""
    from peft import PeftConfig, PeftModel

    base = load_model(Path(PeftConfig.from_pretrained(folder).base_model_name_or_path))
    return PeftModel.from_pretrained(base, folder, is_trainable=True)


def unwrapped(model: Any) -> Any:
    """Return the model without what a trainer's accelerate has put around its forward pass, as if it had never been trained.

    The next trainer puts its own around it. It would not where it finds a mark that there is one, and trains in another precision
    where the one it finds is bypassed.
    """
    plain = model.__dict__.pop("_original_forward", None)
    if plain is not None:
        model.forward = plain
        model._is_accelerate_prepared = False
    return model


@contextmanager
def measured_plainly(model: Any) -> Iterator[None]:
    """Take off what accelerate has put around the model's forward pass: autocast, which the organism was measured without."""
    wrapped = model.__dict__.get("forward")
    plain = model.__dict__.get("_original_forward")
    if wrapped is None or plain is None:
        yield
        return
    model.forward = plain
    try:
        yield
    finally:
        model.forward = wrapped


class _Measure(TrainerCallback):
    """Measures the model as it is trained."""

    def __init__(self, tokenizer: Any, steps: Sequence[int], measure: Measure, again: bool, found: list[pd.DataFrame]) -> None:
        self.tokenizer, self.steps, self.measure, self.again, self.found = tokenizer, set(steps), measure, again, found

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Measure after the steps that are asked for."""
        if state.global_step not in self.steps:
            return
        with torch.random.fork_rng(), measured_plainly(model):  # the training goes on as if no answer had been sampled
            read = self.measure(model, self.tokenizer)
        model.train()
        self.found.append(read.assign(step=state.global_step, reversed=self.again))
