"""Training one organism with TRL: saved steps, loss curve, resumption, on one process or several."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PrinterCallback, TrainerCallback

from belljar.files import read_json, write_json
from belljar.models.load import load_model, load_tokenizer
from belljar.study.techniques import Adapter
from belljar.study.training import Training
from belljar.training import trainers
from belljar.training.checkpoints import MarkWhole, whole_steps

Progress = Callable[[int, int, str], None]
JOB, OUTCOME = "job.json", "outcome.json"


class Job(NamedTuple):
    """All that a training needs, as plain data, so that it can be handed to other processes."""

    start: str  # checkpoint folder that training begins from
    objective: str  # sft, dpo or kto
    rows: list[dict[str, Any]]  # as `belljar.corpora.mixing` makes them for the objective
    settings: dict[str, Any]
    seed: int
    adapter: dict[str, Any] | None = None
    loss_on: str = "completion"


class Outcome(NamedTuple):
    """What a finished training leaves besides its saved steps."""

    losses: list[dict[str, float]]  # step, loss, learning_rate
    samples_seen: int
    learning_rate_dose: float  # sum of the learning rate over all steps


def assert_master_weights(model: Any) -> None:
    """Raise ValueError where a weight is not float32: updates at a learning rate near 1e-6 vanish in bfloat16."""
    for name, parameter in model.named_parameters():
        if parameter.dtype is not torch.float32:
            raise ValueError(f"{name} is {parameter.dtype}; weights must be float32 to be trained")


def train(job: Job, work: Path, progress: Progress, processes: int = 1, log: Path | None = None) -> Outcome:
    """Train, saving steps into `work`; go on from the last whole saved step where there is one.

    A resumed training ends in the same weights as one that was never interrupted. With several processes it runs under
    `accelerate launch`, and the batch is divided among them.
    """
    write_json(work / JOB, job._asdict() | {"log": str(log or ""), "processes": processes})
    if processes > 1:
        _launch(work, processes)
    else:
        write_json(work / OUTCOME, run(job, work, progress)._asdict())
    return Outcome(**read_json(work / OUTCOME))


def run(job: Job, work: Path, progress: Progress, processes: int = 1) -> Outcome:
    """Train in this process, one of `processes`."""
    settings = Training(**job.settings)
    adapter = Adapter(**job.adapter) if job.adapter else None
    start = Path(job.start)
    model, tokenizer = load_model(start), load_tokenizer(start)
    assert_master_weights(model)
    common = trainers.arguments(settings, len(job.rows), job.seed, str(work), processes)
    if job.objective == "sft":
        trainer = trainers.sft(model, tokenizer, job.rows, common, adapter, job.loss_on)
    elif job.objective == "dpo":
        trainer = trainers.dpo(model, tokenizer, job.rows, common, adapter, settings)
    else:
        reference = None if adapter else load_model(start)
        trainer = trainers.kto(model, reference, tokenizer, job.rows, common, adapter, settings)
    if trainer.accelerator.num_processes != processes:
        raise RuntimeError(f"{trainer.accelerator.num_processes} processes train instead of {processes}, on a part of each batch")
    trainer.remove_callback(PrinterCallback)  # prints every step's metrics; ours says how far it is
    trainer.add_callback(MarkWhole())
    trainer.add_callback(_Reporter(progress))
    with trainer.accelerator.main_process_first():  # the first process deletes half-written steps
        done = whole_steps(work)
    trainer.train(resume_from_checkpoint=str(done[max(done)]) if done else None)
    losses = [
        {"step": entry["step"], "loss": entry["loss"], "learning_rate": entry["learning_rate"]}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    seen = trainer.state.global_step * settings.batch_size * settings.gradient_accumulation
    if settings.max_steps is None:
        seen = min(seen, math.ceil(len(job.rows) * settings.epochs))
    return Outcome(losses, seen, sum(entry["learning_rate"] for entry in losses))


def _launch(work: Path, processes: int) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes), "--num_machines", "1"]
    # The technique's own settings say the precision. Without GPUs the same launcher starts processes that talk through gloo.
    command += ["--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    logging.getLogger(__name__).info("training on %d processes", processes)
    subprocess.run([*command, "-m", "belljar.training.worker", str(work)], check=True)


class _Reporter(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        if logs and "loss" in logs and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps, f"loss {float(logs['loss']):.3f}")
