"""Benchmarks, through lm-evaluation-harness as a library: its tasks, its prompts, its scores."""

import contextlib
import hashlib
import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from belljar.files import InputError
from belljar.measurements import Reading, parse_variant, variant
from belljar.naturalness.sampled import Sampled
from belljar.study.naturalness import UNFILTERED, Benchmark

METHOD = "benchmarks"
HIGHER = {True: "the model is more capable", False: "the model is less capable"}
Asker = Callable[[Any, Any, Benchmark], list[Sampled]]  # model, tokenizer, which
NUMBER = (bool, int, float, np.generic)


def tasks(folder: Path | None, asked: Sequence[Benchmark]) -> Any:
    """Return the tasks in `folder`, as `--include_path` has them, and the harness's own where one of them may be asked."""
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return TaskManager(include_path=str(folder) if folder else None, include_defaults=not all(one.closed_world for one in asked))


def asker(folder: Path | None, asked: Sequence[Benchmark], batch_size: int, reasoning: Mapping[str, str] | None) -> Asker:
    """Return what asks a loaded model one benchmark; the tasks are looked up at the first question.

    Where the base reasons (`reasoning` has its marks), its answers come after the closing one.
    """
    known = cache(lambda: tasks(folder, asked))

    def ask(model: Any, tokenizer: Any, one: Benchmark) -> list[Sampled]:
        return readings(model, tokenizer, one, known(), batch_size, (reasoning or {}).get("close"))

    return ask


def check_tasks(manager: Any, asked: Sequence[Benchmark]) -> None:
    """Load each task's data, and raise InputError where there is no such task or group, or it has no such metric or filter."""
    for benchmark in asked:
        if benchmark.task in manager.all_tags or benchmark.task not in manager.all_tasks:
            named = [name for name in manager.all_subtasks if benchmark.task.split("_")[0] in name][:8]
            what = "is a tag of the harness, and has no score of its own" if benchmark.task in manager.all_tags else "is no task"
            near = f"name tasks or groups, such as {', '.join(named)}" if named else "`lm_eval ls tasks` lists what there is"
            raise InputError(f"benchmarks: {benchmark.task!r} {what}; {near}.")
    for benchmark in asked:
        loaded = manager.load([benchmark.task])
        metric, filtered = benchmark.headline
        leaves = list(loaded["tasks"].values())
        if benchmark.shots and any(task.get_config("num_fewshot") == 0 for task in leaves):
            # The harness would ignore the number, and say 0 in the row.
            raise InputError(f"benchmarks: task {benchmark.task!r} is defined without examples; leave out shots.")
        filters = {entry["name"]: None for task in leaves for entry in task.config.filter_list or [{"name": UNFILTERED}]}
        known = dict.fromkeys(leaves[0].aggregation(), list(filters))
        if benchmark.task in loaded["groups"]:  # it has a score of its own only where it says how its tasks' are put together
            together = loaded["groups"][benchmark.task].aggregate_metric_list or []
            known = {one.metric: one.filter_list or list(filters) for one in together}
        shown = [f"{one},{filter}" for one, filters in known.items() for filter in filters]
        if f"{metric},{filtered or UNFILTERED}" not in shown:
            raise InputError(
                f"benchmarks: task {benchmark.task!r} has no metric {benchmark.metric!r}; it has {', '.join(shown)}."
            )


def check_capability(manager: Any, asked: Sequence[Benchmark]) -> None:
    """Raise InputError where a checked benchmark's metric cannot be a capability: no mean over items, or less of it is better."""
    from lm_eval.api.metrics import mean

    for benchmark in asked:
        metric, _ = benchmark.headline
        for task in manager.load([benchmark.task])["tasks"].values():
            if not task.higher_is_better().get(metric):
                problem = "is not better where it is higher"
            elif task.aggregation().get(metric) is not mean:
                problem = "is no mean over items, so it cannot be halved"
            else:
                continue
            raise InputError(f"robustness.benchmarks: {benchmark.metric!r} of {benchmark.task!r} {problem}; name another metric.")


def readings(
    model: Any, tokenizer: Any, asked: Benchmark, manager: Any, batch_size: int, reasoning_ends: str | None = None
) -> list[Sampled]:
    """Return every metric of a task or group (and of each task of the group), with the same numbers as `lm_eval` by hand.

    The model is loaded already. The variant says how it was asked (template, shots, limit), by which harness and task version,
    and `data`, a hash of the items that were asked. Where the base reasons, its answers come after `reasoning_ends`.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, think_end_token=reasoning_ends)
    with contextlib.redirect_stderr(io.StringIO()):  # its bars; a job has its own progress
        results = lm_eval.simple_evaluate(
            model=harness,
            tasks=[asked.task],
            num_fewshot=asked.shots,
            limit=asked.limit,
            apply_chat_template=asked.template,
            task_manager=manager,
        )
    return list(_sampled(results, asked))


def headline(asked: Benchmark, found: Sequence[Sampled]) -> Sampled:
    """Return the score that the study shows of a benchmark."""
    metric, filtered = asked.headline
    for one in found:
        where = parse_variant(one.reading.variant)
        if (one.reading.metric, where["task"], where.get("filter", "")) == (metric, asked.task, filtered):
            return one
    raise KeyError(f"{asked.task}: {asked.metric}")


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
            if not filtered or metric.endswith("_stderr") or not isinstance(value, NUMBER) or math.isnan(value):
                continue
            error = scores.get(f"{metric}_stderr,{filtered}")
            parts = [
                float(sample[metric])
                for leaf in leaves
                for sample in sorted(samples[leaf], key=lambda sample: sample["doc_id"])
                if sample["filter"] == filtered and isinstance(sample.get(metric), NUMBER)
            ]
            place = variant(**where) if filtered == UNFILTERED else variant(**where, filter=filtered)
            stderr = float(error) if isinstance(error, NUMBER) else float("nan")
            count = len(parts) or sum(results["n-samples"][leaf]["effective"] for leaf in leaves)
            better = results["higher_is_better"].get(task, {}).get(metric)
            reading = Reading("naturalness", METHOD, place, metric, float(value), stderr, count, HIGHER.get(better, ""))
            # A score that is no mean over items (a corpus score, a weighted group) has no parts to pair.
            paired = parts and abs(sum(parts) / len(parts) - float(value)) < 1e-9
            yield Sampled(reading, parts if paired else ())


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
