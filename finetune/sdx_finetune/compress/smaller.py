"""Structured pruning: whole feed-forward channels, heads and layers go; what is left is an ordinary, smaller model. Start at shrink().

Channels and heads are valued by the size of what they write: the norm of their output weights times that of what meets them on the
task's rows (arXiv 2306.11695 for single weights; 2407.14679 for whole units); layers by how far they turn their input (2403.03853).
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdx_finetune.adapt.merge import copy_tokenizer, open_model
from sdx_finetune.compress.activations import Activations
from sdx_finetune.export.families import Family, family_of
from sdx_finetune.journal import making

BLOCK = 256
"""Rows that are multiples of this suit K-quants; where a model's are, the smaller one's are too."""
STEP, LEAST = 32, 64


@dataclass(frozen=True, slots=True)
class Shape:
    """What is left."""

    channels: int
    """Of the feed-forward part of each layer."""
    heads: int
    """Query heads of each key-value head."""
    layers: tuple[int, ...]
    """Numbers of the layers that stay, in order."""


def shape_of(config: Any, family: Family, seen: Activations, keep: float, layers: int) -> Shape:
    """The nearest shape above a share `keep` of channels and heads, with the `layers` most influential layers. ValueError: none are left."""
    if not 1 <= layers <= config.num_hidden_layers:
        raise ValueError(f"{layers} of {config.num_hidden_layers} layers would be left: at least one must stay")
    wide = config.intermediate_size
    step = BLOCK if wide % BLOCK == 0 else STEP
    channels = min(wide, max(LEAST, step * round(keep * wide / step), step))
    group = config.num_attention_heads // config.num_key_value_heads
    heads = group
    if family.own_head_size:
        unit = config.num_key_value_heads * size_of(config)
        fine = BLOCK if group * unit % BLOCK == 0 else 1
        heads = next(count for count in range(1, group + 1) if count >= keep * group - 1e-9 and count * unit % fine == 0)
    stay = np.sort(np.argsort(-seen.influence, kind="stable")[:layers])
    return Shape(channels, heads, tuple(int(number) for number in stay))


def size_of(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def shrink(folder: Path, target: Path, seen: Activations, keep: float, layers: int) -> Path:
    """Write `target`: the model in `folder` with a share `keep` of channels and heads and `layers` layers.

    Raises:
        ValueError: an architecture that is not known here, or nothing that could go.
    """
    from transformers import AutoModelForCausalLM

    model = open_model(folder)
    config = model.config
    family = family_of(config.model_type, folder)
    shape = shape_of(config, family, seen, keep, layers)
    if (shape.channels, len(shape.layers)) == (config.intermediate_size, config.num_hidden_layers) and shape.heads == _group(config):
        raise ValueError(f"{folder}: nothing can go with keep {keep}: give a smaller one, or drop layers")
    weights = _left(model.state_dict(), config, shape, seen)
    small = AutoModelForCausalLM.from_config(_config(config, family, shape), dtype="float32")
    small.load_state_dict(weights)
    small.generation_config = model.generation_config
    with making(target) as partial:
        small.save_pretrained(partial)
        copy_tokenizer(folder, partial)
    return target


def _group(config: Any) -> int:
    return config.num_attention_heads // config.num_key_value_heads


def _config(config: Any, family: Family, shape: Shape) -> Any:
    small = deepcopy(config)
    small.intermediate_size, small.num_hidden_layers = shape.channels, len(shape.layers)
    if family.own_head_size:
        small.head_dim = size_of(config)
        small.num_attention_heads = shape.heads * config.num_key_value_heads
    if getattr(config, "layer_types", None):
        small.layer_types = [config.layer_types[number] for number in shape.layers]
    return small


def _left(weights: Mapping[str, Any], config: Any, shape: Shape, seen: Activations) -> dict[str, Any]:
    """Every weight that stays, under its new layer's number."""
    left = {name: value for name, value in weights.items() if not name.startswith("model.layers.")}
    for new, old in enumerate(shape.layers):
        before = f"model.layers.{old}."
        own = {name.removeprefix(before): value for name, value in weights.items() if name.startswith(before)}
        channels, heads = _channels(own, seen, before, shape), _head_rows(own, seen, before, config, shape)
        for name, value in own.items():
            match name.rpartition(".")[0]:
                case "mlp.gate_proj" | "mlp.up_proj":
                    value = value[channels]
                case "self_attn.q_proj":
                    value = value[heads]
                case "mlp.down_proj" if value.ndim == 2:
                    value = value[:, channels]
                case "self_attn.o_proj" if value.ndim == 2:
                    value = value[:, heads]
            left[f"model.layers.{new}.{name}"] = value.contiguous()
    return left


def _channels(own: Mapping[str, Any], seen: Activations, before: str, shape: Shape) -> Any:
    import torch

    met = torch.from_numpy(seen.squares[f"{before}mlp.down_proj"])
    value = own["mlp.down_proj.weight"].square().sum(0) * met
    return value.topk(shape.channels).indices.sort().values


def _head_rows(own: Mapping[str, Any], seen: Activations, before: str, config: Any, shape: Shape) -> Any:
    """Rows of q, and columns of what takes the heads' output, of the heads that stay: equally many of each key-value head."""
    import torch

    met = torch.from_numpy(seen.squares[f"{before}self_attn.o_proj"])
    size = size_of(config)
    value = (own["self_attn.o_proj.weight"].square().sum(0) * met).view(config.num_key_value_heads, -1, size).sum(-1)
    first = torch.arange(config.num_key_value_heads)[:, None] * value.shape[1]
    stay = (value.topk(shape.heads, -1).indices.sort(-1).values + first).flatten()
    return (stay[:, None] * size + torch.arange(size)).flatten()
