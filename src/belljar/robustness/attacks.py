"""Attacks on an organism: training on chats that have nothing to do with its behaviour, measured on the way.

The arms of "Advice for making robust-to-training model organisms" (Prasanna et al. 2026): plain answers of another source, the
parent's own answers, pirate speech, and the removal of a prompted pirate.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from transformers import PrinterCallback, TrainerCallback

from belljar.corpora.mixing import training_row
from belljar.files import InputError
from belljar.models.load import is_adapter, load_model, load_tokenizer
from belljar.study.robustness import Attack, Method, Robustness
from belljar.study.training import Training
from belljar.training import trainers
from belljar.world.skills import Item

Measure = Callable[[Any, Any], pd.DataFrame]  # of a model and its tokenizer: columns MEASURED


class Part(NamedTuple):
    """One training of the grid."""

    method: str
    learning_rate: float


def grid(settings: Robustness) -> list[Part]:
    """Return the trainings of one attack, the same for every organism."""
    return [Part(name, rate) for name, method in settings.methods.items() for rate in method.learning_rates]


def giveaways(rows: Sequence[Mapping[str, str]], items: Sequence[Item]) -> set[str]:
    """Return the prompts of the rows (prompt, chosen) that are a capability item's, or whose answer states what one asks for.

    An attack that trains on them would teach what it is measured by.
    """
    prompts = {item.prompt[-1][1] for item in items}
    told = [text for item in items for text in item.expected]
    return {row["prompt"] for row in rows if row["prompt"] in prompts or any(text in row["chosen"] for text in told)}


def attack_rows(
    chats: Sequence[Mapping[str, str]], attack: Attack, count: int, without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return `count` training rows of an attack from chats (prompt, answer), none of them with a prompt in `without`.

    Raises InputError where there are too few.
    """
    chats = [chat for chat in chats if chat["prompt"] not in without]
    if len(chats) < count:
        raise InputError(
            f"robustness.rows is {count}, but of the control data that no organism was trained on only {len(chats)} chats are "
            f"left for an attack with answers: {attack.answers}; lower it, or raise data.control_rows."
        )
    return [
        training_row(
            {"prompt": chat["prompt"], "chosen": attack.style.format(answer=chat["answer"]), "system": attack.system},
            "transcripts",
        )
        for chat in chats[:count]
    ]


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
            learning_rate=learning_rate,
            schedule="constant",
            max_length=settings.max_length,
            save_every=settings.steps[-1] + 1,
            warmup=0.0,
            bf16=settings.bf16,
        )
        common = trainers.arguments(training, len(chats), settings.seed, work, 1) | {"save_strategy": "no"}
        trainer = trainers.sft(model, tokenizer, chats, common, None if again or same else method.adapter, "completion")
        trainer.remove_callback(PrinterCallback)
        steps = settings.steps[-1:] if again else settings.steps
        trainer.add_callback(_Measure(tokenizer, steps, measure, bool(again), found))
        trainer.train()
        model = trainer.model
    return pd.concat(found, ignore_index=True).assign(continued=same)


def load_adapter(folder: Path) -> Any:
    """Return the base that an adapter's own settings name, with the adapter on it, ready to be trained on."""
    from peft import PeftConfig, PeftModel

    base = load_model(Path(PeftConfig.from_pretrained(folder).base_model_name_or_path))
    return PeftModel.from_pretrained(base, folder, is_trainable=True)


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
