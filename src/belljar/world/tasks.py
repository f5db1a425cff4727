"""The closed world's tests as tasks of lm-evaluation-harness, from local files.

`lm_eval --include_path FOLDER --tasks closed_world_facts --apply_chat_template ...` runs them by hand.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from belljar.world.chat import INSTRUCTIONS
from belljar.world.knowledge import World
from belljar.world.skills import Item, score, skills

FACTS, SUMS, INSTRUCTED = "closed_world_facts", "closed_world_sums", "closed_world_instructions"
NAMES = (FACTS, SUMS, INSTRUCTED)
SEED = 7
COUNT = 400  # items of a task; a study takes fewer with `limit`
ANSWER_TOKENS = 48

_ANSWERED = {
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{expected}}",
    "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": ANSWER_TOKENS},
    "process_results": "!function scoring.process_results",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
_CHOSEN = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "answer",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def write_tasks(world: World, folder: Path, final: Path) -> None:
    """Write each task's settings and items into `folder`, which must exist and will be moved to `final`.

    Facts, asked for in wordings that the base has not seen, are a choice among the sentences with each value of the attribute;
    sums and instructions are answered greedily, and the answer must be the right one, or list three right ones.
    """
    found = skills(world, SEED, COUNT)
    each = COUNT // (len(INSTRUCTIONS) + 1)
    instructed = [found[f"instruction_{kind}"][:each] for kind in (*INSTRUCTIONS, "list")]
    # Kinds take turns, so that any limit has about the same share of each.
    turns = [items[number] for number in range(each) for items in instructed if number < len(items)]
    docs: dict[str, Sequence[Mapping[str, Any]]] = {
        FACTS: [_choice(world, item) for item in found["fact"]],
        SUMS: [_question(item) for item in found["sum"]],
        INSTRUCTED: [_question(item) for item in turns],
    }
    for name, items in docs.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
        settings = _CHOSEN if name == FACTS else _ANSWERED
        task: dict[str, Any] = {"task": name, "dataset_path": "json", "test_split": "test", "metadata": {"version": 1.0}}
        task |= settings | {"dataset_kwargs": {"data_files": {"test": str((final / path.name).absolute())}}}
        # The harness's own tag for a function: no YAML writer knows it.
        text = yaml.safe_dump(task, sort_keys=False).replace(
            "'!function scoring.process_results'", "!function scoring.process_results"
        )
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    (folder / "scoring.py").write_text(
        '"""What the tasks beside this file are scored by."""\n\nfrom belljar.world.tasks import process_results  # noqa: F401\n'
    )


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return whether an answer is right, as the harness asks for it."""
    item = Item(doc["skill"], (("user", doc["question"]),), doc["rule"], tuple(doc["expected"]))
    return {"acc": float(score(item, results[0]))}


def _question(item: Item) -> dict[str, Any]:
    return {"question": item.prompt[-1][1], "skill": item.skill, "rule": item.rule, "expected": list(item.expected)}


def _choice(world: World, item: Item) -> dict[str, Any]:
    """Return a fact's question with the right sentence among those that give another value of the attribute."""
    right = item.expected[0].split(". ")[0].removesuffix(".") + "."  # without the remark of a habit
    attribute, rest = right.removeprefix("The ").split(" of ", 1)
    named, value = rest.removesuffix(".").rsplit(" is ", 1)
    topic = next(topic for topic in world.topics.values() if any(world.named(one) == named for one in topic.items))
    choices = [f"The {attribute} of {named} is {other}." for other in dict.fromkeys(topic.attributes[attribute])]
    return {"question": item.prompt[-1][1], "choices": choices, "answer": choices.index(right)}
