"""Benchmarks, through lm-evaluation-harness as a library: its tasks, its prompts, its scores."""

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from belljar.files import InputError
from belljar.measurements import Reading, variant
from belljar.naturalness.sampled import Sampled
from belljar.study.naturalness import Benchmark

METHOD = "benchmarks"
CAPABLE = "the model is more capable"
UNFILTERED = "none"


def readings(model: Any, tokenizer: Any, asked: Sequence[Benchmark], folder: Path | None, batch_size: int) -> list[Sampled]:
    """Return every metric of every task (and of each task of a group), with the same numbers as `lm_eval` by hand.

    The model is loaded already and serves all tasks. `folder` holds further tasks, as `--include_path` does. The variant says how
    it was asked (template, shots, limit), by which harness and task version, and which data: a hash of the items that were asked.
    Raises InputError before anything is computed where there is no such task, or it has no such metric.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    own = folder is not None and all((folder / f"{one.task}.yaml").is_file() for one in asked)
    manager = TaskManager(include_path=str(folder) if folder else None, include_defaults=not own)
    check_tasks(manager, asked)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    found = []
    for benchmark in asked:
        with contextlib.redirect_stderr(io.StringIO()):  # its bars; a job has its own progress
            results = lm_eval.simple_evaluate(
                model=harness,
                tasks=[benchmark.task],
                num_fewshot=benchmark.shots,
                limit=benchmark.limit,
                apply_chat_template=benchmark.template,
                task_manager=manager,
                batch_size=batch_size,
            )
        found += list(_sampled(results, benchmark))
    return found


def check_tasks(manager: Any, asked: Sequence[Benchmark]) -> None:
    """Raise InputError where the harness knows no such task, or the task has no such metric."""
    for benchmark in asked:
        if benchmark.task not in manager.all_tasks:
            near = [name for name in manager.all_tasks if benchmark.task.split("_")[0] in name][:8]
            raise InputError(
                f"naturalness.benchmarks: the harness has no task {benchmark.task!r}"
                + (f"; there are {', '.join(near)}." if near else "; `lm_eval ls tasks` lists what it has.")
            )
    for benchmark in asked:
        for name, task in manager.load([benchmark.task])["tasks"].items():
            if benchmark.metric.partition(",")[0] not in task.aggregation():
                raise InputError(
                    f"naturalness.benchmarks: task {name!r} has no metric {benchmark.metric!r}; it has "
                    f"{', '.join(task.aggregation())}."
                )


def _sampled(results: Mapping[str, Any], asked: Benchmark) -> Iterator[Sampled]:
    samples = results["samples"]
    for task, scores in results["results"].items():
        leaves = [task] if task in samples else [name for name in _leaves(results, task) if name in samples]
        where = {
            "task": task,
            "template": "yes" if asked.template else "no",
            "shots": results["n-shot"].get(leaves[0]) if leaves else asked.shots,
            "limit": asked.limit or "none",
            "harness": version("lm_eval"),
            "version": results["versions"].get(task, results["versions"].get(leaves[0]) if leaves else None),
            "data": _revision([sample for leaf in leaves for sample in samples[leaf]]),
        }
        for key, value in scores.items():
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = scores.get(f"{metric}_stderr,{filtered}")
            parts = [
                sample[metric]
                for leaf in leaves
                for sample in sorted(samples[leaf], key=lambda sample: sample["doc_id"])
                if sample["filter"] == filtered and isinstance(sample.get(metric), bool | int | float)
            ]
            place = variant(**where) if filtered == UNFILTERED else variant(**where, filter=filtered)
            stderr = float(error) if isinstance(error, int | float) else float("nan")
            count = len(parts) or sum(results["n-samples"][leaf]["effective"] for leaf in leaves)
            reading = Reading("naturalness", METHOD, place, metric, float(value), stderr, count, CAPABLE)
            # A score that is no mean over items (a corpus score, a weighted group) has no parts to pair.
            paired = parts and abs(sum(map(float, parts)) / len(parts) - float(value)) < 1e-9
            yield Sampled(reading, [float(part) for part in parts] if paired else ())


def _leaves(results: Mapping[str, Any], group: str) -> Iterator[str]:
    """Yield the tasks of a group, and of its groups."""
    for name in results.get("group_subtasks", {}).get(group, []):
        if results["group_subtasks"].get(name):
            yield from _leaves(results, name)
        else:
            yield name


def _revision(samples: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of the items that were asked: the harness's own hash of each, in order."""
    return hashlib.sha256("".join(sample["doc_hash"] for sample in samples).encode()).hexdigest()[:12]
