"""What an exported ONNX decoder costs: its size from the file, its shape from config.json beside it. Start at onnx_facts()."""

import json
from pathlib import Path
from typing import Any

from sdx_serving.recommend.facts import Attention, BadModel, ModelFacts

_INT8_BYTES = 2.6
"""Fewer bytes a parameter than this: int8, though some matrices stay whole; more: float32."""
_ONNX_KV_BYTES = 2
"""The exported decoder keeps float32, twice what the shared count takes for a number."""


def onnx_facts(folder: Path) -> ModelFacts:
    """BadModel names what is missing or wrong."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        layers, hidden, feed = (int(config[key]) for key in ("num_hidden_layers", "hidden_size", "intermediate_size"))
        heads, words = int(config["num_attention_heads"]), int(config["vocab_size"])
        kv_heads, size = int(config.get("num_key_value_heads", heads)), int(config.get("head_dim") or hidden // heads)
    except OSError as error:
        raise BadModel(f"{folder}: config.json is not there: it says how many heads and layers the model has") from error
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise BadModel(f"{folder}/config.json: {error}: is it a decoder?") from error
    bytes_on_disk = sum(path.stat().st_size for path in folder.iterdir() if path.name.startswith("model.onnx"))
    matrices = layers * (2 * hidden * heads * size + 2 * hidden * kv_heads * size + 3 * hidden * feed) + words * hidden
    parameters = matrices + (0 if _tied(config) else words * hidden)
    return ModelFacts(
        name=folder.name,
        format="onnx",
        quantisation="onnx-int8" if bytes_on_disk < _INT8_BYTES * parameters else "onnx-fp32",
        parameters=parameters,
        weights_bytes=bytes_on_disk,
        dense_bytes=bytes_on_disk,
        layers=layers,
        context_tokens=max(1, int(config.get("max_position_embeddings", 2048))),
        attention=(Attention(layers, 2 * kv_heads * size * _ONNX_KV_BYTES),),
        dense_parameters=matrices,
    )


def _tied(config: dict[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings", False))
