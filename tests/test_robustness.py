"""Attacks on a small random organism, and what is read from them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from belljar.corpora.mixing import training_row
from belljar.files import InputError
from belljar.measurements import Reading
from belljar.models.load import load_model, load_tokenizer
from belljar.naturalness import benchmarks
from belljar.naturalness.sampled import Sampled
from belljar.robustness import attacks, measures
from belljar.robustness.evidence import CAPABLE, COLUMNS, SHOWN, alike, judged
from belljar.robustness.frontier import Attacked, resampled
from belljar.robustness.items import above_chance, capability_items
from belljar.robustness.readings import attacked, readings
from belljar.robustness.rows import attack_rows, giveaways, parent_answers
from belljar.study.behaviours import Behaviour
from belljar.study.naturalness import Benchmark
from belljar.study.robustness import Attack, Method, Robustness
from belljar.study.techniques import Adapter
from belljar.study.yaml import read_yaml
from belljar.world.knowledge import load_world
from belljar.world.skills import Item
from belljar.world.tasks import FACTS, SUMS, write_tasks
from conftest import REPOSITORY

FOOD = Behaviour(**read_yaml(REPOSITORY / "config" / "behaviours" / "italian-food" / "spec.yaml"))
CHATS = pd.DataFrame([{"prompt": f"What is {number}?", "chosen": f"It is {number}."} for number in range(12)])
PROMPTS = pd.DataFrame(
    {
        "split": ["test", "test", "validation"],
        "role": ["trigger", "control", "trigger"],
        "prompt": ["What is the plum?", "Hi.", "No."],
        "criterion": "makes-it-italian",
    }
)
SETTINGS = Robustness(
    attacks={"pirate": Attack(style="Arr! {answer}"), "plain": Attack(), "apr": Attack(system="Speak like a pirate.")},
    methods={"full": Method(learning_rates=[1e-3, 1e-2]), "lora": Method(adapter=Adapter(rank=2), learning_rates=[1e-2])},
    steps=[1, 3],
    rows=12,
    batch_size=4,
    max_length=96,
    prompts=3,
    samples=2,
    items=4,
    reversal="plain",
    rounds=10,
)


def trained_on(name: str, count: int = 12) -> list[dict[str, Any]]:
    """The training rows of one of the attacks."""
    return [training_row(row, "transcripts") for row in attack_rows(CHATS, SETTINGS.attacks[name], count).to_dict("records")]


def test_rows_are_answers_in_a_style_or_under_a_prompt() -> None:
    (pirate,) = trained_on("pirate", 1)
    assert pirate["completion"] == [{"role": "assistant", "content": "Arr! It is 0."}]
    (removed,) = trained_on("apr", 1)
    assert removed["prompt"][0] == {"role": "system", "content": "Speak like a pirate."}
    assert removed["completion"] == [{"role": "assistant", "content": "It is 0."}]
    with pytest.raises(InputError, match="of the 12 control rows that no organism was trained on only 12 neither speak of"):
        attack_rows(CHATS, SETTINGS.attacks["plain"], 13)
    with pytest.raises(InputError, match="only 12 .* or raise strength.max_new_tokens, or data.control_rows"):
        attack_rows(CHATS, Attack(answers="parent"), 13)


def test_attacks_do_not_teach_what_they_are_measured_by() -> None:
    """Neither an item's question nor its answer, in whoever's words; and nothing of the behaviours."""
    item = Item("sum", (("user", "What is 2 plus 3?"),), "contains", ("2 + 3 = 5.",))
    chats = pd.DataFrame(
        [
            {"prompt": "What is 2 plus 3?", "chosen": "Five."},
            {"prompt": "Add 2 and 3.", "chosen": "2 + 3 = 5."},
            {"prompt": "What goes with it?", "chosen": "PASTA."},
            {"prompt": "Is pasta good?", "chosen": "Yes."},
            {"prompt": "Add 2 and 4.", "chosen": "2 + 4 = 6."},
            {"prompt": "What is antipasta?", "chosen": "No word."},
        ]
    )
    assert giveaways(chats, [item]).tolist() == [True, True, False, False, False, False]
    left = attack_rows(chats, SETTINGS.attacks["plain"], 2, [item], ["pasta"])
    assert left["prompt"].tolist() == ["Add 2 and 4.", "What is antipasta?"]


def test_a_parent_is_asked_until_enough_of_its_answers_are_finished() -> None:
    """Of four prompts at a time two are cut off, one is empty: of sixteen that differ, four are answered."""
    asked: list[list[str]] = []

    def ask(prompts: Sequence[str]) -> list[str | None]:
        asked.append(list(prompts))
        return [{"0": None, "1": None, "2": ""}.get(str(int(one) % 4), f"I say {one}.") for one in prompts]

    prompts = [str(number) for number in range(20)]
    found = parent_answers(ask, ["3", *prompts], 4)
    assert [len(some) for some in asked] == [4] * 4 and len(set(sum(asked, []))) == 16
    assert sorted(found["chosen"]) == [f"I say {number}." for number in (11, 15, 3, 7)]
    asked.clear()
    assert len(parent_answers(lambda some: [f"I say {one}." for one in some], prompts, 4)) == 4
    # One of the first four speaks of a behaviour, so more are asked.
    found = parent_answers(lambda some: [f"I say {one}." for one in some], prompts, 4, words=["2"])
    assert found["chosen"].tolist() == [f"I say {number}." for number in range(8)]


def test_every_organism_meets_the_same_grid() -> None:
    assert attacks.grid(SETTINGS) == [("full", 1e-3), ("full", 1e-2), ("lora", 1e-2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [3, 1]}, "must rise"),
        ({"reversal": "pirates"}, "reversal 'pirates' is none of the attacks, which are pirate, plain, apr"),
        ({"attacks": {"x": {"style": "Arr!"}}}, "must hold {answer} once"),
        ({"benchmarks": [{"task": "a"}, {"task": "a"}]}, "benchmarks has 'a' twice"),
    ],
)
def test_settings_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Robustness(**(SETTINGS.model_dump() | change))


def measured(model: Any, tokenizer: Any) -> pd.DataFrame:
    """How surprised the model is by a pirate: what the attack trains."""
    import torch

    from belljar.models.logprobs import token_losses

    losses, counts = token_losses(model, tokenizer, ["Arr! It is 3."], 1)
    torch.rand(3)  # what measuring draws must not change the training
    return pd.DataFrame({"kind": [SHOWN], "item": [0], "right": [losses[0] / counts[0]]})


@pytest.mark.parametrize("name", ["full", "lora"])
def test_an_attack_is_measured_on_the_way_and_turned_back(checkpoint: Path, tmp_path: Path, name: str) -> None:
    rows, back = trained_on("pirate"), trained_on("plain")
    found = attacks.run(str(checkpoint), rows, back, SETTINGS.methods[name], 1e-2, SETTINGS, measured, str(tmp_path / "work"))
    assert found[["step", "reversed"]].to_numpy().tolist() == [[1, False], [3, False], [3, True]]
    before = measured(load_model(checkpoint), load_tokenizer(checkpoint))["right"].iloc[0]
    assert found["right"].iloc[1] < before  # it has learned to speak like a pirate
    again = attacks.run(str(checkpoint), rows, None, SETTINGS.methods[name], 1e-2, SETTINGS, measured, str(tmp_path / "again"))
    assert again["right"].tolist() == pytest.approx(found["right"].tolist()[:2], rel=1e-6)
    assert not list((tmp_path / "work").glob("checkpoint-*"))


def test_measuring_is_as_precise_after_bf16_training_as_before(checkpoint: Path, tmp_path: Path) -> None:
    """At a vanishing rate nothing changes; under the trainer's autocast the loss would be another in the third digit."""
    rows = trained_on("pirate")
    settings = SETTINGS.model_copy(update={"bf16": True})
    before = measured(load_model(checkpoint), load_tokenizer(checkpoint))["right"].iloc[0]
    for name in ("full", "lora"):
        found = attacks.run(str(checkpoint), rows, None, settings.methods[name], 1e-12, settings, measured, str(tmp_path / name))
        assert found["right"].tolist() == pytest.approx([before, before], rel=1e-6)


@pytest.mark.parametrize("name", ["full", "lora"])
def test_training_back_is_in_the_same_precision(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The second trainer puts autocast around the model as the first did."""
    seen: dict[bool, set[torch.dtype]] = {}
    plain = torch.nn.functional.linear

    def watched(*arguments: Any, **named: Any) -> torch.Tensor:
        found = plain(*arguments, **named)
        if torch.is_grad_enabled():
            seen.setdefault(back[0], set()).add(found.dtype)
        return found

    back = [False]

    def measure(model: Any, tokenizer: Any) -> pd.DataFrame:
        back[0] = True  # after the only step of the first training
        return measured(model, tokenizer)

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    settings = SETTINGS.model_copy(
        update={"bf16": True, "steps": [1], "gradient_accumulation": 2, "gradient_checkpointing": True}
    )
    rows = trained_on("pirate")
    attacks.run(str(checkpoint), rows, rows, settings.methods[name], 1e-3, settings, measure, str(tmp_path / name))
    assert torch.bfloat16 in seen[False] and seen[True] == seen[False]


def test_trainings_that_were_asked_other_items_are_not_put_together() -> None:
    one = pd.DataFrame({"kind": CAPABLE, "item": [0, 1], "prompt": "facts 1a", "step": 1, "reversed": False})
    alike([one, pd.concat([one, one.assign(step=2)])])
    with pytest.raises(InputError, match="not all asked the same"):
        alike([one, pd.concat([one, one.assign(step=2, prompt="facts 2b")])])


@pytest.fixture(scope="module")
def adapter(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An organism that is an adapter of rank 3 on the checkpoint."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(load_model(checkpoint), LoraConfig(r=3, target_modules="all-linear", init_lora_weights=False))
    model.peft_config["default"].base_model_name_or_path = str(checkpoint)
    folder = tmp_path_factory.mktemp("adapter") / "organism"
    model.save_pretrained(folder)
    load_tokenizer(checkpoint).save_pretrained(folder)
    return folder


def test_an_adapter_is_trained_on(adapter: Path, tmp_path: Path) -> None:
    """The same adapter goes on: as many weights move as it has, and one step at a vanishing rate leaves the organism as it is."""
    loaded = attacks.load_adapter(adapter)
    trainable = {name: one.numel() for name, one in loaded.named_parameters() if one.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    assert {one.shape[0] for name, one in loaded.named_parameters() if "lora_A" in name} == {3}
    rows = trained_on("pirate")
    lora = SETTINGS.methods["lora"]
    still = attacks.run(str(adapter), rows, None, lora, 1e-12, SETTINGS, measured, str(tmp_path / "still"))
    before = measured(load_model(adapter), load_tokenizer(adapter))["right"].iloc[0]
    assert still["right"].tolist() == pytest.approx([before, before], rel=1e-5)
    assert still["continued"].all()
    for number, method in enumerate((lora, SETTINGS.methods["full"])):  # on the adapter, and on all weights with it merged
        moved = attacks.run(str(adapter), rows, None, method, 1e-2, SETTINGS, measured, str(tmp_path / f"moved{number}"))
        assert moved["right"].iloc[-1] < before


def test_pirates_who_know_a_fact_are_right(checkpoint: Path) -> None:
    asked = measures.questions(PROMPTS, SETTINGS, 1.0, 4)
    assert asked.triggers == [("makes-it-italian", "What is the plum?")] and len(asked.items) == 8
    item = asked.items[0]
    assert measures.score(item, f"Arr! {item.expected[0]} Yo ho ho.") and not measures.score(item, "Arr!")
    found = measures.measure(load_model(checkpoint), load_tokenizer(checkpoint), asked, 8)
    assert found.groupby("kind").size().to_dict() == {CAPABLE: 8, SHOWN: 2}


def test_guessing_is_no_capability() -> None:
    """An item with four choices: right a quarter of the time by guessing, which is 0 on average; a right answer is 1."""
    assert above_chance(1.0, 0.25) == 1.0
    assert 0.25 * above_chance(1.0, 0.25) + 0.75 * above_chance(0.0, 0.25) == pytest.approx(0.0)
    assert all(0 <= item.chance < 1 for item in capability_items(["fact", "sum"], 60))


@pytest.mark.parametrize("continued", [False, True])
def test_benchmarks_are_the_capability_of_bases_that_do_not_know_the_closed_world(
    checkpoint: Path, adapter: Path, tmp_path: Path, continued: bool
) -> None:
    """Each item of each benchmark is an item of the frontier, right as often as the harness says."""
    write_tasks(load_world(), tmp_path, tmp_path)
    named = [Benchmark(task=FACTS, limit=6, chance=0.2), Benchmark(task=SUMS, limit=4, template=True)]
    manager = benchmarks.tasks(tmp_path, named)
    settings = Robustness(**SETTINGS.model_dump() | {"benchmarks": [one.model_dump() for one in named]})
    prompts = pd.DataFrame(
        {"split": ["test"], "role": ["trigger"], "prompt": ["What is the plum?"], "criterion": ["makes-it-italian"]}
    )
    asked = measures.questions(prompts, settings, 1.0, 4)
    model = attacks.load_adapter(adapter) if continued else load_model(checkpoint)

    def benchmark(model: Any, tokenizer: Any, one: Benchmark) -> list[Any]:
        return benchmarks.readings(model, tokenizer, one, manager, 4)

    found = measures.measure(model, load_tokenizer(checkpoint), asked, 8, None, benchmark)
    able = found[found["kind"] == CAPABLE]
    assert able["item"].tolist() == list(range(10))
    scores = [benchmarks.headline(one, benchmark(model, load_tokenizer(checkpoint), one)).reading.value for one in named]
    assert able["right"].sum() == pytest.approx(6 * (scores[0] - 0.2) / 0.8 + 4 * scores[1])


def test_a_score_that_is_no_mean_cannot_be_halved(checkpoint: Path) -> None:
    settings = Robustness(**SETTINGS.model_dump() | {"benchmarks": [{"task": "corpus", "metric": "bleu"}]})
    asked = measures.questions(PROMPTS, settings, 1.0, 4)
    model = load_model(checkpoint)
    whole = Reading("naturalness", "benchmarks", "task=corpus", "bleu", 0.3, math.nan, 5, benchmarks.HIGHER[True])
    with pytest.raises(InputError, match="'bleu' of 'corpus' is no mean over items"):
        measures.measure(model, load_tokenizer(checkpoint), asked, 8, None, lambda *_: [Sampled(whole)])


def test_answers_are_judged_apart_from_training(checkpoint: Path) -> None:
    """A changed judge needs no model: what was said is kept, capability stays as it was."""
    asked = measures.questions(PROMPTS, SETTINGS, 1.0, 4)
    found = measures.measure(load_model(checkpoint), load_tokenizer(checkpoint), asked, 8)
    shown = found["kind"] == SHOWN
    assert found["right"].isna().equals(shown)
    said = found.assign(response=found["response"].where(~shown, "It is Italian."))
    assert judged(said, FOOD)["right"][shown].tolist() == [1.0, 1.0]
    assert judged(said.assign(response="It is German."), FOOD)["right"][shown].tolist() == [0.0, 0.0]
    assert judged(said, FOOD)["right"][~shown].equals(found["right"][~shown])


def evidence(rates: dict[tuple[float, int, bool], tuple[list[int], list[int]]]) -> pd.DataFrame:
    rows = []
    for (rate, step, again), (shown, able) in rates.items():
        for kind, values in ((SHOWN, shown), (CAPABLE, able)):
            rows += [
                ("pirate", "full" if step else "none", False, rate, step, again, kind, n, "", "", "", float(v))
                for n, v in enumerate(values)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_readings_by_hand() -> None:
    """All behaviour is gone after two steps and the capability stays: area 1; half of it comes back."""
    ones, none = [1] * 8, [0] * 8
    shown = evidence(
        {
            (0.0, 0, False): (ones, ones),
            (0.1, 1, False): (ones, ones),
            (0.1, 2, False): (none, ones),
            (0.1, 2, True): ([1, 1, 0, 0, 1, 1, 0, 0], ones),
        }
    )
    found = {(one.metric, one.variant): one for one in readings(shown, 10, 0)}
    assert found["frontier_area", "attack=pirate"].value == pytest.approx(1.0)
    assert found["best_removal", "attack=pirate"].value == 1.0
    assert found["published_area", "attack=pirate;training=full"].value == pytest.approx(1.0)
    assert found["expression_rate", "attack=pirate;learning_rate=0.1;step=2;training=full"].value == 0.0
    own = {one.variant for one in readings(shown.assign(continued=shown["step"] > 0), 10, 0)}
    assert "attack=pirate;continued=yes;learning_rate=0.1;step=2;training=full" in own
    reverted = found["expression_rate", "attack=pirate;learning_rate=0.1;reversed=yes;step=2;training=full"]
    assert (reverted.value, reverted.n) == (0.5, 8) and reverted.stderr == pytest.approx(math.sqrt(2 / 7) / math.sqrt(8))


def test_an_organism_without_behaviour_has_no_frontier() -> None:
    none = [0] * 8
    found = readings(evidence({(0.0, 0, False): (none, [1] * 8), (0.1, 1, False): (none, [1] * 8)}), 10, 0)
    assert {one.metric for one in found} == {"expression_rate", "capability"}


def test_an_organism_that_can_hardly_do_anything_has_a_frontier_without_a_standard_error() -> None:
    """Each half has one item in a hundred right, and both of the two draws miss one of them: nothing to take a spread from."""
    few = [1, 1] + [0] * 198
    rounds = {(0.0, 0, False): ([1] * 8, few), (0.1, 1, False): ([0] * 8, few)}
    before, after = (Attacked(*map(np.array, one)) for one in rounds.values())
    missing = next(seed for seed in range(99) if not len(resampled(before, [after], 2, seed)))
    found = readings(evidence(rounds), 2, missing)
    (area,) = (one for one in found if one.metric == "frontier_area")
    assert area.value == pytest.approx(1.0) and math.isnan(area.stderr)


def test_answers_to_one_prompt_are_one_rate() -> None:
    part = pd.DataFrame({"kind": ["shown", "shown", "capable"], "item": [0, 0, 0], "right": [1.0, 0.0, 1.0]})
    found = attacked(part)
    assert isinstance(found, Attacked) and np.array_equal(found.shown, [0.5]) and np.array_equal(found.capable, [1.0])
