"""Checkpoint folders: loading models and tokenizers from them, and saving into them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from belljar.files import InputError, atomic_path

ADAPTER = "adapter_config.json"
DIRECTION = "direction.safetensors"  # a vector that is added to a block's output whenever the model runs

logging.disable_progress_bar()  # one bar for each loaded or saved shard drowns a job's own progress


def device() -> torch.device:
    """Return the first GPU that this job was given, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_adapter(folder: Path) -> bool:
    """Return whether the folder holds an adapter and not whole weights."""
    return (folder / ADAPTER).is_file()


def check_folder(folder: Path) -> None:
    """Raise InputError where `folder` is no checkpoint folder with weights (or an adapter), tokenizer and chat template."""
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise InputError(f"{folder} is no checkpoint folder: it has neither config.json nor {ADAPTER}.")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no weights: there is no *.safetensors file in it.")
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder} has no tokenizer: there is no tokenizer.json in it.")
    settings_path = folder / "tokenizer_config.json"
    settings = json.loads(settings_path.read_text()) if settings_path.is_file() else {}
    if not (folder / "chat_template.jinja").is_file() and "chat_template" not in settings:
        raise InputError(f"{folder} has no chat template: neither chat_template.jinja nor one in tokenizer_config.json.")


def load_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer, able to pad."""
    check_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, dtype: str = "float32") -> Any:
    """Return the folder's causal language model in `dtype`, on this job's device, in evaluation mode.

    An adapter is merged into the model that its own settings name, which is loaded the same way. A direction beside the weights
    is added at its block.
    """
    check_folder(folder)
    if is_adapter(folder):
        from peft import PeftModel

        start = Path(json.loads((folder / ADAPTER).read_text())["base_model_name_or_path"])
        if not start.is_dir():
            raise InputError(f"{folder / ADAPTER}: base_model_name_or_path is {str(start)!r}, which is no folder.")
        # Merged in float32: in half precision the sum of weights and adapter would be rounded twice.
        merged = PeftModel.from_pretrained(load_model(start), folder).merge_and_unload()
        merged.requires_grad_(True)  # peft froze them; whole weights may be trained on, as those of any other folder
        return merged.to(device(), getattr(torch, dtype)).eval()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device()).eval()
    if (folder / DIRECTION).is_file():
        direction = load_file(folder / DIRECTION)
        add_always(model, int(direction["block"]), direction["vector"])
    return model


def add_always(model: Any, block: int, vector: torch.Tensor) -> None:
    """Add `vector` (d_model) to a block's output at every token, from now on."""
    placed = vector.to(model.device, model.dtype)
    model.model.layers[block].register_forward_hook(lambda _module, _inputs, output: output + placed)


def save_checkpoint(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model and tokenizer to `folder`, whole or not at all."""
    with atomic_path(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
