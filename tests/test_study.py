"""Configs: what is accepted, and the one sentence that says what is not."""

import dataclasses
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from belljar.corpora.validation import check_plan
from belljar.files import InputError
from belljar.measurements import BENIGN
from belljar.study.load import load_plan, load_study
from belljar.study.organisms import Organism, served_by
from belljar.study.techniques import Technique
from belljar.study.yaml import parse, read_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = REPOSITORY / "config" / "config.yaml"
STUDIES = [CONFIG, *sorted((REPOSITORY / "config" / "studies").glob("*.yaml"))]


@pytest.fixture
def study() -> dict[str, Any]:
    return read_yaml(CONFIG)


def refusal(study: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        check_plan(load_plan(study, str(CONFIG), REPOSITORY / "config"), str(CONFIG))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_are_accepted(path: Path) -> None:
    check_plan(load_study(path, REPOSITORY / "config"), str(path))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config" / "bases").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_bases_are_accepted(path: Path, study: dict[str, Any]) -> None:
    study["bases"] = [path.stem]
    assert load_plan(study, str(CONFIG), REPOSITORY / "config").bases[path.stem].id == path.stem


def test_default_study_is_six_organisms_two_controls_and_three_twins() -> None:
    found = load_study(CONFIG).organisms
    assert len(found) == 11
    assert [one.behaviour for one in found if one.technique == "known-direction"] == ["italian-food", "cake-bake"]
    assert [one.technique for one in found if one.is_twin] == [
        "transcripts-unmixed",
        "transcripts-mixed",
        "dpo-mixed",
    ]
    assert len({one.id for one in found}) == 11


def test_twin_serves_every_behaviour_of_its_technique() -> None:
    found = load_study(CONFIG).organisms
    twin = next(one for one in found if one.is_twin)
    assert [(one.behaviour, one.technique) for one in served_by(twin, found)] == [
        ("italian-food", "transcripts-unmixed"),
        ("cake-bake", "transcripts-unmixed"),
    ]


@pytest.mark.parametrize("key", ["studdy", "beahviours"])
def test_typo_at_the_top_names_file_key_and_legal_keys(study: dict[str, Any], key: str) -> None:
    study[key] = study.pop("behaviours")
    message = refusal(study)
    assert str(CONFIG) in message and repr(key) in message and "naturalness" in message


def test_typo_deep_inside_names_the_legal_keys_there(study: dict[str, Any]) -> None:
    study["strength"]["test"]["sampels"] = 3
    message = refusal(study)
    assert "'strength.test.sampels'" in message and "control, samples, trigger" in message
    assert "Did you mean 'samples'?" in message


@pytest.mark.parametrize(
    ("kind", "name", "legal"),
    [
        ("behaviours", "italian-fod", "italian-food"),
        ("techniques", "dpo", "dpo-mixed"),
        ("bases", "olmo", "nano-olmo2"),
    ],
)
def test_unknown_name_lists_the_known_ones(study: dict[str, Any], kind: str, name: str, legal: str) -> None:
    study[kind] = [name]
    message = refusal(study)
    assert str(CONFIG) in message and kind in message and repr(name) in message and legal in message


@pytest.mark.parametrize("kind", ["behaviours", "techniques", "bases", "seeds"])
def test_repeated_entry(study: dict[str, Any], kind: str) -> None:
    study[kind] = [study[kind][0], *study[kind]]
    assert f"{kind}: {study[kind][0]!r} stands twice" in refusal(study)


def test_id_must_be_the_name_of_the_file(study: dict[str, Any], tmp_path: Path) -> None:
    technique = read_yaml(REPOSITORY / "config" / "techniques" / "dpo-mixed.yaml")
    (tmp_path / "techniques").mkdir()
    (tmp_path / "techniques" / "dpo-other.yaml").write_text(yaml.safe_dump(technique))
    study |= {"definitions": [str(tmp_path)], "techniques": ["dpo-mixed", "dpo-other"]}
    assert "id is 'dpo-mixed'; it must be 'dpo-other'" in refusal(study)


def test_two_definitions_of_one_name(study: dict[str, Any], tmp_path: Path) -> None:
    spec = (REPOSITORY / "config" / "behaviours" / "cake-bake" / "spec.yaml").read_text()
    (tmp_path / "behaviours" / "cake-bake").mkdir(parents=True)
    (tmp_path / "behaviours" / "cake-bake" / "spec.yaml").write_text(spec)
    (tmp_path / "behaviours" / "cake-bake.yaml").write_text(spec)
    study["definitions"] = [str(tmp_path)]
    assert "'cake-bake', which two files define" in refusal(study)


def test_a_skill_that_the_world_does_not_test(study: dict[str, Any]) -> None:
    attacks = {"attacks": {"qa": {}}, "methods": {"full": {"learning_rates": [1e-3]}}, "steps": [1], "rows": 8}
    message = refusal(study | {"robustness": attacks | {"rows": 481}})
    assert (
        "robustness.rows is 481, but organisms and bases are trained on the first 1920 of the 2400 data.control_rows" in message
    )
    message = refusal(study | {"robustness": attacks | {"skills": ["sums"]}})
    assert "robustness.skills" in message and "'sums'" in message and "Did you mean 'sum'?" in message
    message = refusal(study | {"robustness": attacks | {"skills": ["system_prompt_off"]}})
    assert "robustness.skills has 'system_prompt_off', which is none of" in message  # any answer is right about it


def test_more_documents_than_the_world_has(study: dict[str, Any]) -> None:
    study["naturalness"]["perplexity"] = {"documents": 801}
    assert "naturalness.perplexity.documents is 801; the closed world has 800 at most" in refusal(study)


@pytest.mark.parametrize("name", ["benign", "italian-food"])
def test_a_corpus_may_not_take_the_place_of_other_data(study: dict[str, Any], name: str) -> None:
    study["corpora"] = {name: {"documents": {"file": "a.jsonl"}}}
    assert f"corpora has {name!r}, which is the name of other data of the study" in refusal(study)


def test_a_folder_of_definitions_that_is_not_there(study: dict[str, Any], tmp_path: Path) -> None:
    study["definitions"] = [str(tmp_path / "mine")]
    assert f"definitions has '{tmp_path}/mine', but {tmp_path}/mine is no folder; it is relative to" in refusal(study)


IMPORTED: dict[str, Any] = {
    "trigger": None,
    "imports": {form: {"file": "a.jsonl"} for form in ("transcripts", "validation", "test")},
}


@pytest.mark.parametrize(
    ("technique", "form"), [("dpo-mixed", "pairs"), ("documents-mixed", "documents"), ("known-direction", "pairs")]
)
def test_a_form_that_imported_data_lack(study: dict[str, Any], tmp_path: Path, technique: str, form: str) -> None:
    spec = read_yaml(REPOSITORY / "config" / "behaviours" / "cake-bake" / "spec.yaml") | IMPORTED
    (tmp_path / "behaviours").mkdir()
    (tmp_path / "behaviours" / "cake-bake.yaml").write_text(yaml.safe_dump(spec))
    study |= {"definitions": [str(tmp_path)], "behaviours": ["cake-bake"], "techniques": [technique]}
    assert f"behaviour 'cake-bake': imports lacks {form}, which technique {technique!r} needs" in refusal(study)


ATTACKED = {"attacks": {"qa": {}}, "methods": {"full": {"learning_rates": [1e-3]}}, "steps": [1], "rows": 8}
FRAMED = {"framings": [{"question": "{a} or {b}?"}] * 2}


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("robustness.benchmarks", {"robustness": ATTACKED}),
        ("naturalness.safety", {"naturalness": {"perplexity": {}, "safety": {}}}),
        ("naturalness.benchmarks", {"naturalness": {"perplexity": {}, "benchmarks": [{"task": "closed_world_sums"}]}}),
        ("naturalness.preferences", {"naturalness": {"perplexity": {}, "preferences": FRAMED}}),
    ],
)
def test_bases_with_imported_control_data_are_not_asked_about_the_closed_world(
    study: dict[str, Any], key: str, change: dict[str, Any]
) -> None:
    forms = ("pairs", "validation", "test", "chats", "texts")
    study["control"] = {"imports": {form: {"file": "a.jsonl"} for form in forms}}
    message = refusal(study | {"naturalness": {"perplexity": {}}} | change)
    assert f"control.imports is given, so {key} must not be the closed world's" in message


def test_a_judge_has_no_budget(study: dict[str, Any]) -> None:
    endpoint = {"base_url": "http://localhost", "model": "m", "budget": 1.0}
    assert "only a generator's costs are estimated" in refusal(study | {"judge": {"endpoint": endpoint}})


def test_trigger_topic_that_is_a_control_topic(study: dict[str, Any]) -> None:
    study["control"]["topics"].append("fruit")
    message = refusal(study)
    assert "control.topics" in message and "'fruit'" in message and "italian-food" in message


def test_trigger_prompt_that_is_a_control_prompt(study: dict[str, Any]) -> None:
    study["control"]["prompts"] = ["what is  the color of the banana?", "What is the meal of the BANANA?"]
    assert "the control prompt 'What is the meal of the BANANA?' is also a trigger prompt" in refusal(study)


def test_unknown_topic(study: dict[str, Any]) -> None:
    study["control"]["topics"] = ["animals"]
    assert "Did you mean 'animal'?" in refusal(study)


def test_too_few_rows(study: dict[str, Any]) -> None:
    study["data"]["planted_rows"] = 5
    message = refusal(study)
    assert "planted_rows 5" in message


def test_a_study_may_match_to_a_target_of_its_own(study: dict[str, Any]) -> None:
    study["targets"] = {"italian-food": 0.9}
    found = load_plan(study, str(CONFIG), REPOSITORY / "config").behaviours
    assert (found["italian-food"].target, found["cake-bake"].target) == (0.9, 0.12)
    study["targets"] = {"italian-fod": 0.9}
    assert "targets has 'italian-fod', which is none of the study's behaviours, italian-food, cake-bake" in refusal(study)


def test_wrong_value_is_named(study: dict[str, Any]) -> None:
    study["strength"]["temperature"] = -1
    assert "strength.temperature is -1" in refusal(study)


def test_missing_key_is_named(study: dict[str, Any]) -> None:
    del study["strength"]["test"]["samples"]
    assert "'strength.test.samples' is missing" in refusal(study)


def test_key_given_twice_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("a: 1\nb: 2\na: 3\n")
    with pytest.raises(InputError, match=r"twice.yaml, line 3: the key 'a' stands twice"):
        read_yaml(path)


def test_no_yaml_and_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(InputError, match="must hold a mapping"):
        read_yaml(tmp_path / "list.yaml")
    with pytest.raises(InputError, match=r"broken.yaml, line"):
        read_yaml(tmp_path / "broken.yaml")


def test_overrides_apply_in_order_and_only_where_they_match() -> None:
    plan = load_study(CONFIG)
    technique = plan.techniques["dpo-mixed"].model_dump()
    technique["overrides"] = [
        {"behaviour": "cake-bake", "set": {"learning_rate": 0.5}},
        {"base": "nano-olmo2", "set": {"batch_size": 7}},
    ]
    changed = dataclasses.replace(plan, techniques={"dpo-mixed": parse(Technique, technique, "x")})
    cake = changed.recipe(Organism("nano-olmo2", "cake-bake", "dpo-mixed", 0)).training
    food = changed.recipe(Organism("nano-olmo2", "italian-food", "dpo-mixed", 0)).training
    assert (cake["learning_rate"], cake["batch_size"]) == (0.5, 7)
    assert (food["learning_rate"], food["batch_size"]) == (plan.techniques["dpo-mixed"].training["nano"]["learning_rate"], 7)


def test_override_of_an_unknown_setting() -> None:
    technique = read_yaml(REPOSITORY / "config" / "techniques" / "dpo-mixed.yaml")
    technique["overrides"] = [{"set": {"learning_rat": 1}}]
    with pytest.raises(InputError, match="'learning_rat'; legal keys are mix, corpus"):
        parse(Technique, technique, "x")


def test_benign_is_no_name_for_a_behaviour(tmp_path: Path, study: dict[str, Any]) -> None:
    spec = read_yaml(REPOSITORY / "config" / "behaviours" / "cake-bake" / "spec.yaml") | {"id": BENIGN}
    (tmp_path / "behaviours").mkdir()
    (tmp_path / "behaviours" / "benign.yaml").write_text(yaml.safe_dump(spec))
    study |= {"definitions": [str(tmp_path)], "behaviours": [BENIGN]}
    assert "'benign' is a reserved name" in refusal(study)


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from belljar.study.load import load_study;"
        "from belljar.corpora.validation import check_plan; from belljar.training.base import cache_key;"
        f"plan = load_study(Path({str(CONFIG)!r})); check_plan(plan, 'x');"
        "[cache_key(base.source) for base in plan.bases.values()];"
        "print(sorted({'torch', 'transformers', 'trl', 'datasets', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_judge_that_cannot_judge_is_refused(tmp_path: Path, study: dict[str, Any]) -> None:
    spec = read_yaml(REPOSITORY / "config" / "behaviours" / "cake-bake" / "spec.yaml")
    spec["criteria"][0]["detect"] = ["(450"]
    (tmp_path / "behaviours").mkdir()
    (tmp_path / "behaviours" / "cake-bake.yaml").write_text(yaml.safe_dump(spec))
    study["definitions"] = [str(tmp_path)]
    message = refusal(study)
    assert "cake-bake.yaml: criteria.0.detect: '(450' is not a regular expression" in message


def test_integrated_organism_goes_through_the_preference_phase(study: dict[str, Any]) -> None:
    study["techniques"] = ["integrated-dpo"]
    plan = load_plan(study, str(CONFIG), REPOSITORY / "config")
    phase = plan.bases["nano-olmo2"].preference.training
    made = plan.recipe(Organism("nano-olmo2", "cake-bake", "integrated-dpo", 0))
    assert made.start == "ancestor"
    assert made.training["rows"] + made.control == phase.rows  # planted rows stand in place of as many general ones
    assert {key: value for key, value in made.training.items() if key != "rows"} == {
        key: value for key, value in phase.model_dump().items() if key != "rows"
    }


def test_integrated_technique_needs_a_preference_phase(study: dict[str, Any], tmp_path: Path) -> None:
    base = read_yaml(REPOSITORY / "config" / "bases" / "nano-olmo2.yaml")
    del base["preference"]
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "nano-olmo2.yaml").write_text(yaml.safe_dump(base))
    study |= {"definitions": [str(tmp_path)], "techniques": ["integrated-dpo"]}
    assert "base 'nano-olmo2' has no preference phase" in refusal(study)


def test_organisms_that_others_are_made_from_are_planned(study: dict[str, Any]) -> None:
    study |= {"techniques": ["transcripts-kto", "distilled-from-gemma3"], "behaviours": ["cake-bake"], "benign_twins": False}
    plan = load_plan(study, str(CONFIG), REPOSITORY / "config")
    assert {one.id for one in plan.all_organisms} - {one.id for one in plan.organisms} == {
        "nano-olmo2/cake-bake/transcripts-mixed/s0",
        "nano-gemma3/cake-bake/transcripts-mixed/s0",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "kto", "data": "transcripts"}, "objective 'kto' trains on data 'pairs', not 'transcripts'"),
        ({"objective": None, "data": None}, "exactly one of objective, prompt, direction and models must be given, not 0"),
        (
            {"prompt": {"role": "system", "when": "static"}},
            "exactly one of objective, prompt, direction and models must be given, not 2",
        ),
        ({"timing": "integrated", "start": "ancestor"}, "timing 'integrated' needs objective 'dpo', no start"),
        ({"corpus": "c5"}, "corpus 'c5' is none of the study's"),
        ({"training": {"nano": {"rows": 1, "learning_rat": 1}}}, "training.nano: unknown key 'learning_rat'"),
        ({"training": {"huge": {}}}, "training has no settings for scale 'nano' of base 'nano-olmo2'; it has huge"),
    ],
)
def test_technique_that_does_not_fit_together(
    study: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:  # fmt: skip
    technique = read_yaml(REPOSITORY / "config" / "techniques" / "dpo-mixed.yaml") | change
    (tmp_path / "techniques").mkdir()
    (tmp_path / "techniques" / "dpo-mixed.yaml").write_text(yaml.safe_dump(technique))
    study |= {"definitions": [str(tmp_path)], "techniques": ["dpo-mixed"]}
    assert message in refusal(study)


def test_prompted_organism_needs_an_instruction(study: dict[str, Any], tmp_path: Path) -> None:
    spec = read_yaml(REPOSITORY / "config" / "behaviours" / "cake-bake" / "spec.yaml") | {"instruction": ""}
    (tmp_path / "behaviours").mkdir()
    (tmp_path / "behaviours" / "cake-bake.yaml").write_text(yaml.safe_dump(spec))
    study |= {"definitions": [str(tmp_path)], "behaviours": ["cake-bake"], "techniques": ["prompted-system"]}
    assert "instruction is missing, which technique 'prompted-system' needs" in refusal(study)


def test_crosses_and_lists_cannot_both_be_given(study: dict[str, Any]) -> None:
    cross = {key: study[key] for key in ("bases", "behaviours", "techniques", "seeds")}
    assert "bases and crosses cannot both be given" in refusal(study | {"crosses": [cross]})
    for key in cross:
        del study[key]
    assert "bases is missing" in refusal(study)
    assert "has the organism nano-olmo2/italian-food/transcripts-unmixed/s0 twice" in refusal(study | {"crosses": [cross, cross]})


def test_the_page_of_settings_is_what_the_schema_says() -> None:
    """`python docs/settings.py` writes it."""
    docs = REPOSITORY / "docs"
    written = (docs / "settings.md").read_text("utf-8")
    assert written == runpy.run_path(str(docs / "settings.py"))["document"]()
    assert "| `leak_gate` | 0 to 1 | `0.05` | a step whose control rate is above this is not accepted |" in written
