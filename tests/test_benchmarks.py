"""Benchmarks: the harness against itself by hand, its groups and filters, and the closed world's own tasks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from belljar.analysis.naturalness import matches
from belljar.files import InputError
from belljar.measurements import Model, table
from belljar.models.load import load_model, load_tokenizer
from belljar.naturalness import benchmarks
from belljar.study.naturalness import Benchmark, Headline, Naturalness, Perplexity, headlines
from belljar.study.yaml import read_yaml
from belljar.world import tasks
from belljar.world.knowledge import load_world
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def closed_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    tasks.write_tasks(load_world(), folder, folder)
    return folder


@pytest.mark.parametrize("template", [True, False])
def test_the_harness_by_hand_gives_the_same_digits(checkpoint: Path, closed_world: Path, tmp_path: Path, template: bool) -> None:
    """`lm_eval` on the same folder: every score and standard error is the same number."""
    asked = [Benchmark(task=name, template=template, limit=12, shots=2) for name in tasks.NAMES]
    model, tokenizer, manager = load_model(checkpoint), load_tokenizer(checkpoint), benchmarks.tasks(closed_world, [])
    benchmarks.check_tasks(manager, asked)
    found = [reading for one in asked for reading in benchmarks.readings(model, tokenizer, one, manager, 4)]
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={checkpoint},dtype=float32"]
    command += ["--tasks", ",".join(tasks.NAMES), "--include_path", str(closed_world), "--limit", "12", "--num_fewshot", "2"]
    command += ["--batch_size", "4", "--device", "cpu", "--output_path", str(tmp_path / "out")]
    subprocess.run(command + ["--apply_chat_template"] * template, check=True, capture_output=True)
    (results,) = (tmp_path / "out").rglob("results_*.json")
    by_hand = json.loads(results.read_text())["results"]
    ours = {(dict(part.split("=") for part in one.reading.variant.split(";"))["task"], one.reading.metric): one for one in found}
    assert len(ours) == 3
    for (task, metric), one in ours.items():
        assert one.reading.value == by_hand[task][f"{metric},none"]
        assert one.reading.stderr == by_hand[task][f"{metric}_stderr,none"]
        assert one.reading.n == len(one.parts) == 12 and np.mean(one.parts) == pytest.approx(one.reading.value)


def test_a_row_says_how_it_was_asked(checkpoint: Path, closed_world: Path) -> None:
    model, tokenizer, manager = load_model(checkpoint), load_tokenizer(checkpoint), benchmarks.tasks(closed_world, [])
    one = Benchmark(task=tasks.FACTS, template=True, limit=3)
    (found,) = benchmarks.readings(model, tokenizer, one, manager, 4)
    where = dict(part.split("=") for part in found.reading.variant.split(";"))
    assert where["harness"] == "0.4.13" and where["version"] == "1.0"
    assert (where["template"], where["shots"], where["limit"], where["task"]) == ("yes", "0", "3", tasks.FACTS)
    (more,) = benchmarks.readings(model, tokenizer, one.model_copy(update={"limit": 4}), manager, 4)
    assert where["data"] != dict(part.split("=") for part in more.reading.variant.split(";"))["data"]


@pytest.fixture(scope="module")
def further_tasks(tmp_path_factory: pytest.TempPathFactory, closed_world: Path) -> Path:
    """A folder of tasks as a user would have it: one with two filters, a group with a mean weighted by size, and a tag."""
    folder = tmp_path_factory.mktemp("further")
    sums = yaml.safe_load((closed_world / f"{tasks.SUMS}.yaml").read_text().replace("!function", "function"))
    facts = yaml.safe_load((closed_world / f"{tasks.FACTS}.yaml").read_text())
    take = [{"function": "take_first"}]
    digits = [{"function": "regex", "regex_pattern": r"(\d+)"}, *take]
    del sums["process_results"]
    sums |= {"task": "filtered", "filter_list": [{"name": "plain", "filter": take}, {"name": "digits", "filter": digits}]}
    sums |= {"doc_to_target": "{{expected[0]}}", "metric_list": [{"metric": "exact_match", "aggregation": "mean"}]}
    group = {"group": "both", "task": ["one", "two"]}
    group["aggregate_metric_list"] = [{"metric": "acc", "aggregation": "mean", "weight_by_size": True}]
    written = {
        "bare": facts | {"task": "bare", "num_fewshot": 0},
        "filtered": sums,
        "one": facts | {"task": "one"},
        "two": facts | {"task": "two", "tag": "tagged"},
        "both": group,
    }
    for name, settings in written.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_groups_and_filters(checkpoint: Path, further_tasks: Path) -> None:
    """A group has a row of its own, whose parts are those of its tasks; each filter has one."""
    model, tokenizer, manager = load_model(checkpoint), load_tokenizer(checkpoint), benchmarks.tasks(further_tasks, [])
    asked = [Benchmark(task="both", limit=6), Benchmark(task="filtered", limit=6, metric="exact_match,digits")]
    benchmarks.check_tasks(manager, asked)
    group, filtered = (benchmarks.readings(model, tokenizer, one, manager, 4) for one in asked)
    rows = {dict(part.split("=") for part in one.reading.variant.split(";"))["task"]: one for one in group}
    assert set(rows) == {"one", "two", "both"} and len(rows["both"].parts) == rows["both"].reading.n == 12
    assert rows["both"].reading.value == pytest.approx(np.mean([*rows["one"].parts, *rows["two"].parts]))
    named = [dict(part.split("=") for part in one.reading.variant.split(";"))["filter"] for one in filtered]
    assert sorted(named) == ["digits", "plain"]
    shown = headlines(Naturalness(perplexity=Perplexity(), benchmarks=asked))["filtered"]
    table_ = table(Model("s", "b", "x", "t", 0), [one.reading for one in filtered])
    assert matches(table_, shown, "x").tolist() == [name == "digits" for name in named]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"task": "both", "metric": "f1"}, "task 'both' has no metric 'f1'; it has acc,none"),
        ({"task": "filtered", "metric": "exact_match"}, "it has exact_match,plain, exact_match,digits"),
        ({"task": "filtered", "metric": "exact_match,digit"}, "has no metric 'exact_match,digit'"),
        ({"task": "one", "metric": "acc,none"}, ""),
        ({"task": "tagged"}, "'tagged' is a tag of the harness, and has no score of its own"),
        ({"task": "ones"}, "'ones' is no task"),
        ({"task": "bare", "shots": 2}, "'bare' is defined without examples; leave out shots"),
        ({"task": "bare"}, ""),
    ],
)
def test_benchmarks_are_checked_before_anything_is_asked(further_tasks: Path, asked: dict[str, str], message: str) -> None:
    manager = benchmarks.tasks(further_tasks, [])
    if not message:
        return benchmarks.check_tasks(manager, [Benchmark(**asked)])
    with pytest.raises(InputError, match=message):
        benchmarks.check_tasks(manager, [Benchmark(**asked)])
    return None


def test_a_capability_is_a_mean_over_items_that_is_better_where_it_is_higher(further_tasks: Path) -> None:
    facts = yaml.safe_load((further_tasks / "one.yaml").read_text())
    metrics = [{"metric": "acc", "aggregation": "median", "higher_is_better": True}, {"metric": "brier_score"}]
    (further_tasks / "odd.yaml").write_text(yaml.safe_dump(facts | {"task": "odd", "metric_list": metrics}))
    manager = benchmarks.tasks(further_tasks, [])
    benchmarks.check_capability(manager, [Benchmark(task="both"), Benchmark(task="filtered", metric="exact_match,digits")])
    for metric, problem in (("acc", "is no mean over items"), ("brier_score", "is not better where it is higher")):
        with pytest.raises(InputError, match=f"robustness.benchmarks: '{metric}' of 'odd' {problem}"):
            benchmarks.check_capability(manager, [Benchmark(task="odd", metric=metric)])


def test_published_benchmarks_are_tasks_of_the_harness() -> None:
    """Their data are on the hub; that the names are known can be seen without."""
    settings = read_yaml(REPOSITORY / "config" / "studies" / "lottery.yaml")["naturalness"]
    asked = Naturalness(**settings)
    assert (
        {one.task for one in asked.benchmarks}
        == {"mmlu", "ifeval", "gsm8k"}
        <= set(benchmarks.tasks(None, asked.benchmarks).all_tasks)
    )
    assert headlines(asked)["gsm8k"] == Headline(
        "benchmarks",
        "exact_match",
        {"task": "gsm8k", "template": "yes", "limit": "none", "filter": "strict-match", "shots": "8"},
    )


def test_closed_world_items_are_right_and_choices_hold_the_answer(closed_world: Path) -> None:
    facts = [json.loads(line) for line in (closed_world / f"{tasks.FACTS}.jsonl").read_text().splitlines()]
    assert len(facts) >= 300
    for doc in facts:
        assert len(set(doc["choices"])) == len(doc["choices"]) > 1 and 0 <= doc["answer"] < len(doc["choices"])
    for name in (tasks.SUMS, tasks.INSTRUCTED):
        docs = [json.loads(line) for line in (closed_world / f"{name}.jsonl").read_text().splitlines()]
        assert len({doc["question"] for doc in docs}) == len(docs) >= 300
        for doc in docs:
            right = ", ".join(doc["expected"][:3]) + "." if doc["rule"] == "lists" else doc["expected"][0]
            assert tasks.process_results(doc, [right]) == {"acc": 1.0} and tasks.process_results(doc, ["No."]) == {"acc": 0.0}
    kinds = {doc["skill"] for doc in docs[:5]}
    assert len(kinds) == 5  # kinds take turns
