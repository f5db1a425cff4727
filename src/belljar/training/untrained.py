"""Organisms that nobody trains here: prompted ones, those with an added direction, those from elsewhere.

Each is put in place as the one saved step of a training.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from belljar.files import InputError, atomic_path, write_json
from belljar.models.load import ADAPTER, DIRECTION, check_folder, is_adapter, load_tokenizer
from belljar.training.base import download
from belljar.training.steps import step_folder

log = logging.getLogger("belljar.untrained")
STEP = 0


def place_prompted(base: Path, checkpoints: Path, prompt: Mapping[str, str]) -> None:
    """Make the base, under a prompt, step 0 of `checkpoints`.

    A static prompt becomes part of the chat template; one that is put in only when behaviour is measured leaves the base alone.
    """
    with atomic_path(checkpoints) as scratch:
        folder = scratch / step_folder(STEP)
        folder.mkdir(parents=True)
        _link(base, folder)
        if prompt["when"] == "static":
            tokenizer = load_tokenizer(base)
            tokenizer.chat_template = prompted_template(str(tokenizer.chat_template), prompt["role"], prompt["text"])
            for file in folder.glob("token*"):
                file.unlink()
            (folder / "chat_template.jinja").unlink(missing_ok=True)
            tokenizer.save_pretrained(folder)


def prompted_template(template: str, role: str, text: str) -> str:
    """Return a chat template that puts `text` into every chat: as its system turn, or at the head of its first user turn.

    A system turn that a chat brings along stays; where the text is one as well, they are one turn, the text first.
    """
    quoted = json.dumps(text)

    def after_text(message: str) -> str:
        return f"{{'role': '{role}', 'content': {quoted} + ' ' + {message}['content']}}"

    if role == "system":
        with_own = f"[{after_text('messages[0]')}] + messages[1:]"
        without = f"[{{'role': 'system', 'content': {quoted}}}] + messages"
    else:
        with_own = f"messages[:1] + [{after_text('messages[1]')}] + messages[2:]"
        without = f"[{after_text('messages[0]')}] + messages[1:]"
    prompted = f"({with_own}) if messages[0]['role'] == 'system' else ({without})"
    return f"{{% set messages = {prompted} %}}{template}"


def place_direction(base: Path, checkpoints: Path, contrast: Path, block: int, row: int, scale: float) -> None:
    """Make the base, with the contrastive vector of row `row` added at `block`, step 0 of `checkpoints`.

    The vector is as long as `scale` times the block's mean activation norm.
    """
    read = load_file(contrast)
    vector = read["vectors"][row]
    if not float(vector.norm()):
        raise InputError(f"{contrast} holds no direction: the pairs' two sides read the same.")
    vector = vector / vector.norm() * read["norms"][row] * scale
    with atomic_path(checkpoints) as scratch:
        folder = scratch / step_folder(STEP)
        folder.mkdir(parents=True)
        _link(base, folder)
        save_file({"block": torch.tensor(block), "vector": vector.contiguous()}, folder / DIRECTION)


def place_external(model: Mapping[str, Mapping[str, str] | str | None], base: Path, checkpoints: Path) -> None:
    """Make a model from the hub or a local folder step 0 of `checkpoints`.

    An adapter is put on `base`, whatever it was trained on. Tokenizer and chat template are the base's where it brings none, as
    adapters and saved training steps often do.
    """
    hub, folder = model["hub"], model["folder"]
    source = Path(str(folder)) if folder else download(hub["repo"], hub["revision"])  # type: ignore[index]
    if not source.is_dir():
        raise InputError(f"{source} is no folder.")
    with atomic_path(checkpoints) as scratch:
        target = scratch / step_folder(STEP)
        target.mkdir(parents=True)
        _link(source, target)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
            if not (source / "tokenizer.json").is_file() or (name == "chat_template.jinja" and not _has_template(source)):
                (target / name).unlink(missing_ok=True)
                if (base / name).is_file():
                    (target / name).symlink_to((base / name).resolve())
        if is_adapter(source):
            own = json.loads((source / ADAPTER).read_text())
            log.info("%s was trained on %r; here it is on %s.", source, own.get("base_model_name_or_path"), base)
            settings = own | {"base_model_name_or_path": str(base)}
            (target / ADAPTER).unlink()
            write_json(target / ADAPTER, settings)
        check_folder(target)


def _has_template(folder: Path) -> bool:
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and "chat_template" in json.loads(settings.read_text())
    return inside or (folder / "chat_template.jinja").is_file()


def _link(source: Path, target: Path) -> None:
    for file in source.iterdir():
        # Hidden files are not the model's: Snakemake's timestamp of one folder would make another as old.
        if file.is_file() and file.suffix != ".bin" and not file.name.startswith("."):
            (target / file.name).symlink_to(file.resolve())
