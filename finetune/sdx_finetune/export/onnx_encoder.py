"""An encoder of texts or images as ONNX, float32 or int8, in a folder with all that its vectors depend on."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from sdx_finetune.adapt.merge import copy_tokenizer
from sdx_finetune.export.onnx_graph import quantise_dynamic, write_graph
from sdx_finetune.journal import making

_POOLING = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json")
_DECODES = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


def is_encoder(folder: Path) -> bool:
    """Its config.json names only architectures that make no text."""
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError):
        return False
    return bool(named) and not any(name.endswith(_DECODES) for name in named)


def export_encoder(folder: Path, target: Path, kind: Literal["fp32", "int8"] = "fp32") -> Path:
    """Write `target`/model.onnx: last_hidden_state (batch, tokens or patches, width) float32, and pooler_output of images where there is one.

    In: input_ids and attention_mask (batch, length) int64; of an encoder of images, pixel_values (batch, 3, height, width) float32.
    Of a model that has both, such as CLIP, the tower of images is taken.

    Raises:
        ValueError: no encoder, or one of something else.
    """
    if not is_encoder(folder):
        raise ValueError(f"{folder}: config.json names no encoder of texts or images")
    with making(target) as partial:
        partial.mkdir(parents=True)
        _write_encoder(folder, partial / "model.onnx")
        if kind == "int8":
            quantise_dynamic(partial / "model.onnx")
        copy_tokenizer(folder, partial)
        for name in ("config.json", *_POOLING):
            if (folder / name).is_file():
                (partial / name).parent.mkdir(exist_ok=True)
                shutil.copy2(folder / name, partial / name)
    return target


def _write_encoder(folder: Path, path: Path) -> None:
    import torch
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tower = getattr(model, "vision_model", model)
    given, shapes = _inputs(tower, folder)
    with torch.no_grad():
        pooled = "pixel_values" in given and tower(**given).pooler_output is not None

    class Encoder(torch.nn.Module):
        """What the model gives, as a function of its inputs by position."""

        def __init__(self) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
            made = self.tower(**dict(zip(given, inputs, strict=True)))
            return (made.last_hidden_state, made.pooler_output) if pooled else (made.last_hidden_state,)

    names = list(given), ["last_hidden_state", *(["pooler_output"] if pooled else [])]
    write_graph(Encoder(), (list(given.values()),), path, names, {"inputs": shapes})


def _inputs(tower: Any, folder: Path) -> tuple[dict[str, Any], list[dict[int, Any]]]:
    """Examples of what goes in, and which of their sizes vary."""
    import torch

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    if tower.main_input_name == "pixel_values":
        size = tower.config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return {"pixel_values": torch.zeros(2, tower.config.num_channels, height, width)}, [{0: batch}]
    if tower.main_input_name != "input_ids":
        raise ValueError(f"{folder}: an encoder of {tower.main_input_name} is not exported, only of texts and images")
    # Two rows and a length that is no other size of the model, else the exporter takes them for constants.
    ids = torch.zeros((2, 7), dtype=torch.int64)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, [{0: batch, 1: length}] * 2
