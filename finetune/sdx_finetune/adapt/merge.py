"""An adapter worked into its base: one model folder that needs no adapter any more."""

import json
import shutil
from pathlib import Path
from typing import Any

from sdx_finetune.journal import making

_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
    "*processor_config.json",
)


def merge(base: Path, adapter: Path, out: Path) -> Path:
    """Write base + adapter (LoRA or DoRA) as float32 safetensors to `out`, with the tokenizer and template that were trained with.

    Raises:
        ValueError: `adapter` is no adapter, or one of another base.
    """
    from peft import PeftModel

    model = open_model(base)
    check_adapter(adapter)
    _check_layers(model, adapter, base)
    try:
        adapted = PeftModel.from_pretrained(model, str(adapter))
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{adapter} does not fit {base}: it was made from another model ({str(error).splitlines()[0]})") from error
    merged: Any = adapted.merge_and_unload(safe_merge=True)
    with making(out) as partial:
        merged.save_pretrained(partial)
        for folder in (base, adapter):  # what the adapter brings counts
            copy_tokenizer(folder, partial)
    return out


def open_model(folder: Path) -> Any:
    """The model in `folder` in float32, text alone or with images."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32).eval()


def check_adapter(folder: Path) -> dict[str, Any]:
    """adapter_config.json. ValueError when the folder holds no LoRA or DoRA adapter."""
    path = folder / "adapter_config.json"
    if not path.is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"{folder}: adapter_config.json and adapter_model.safetensors are not both there: it is no adapter folder")
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA":
        raise ValueError(f"{path}: peft_type {config.get('peft_type')!r} is not handled here, only LORA (with or without DoRA)")
    return config


def _check_layers(model: Any, adapter: Path, base: Path) -> None:
    """peft passes over layers that the base does not have; they would be lost."""
    from safetensors import safe_open

    there = {name for name, _ in model.named_modules()}
    with safe_open(adapter / "adapter_model.safetensors", "numpy") as file:
        layers = [name.removeprefix("base_model.model.").partition(".lora_")[0] for name in file.keys() if ".lora_" in name]  # noqa: SIM118
    if unknown := [name for name in layers if name not in there]:
        raise ValueError(f"{adapter} does not fit {base}: it was made from another model (layer {unknown[0]} is not in this one)")


def copy_tokenizer(source: Path, target: Path) -> None:
    """Tokenizer, chat template and image processor, as they are."""
    for pattern in _TOKENIZER:
        for path in source.glob(pattern):
            shutil.copy2(path, target / path.name)
