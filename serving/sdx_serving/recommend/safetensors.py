"""The headers of a safetensors model: a folder, or an address where its config.json lies. Start at safetensors_facts().

Layout: 8 bytes length, then JSON, https://huggingface.co/docs/safetensors/index
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sdx_serving.recommend.facts import Attention, BadModel, ModelFacts, Tensor, commonest_kind, windowed
from sdx_serving.recommend.fetch import Bytes

_LONGEST_HEADER = 100_000_000
"""The format's own limit."""
_EXPERT = re.compile(r"\.experts\.")
_LOOKED_UP = re.compile(r"(embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
_SEEING = re.compile(r"(^|\.)(visual|vision_tower|vision_model|multi_modal_projector|mm_projector|audio_tower)\.")
_PACKED = re.compile(r"\.(qweight|weight_packed)$")

Open = Callable[[str], Bytes | None]
"""A file of the model by its name; None when there is none."""


def safetensors_facts(name: str, file_of: Open) -> ModelFacts:
    """What the model costs. BadModel names the file and the value."""
    config = _config(name, file_of)
    tensors = [tensor for file in _files(name, file_of) for tensor in read_header(file)]
    text = config.get("text_config") or config
    seeing = [tensor for tensor in tensors if _SEEING.search(tensor.name)]
    spoken = [tensor for tensor in tensors if not _SEEING.search(tensor.name)]
    bits = _packed_bits(config)
    has_head = any(tensor.name.endswith("lm_head.weight") for tensor in spoken)
    experts = [tensor for tensor in spoken if _EXPERT.search(tensor.name)]
    dense = [tensor for tensor in spoken if not _EXPERT.search(tensor.name) and not (has_head and _LOOKED_UP.search(tensor.name))]
    return ModelFacts(
        name=name.rstrip("/").rpartition("/")[2],
        format="safetensors",
        quantisation=_quantisation(config, spoken, bits),
        parameters=_weights(spoken, bits),
        weights_bytes=sum(tensor.bytes for tensor in tensors),
        dense_bytes=sum(tensor.bytes for tensor in dense),
        layers=_number(name, text, "num_hidden_layers"),
        context_tokens=max(1, _number(name, text, "max_position_embeddings", 2048)),
        attention=_attention(name, text),
        dense_parameters=_weights([tensor for tensor in dense if len(tensor.shape) > 1], bits),
        expert_bytes=sum(tensor.bytes for tensor in experts),
        expert_parameters=_weights(experts, bits),
        experts=_first(text, "num_experts", "num_local_experts", "n_routed_experts") if experts else 0,
        experts_used=_first(text, "num_experts_per_tok") if experts else 0,
        projector_bytes=sum(tensor.bytes for tensor in seeing),
    )


def read_header(file: Bytes) -> list[Tensor]:
    """Tensors of one file. BadModel says what is wrong with it."""
    length = int.from_bytes(file.read(0, 8), "little")
    if not 2 <= length <= _LONGEST_HEADER:
        raise BadModel(f"{file.name}: not a safetensors file (its header would have {length} bytes)")
    try:
        entries = json.loads(file.read(8, length))
        return [_tensor(key, entry) for key, entry in entries.items() if key != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadModel(f"{file.name}: the header is no list of tensors ({type(error).__name__}: {error})") from error


def _tensor(name: str, entry: Mapping[str, Any]) -> Tensor:
    shape = tuple(int(size) for size in entry["shape"])
    begin, end = (int(offset) for offset in entry["data_offsets"])
    if begin < 0 or end < begin or min(shape, default=0) < 0:
        raise ValueError(f"tensor {name!r} stands from {begin} to {end} with shape {shape}")
    return Tensor(name, shape, str(entry["dtype"]), end - begin, math.prod(shape))


def _files(name: str, file_of: Open) -> Iterator[Bytes]:
    """The one file, or those of the index."""
    if single := file_of("model.safetensors"):
        yield single
        return
    index = file_of("model.safetensors.index.json")
    if index is None:
        raise BadModel(f"{name}: neither model.safetensors nor model.safetensors.index.json is there")
    try:
        parts = sorted(set(json.loads(index.read(0, index.size))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadModel(f"{index.name}: no index of weights ({error})") from error
    for part in parts:
        if not isinstance(part, str) or "/" in part or (file := file_of(part)) is None:
            raise BadModel(f"{name}: {part!r}, which the index names, is not there")
        yield file


def _config(name: str, file_of: Open) -> dict[str, Any]:
    file = file_of("config.json")
    if file is None:
        raise BadModel(f"{name}: config.json is not there: it says how many heads and layers the model has")
    try:
        config = json.loads(file.read(0, file.size))
    except ValueError as error:
        raise BadModel(f"{file.name}: not JSON ({error})") from error
    if not isinstance(config, dict):
        raise BadModel(f"{file.name}: not an object")
    return config


def _attention(name: str, text: Mapping[str, Any]) -> tuple[Attention, ...]:
    layers, heads = _number(name, text, "num_hidden_layers"), _number(name, text, "num_attention_heads")
    if "kv_lora_rank" in text:
        return (Attention(layers, _number(name, text, "kv_lora_rank") + _number(name, text, "qk_rope_head_dim")),)
    size = text.get("head_dim") or _number(name, text, "hidden_size") // max(1, heads)
    numbers = 2 * _number(name, text, "num_key_value_heads", heads) * int(size)
    window = text.get("sliding_window") if text.get("use_sliding_window", True) else None
    if isinstance(kinds := text.get("layer_types"), list):
        return tuple(
            Attention(len(list(group)), numbers, window if kind == "sliding_attention" else None)
            for kind, group in groupby(sorted(kinds))
            if kind in ("sliding_attention", "full_attention")
        )
    return windowed(layers, numbers, window, int(text.get("sliding_window_pattern") or 0))


def _weights(tensors: Sequence[Tensor], bits: int) -> int:
    """Weights, those packed in whole numbers counted apart."""
    return sum(tensor.bytes * 8 // bits if bits and _PACKED.search(tensor.name) else tensor.parameters for tensor in tensors)


def _packed_bits(config: Mapping[str, Any]) -> int:
    """Bits of a packed weight; 0 for a model that is not packed."""
    how = config.get("quantization_config") or {}
    groups = how.get("config_groups") or {}
    inner = next((group.get("weights", {}).get("num_bits") for group in groups.values() if isinstance(group, dict)), None)
    return int(how.get("bits") or how.get("w_bit") or inner or 0)


def _quantisation(config: Mapping[str, Any], tensors: Sequence[Tensor], bits: int) -> str:
    method = str((config.get("quantization_config") or {}).get("quant_method", ""))
    if bits == 4 and any(_PACKED.search(tensor.name) for tensor in tensors):
        return "W4A16"
    if method == "fp8" or commonest_kind(tensors) in ("F8_E4M3", "F8_E5M2"):
        return "FP8"
    return commonest_kind(tensors) or "F32"


def _first(text: Mapping[str, Any], *keys: str) -> int:
    return next((int(text[key]) for key in keys if isinstance(text.get(key), int)), 0)


def _number(name: str, text: Mapping[str, Any], key: str, default: int | None = None) -> int:
    found = text.get(key, default)
    if not isinstance(found, int) or found < 0:
        raise BadModel(f"{name}/config.json: {key} is {found!r}, a number is needed")
    return found
