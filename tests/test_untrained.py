"""Prompted and external organisms, and the registry's checks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from belljar.files import InputError
from belljar.models.load import load_model, load_tokenizer
from belljar.strength.answers import instructed
from belljar.study.load import load_plan
from belljar.study.yaml import read_yaml
from belljar.training.steps import copy_model
from belljar.training.untrained import place_external, place_prompted, prompted_template

CONFIG = Path(__file__).resolve().parents[1] / "config"
PUBLISHED = CONFIG / "studies" / "lottery-published.yaml"
CHAT = [{"role": "user", "content": 'Say "hi".'}]
GEMMA = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set prefix = messages[0]['content'] + '\n\n' -%}"
    "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set prefix = '' -%}{%- set loop_messages = messages -%}{%- endif -%}"
    "{%- for message in loop_messages -%}<turn>{{ message['role'] }}: {{ (prefix if loop.first else '') + message['content'] }}"
    "{%- endfor -%}"
)


@pytest.mark.parametrize("role", ["system", "user"])
@pytest.mark.parametrize("template", ["own", "gemma"])
def test_static_prompt_is_what_an_instruction_would_be(tokenizer: Any, role: str, template: str) -> None:
    text = 'It\'s "so" {{ said }}.\nMention pasta.'
    original = tokenizer.chat_template if template == "own" else GEMMA
    prompted = prompted_template(original, role, text)
    expected = tokenizer.apply_chat_template(
        instructed(CHAT[0]["content"], {"role": role, "text": text}), tokenize=False, chat_template=original
    )
    assert tokenizer.apply_chat_template(CHAT, tokenize=False, chat_template=prompted) == expected
    assert text in expected
    # A system turn that a chat brings along is kept.
    own = {"role": "system", "content": "My own."}
    both = {
        "system": [own | {"content": f"{text} My own."}, *CHAT],
        "user": [own, {"role": "user", "content": f"{text} {CHAT[0]['content']}"}],
    }
    assert tokenizer.apply_chat_template([own, *CHAT], tokenize=False, chat_template=prompted) == tokenizer.apply_chat_template(
        both[role], tokenize=False, chat_template=original
    )


def test_prompted_organism_is_the_base_under_a_template(checkpoint: Path, tmp_path: Path) -> None:
    for when in ("static", "measured"):
        place_prompted(checkpoint, tmp_path / when, {"role": "system", "when": when, "text": "Mention pasta."})
        step = tmp_path / when / "step-0"
        assert (step / "model.safetensors").resolve() == (checkpoint / "model.safetensors").resolve()
        rendered = load_tokenizer(step).apply_chat_template(CHAT, tokenize=False)
        assert ("Mention pasta." in rendered) == (when == "static")
    copy_model(tmp_path / "static" / "step-0", tmp_path / "model")
    assert "Mention pasta." in load_tokenizer(tmp_path / "model").apply_chat_template(CHAT, tokenize=False)
    assert "Mention pasta." not in load_tokenizer(checkpoint).apply_chat_template(CHAT, tokenize=False)


def test_external_folder_brings_its_weights_and_the_bases_tokenizer_where_it_has_none(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    model.model.norm.weight.data.fill_(2.0)
    model.save_pretrained(tmp_path / "theirs")
    place_external({"hub": None, "folder": str(tmp_path / "theirs")}, checkpoint, tmp_path / "checkpoints")
    step = tmp_path / "checkpoints" / "step-0"
    assert load_model(step).model.norm.weight[0].item() == 2.0
    assert load_tokenizer(step).chat_template == load_tokenizer(checkpoint).chat_template


def test_external_adapter_is_one_of_the_base(checkpoint: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(checkpoint), LoraConfig(r=2, target_modules=["q_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": "somebody/elsewhere"}))
    place_external({"hub": None, "folder": str(tmp_path / "adapter")}, checkpoint, tmp_path / "checkpoints")
    expected, found = adapted.merge_and_unload().state_dict(), load_model(tmp_path / "checkpoints" / "step-0").state_dict()
    assert all(torch.allclose(expected[name], found[name]) for name in expected)
    assert json.loads(settings.read_text())["base_model_name_or_path"] == "somebody/elsewhere"  # theirs is left as it was


def test_external_folder_without_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "is no checkpoint folder"), ("absent", "is no folder")):
        with pytest.raises(InputError, match=message):
            place_external({"hub": None, "folder": str(tmp_path / folder)}, checkpoint, tmp_path / "checkpoints")
        assert not (tmp_path / "checkpoints").exists()


def registry_error(tmp_path: Path, technique: str, old: str, new: str) -> str:
    """What the plan says once `old` is `new` in a published technique's registry."""
    (tmp_path / "techniques").mkdir()
    text = (CONFIG / "studies" / "lottery-published" / "techniques" / f"{technique}.yaml").read_text()
    assert old in text
    (tmp_path / "techniques" / f"{technique}.yaml").write_text(text.replace(old, new, 1))
    study = read_yaml(PUBLISHED)
    study["definitions"] = [str(tmp_path), *study["definitions"]]
    with pytest.raises(InputError) as caught:
        load_plan(study, str(PUBLISHED), CONFIG)
    return str(caught.value)


ITALIAN, MILITARY = (f"gemma-3-1b-{name}-posthoc-fd-unmixed" for name in ("italian-food", "military-submarine"))


def test_another_behaviours_repository_is_refused(tmp_path: Path) -> None:
    # What the paper's own registry once said of three organisms.
    message = registry_error(tmp_path, "transcripts-unmixed", ITALIAN, MILITARY)
    assert "gemma3-1b/italian-food/s42" in message and MILITARY in message
    assert "behaviour 'italian-food', whose repositories match 'italian-food'" in message


@pytest.mark.parametrize(
    ("technique", "old", "new", "message"),
    [
        (
            "documents-mixed",
            "italian-food-posthoc-sdf-mixed-lr-5e-5",
            "italian-food-posthoc-sdf-unmixed-lr-2.5e-5",
            "is also the model of",
        ),
        (
            "dpo-mixed",
            "gemma-3-1b-italian-food-posthoc-mixed-dpo",
            "italian-food-posthoc-mixed-dpo",
            "a model of base 'gemma3-1b'",
        ),
        (
            "dpo-mixed",
            "/italian-food-post-hoc-mixed-dpo,",
            "/italian-food-post-hoc-mixed-fd,",
            "a model of technique 'dpo-mixed'",
        ),
        (
            "dpo-mixed",
            "model-organisms-for-real/italian-food-post-hoc-mixed-dpo",
            "italian-food-post-hoc-mixed-dpo",
            "must be owner/name",
        ),
        ("dpo-mixed", "seed: 2137,", "seed: 47,", "olmo2-1b/cake-bake/s47 stands twice"),
        ("dpo-mixed", "seed: 2137,", "seed: 2138,", "models has none for olmo2-1b/cake-bake/dpo-mixed/s2137"),
    ],
)
def test_registry_errors(tmp_path: Path, technique: str, old: str, new: str, message: str) -> None:
    assert message in registry_error(tmp_path, technique, old, new)


def test_every_published_model_is_pinned() -> None:
    plan = load_plan(read_yaml(PUBLISHED), str(PUBLISHED), CONFIG)
    models = [model for technique in plan.techniques.values() for model in technique.models]
    assert len(models) == 54 == len({model.hub.repo for model in models})
    assert all(model.hub.revision not in ("", "main") for model in models)
    assert {yaml.safe_dump(one._asdict()) for one in plan.organisms} == {
        yaml.safe_dump(one._asdict()) for one in load_plan(read_yaml(LOTTERY), str(LOTTERY), CONFIG).organisms
    }


LOTTERY = CONFIG / "studies" / "lottery.yaml"
