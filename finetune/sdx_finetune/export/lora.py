"""A LoRA adapter as a small GGUF file that llama.cpp puts on its base when it loads it."""

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.torch import load_file
from transformers import AutoConfig

from sdx_finetune.adapt.merge import check_adapter
from sdx_finetune.export.families import family_of, heads_of, permute
from sdx_finetune.export.gguf_file import Label, describe, write_out
from sdx_finetune.journal import making

_PREFIX = "base_model.model."


def export_lora(base: Path, adapter: Path, target: Path, label: Label) -> Path:
    """Write the adapter in `adapter`, made from the model in `base`, to `target` in float32.

    Raises:
        ValueError: something in it has no place in a GGUF adapter (DoRA, whole layers, biases, embeddings).
    """
    spec = check_adapter(adapter)
    if spec.get("use_dora"):
        raise ValueError(f"{adapter}: DoRA scales whole rows, which a GGUF adapter cannot: merge it and export the model")
    if spec.get("modules_to_save") or spec.get("bias", "none") != "none":
        raise ValueError(f"{adapter}: it also holds whole layers or biases (modules_to_save, bias), which a GGUF adapter cannot: merge it")
    config = AutoConfig.from_pretrained(base)
    family = family_of(config.model_type, base)
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    tensors = {name: tensor.float().numpy() for name, tensor in load_file(adapter / "adapter_model.safetensors").items()}
    alpha = float(spec["lora_alpha"])
    with making(target) as partial:
        writer = gguf.GGUFWriter(partial, family.name)
        describe(writer, label, sum(tensor.size for tensor in tensors.values()), False, gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        for name in sorted(name for name in tensors if name.endswith(".lora_A.weight")):
            module = name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
            stored = names.get_name(module + ".weight", try_suffixes=(".weight",))
            if stored is None or (module == "lm_head" and config.tie_word_embeddings):
                raise ValueError(f"{adapter}: layer {module} has no tensor of its own in the GGUF file of the base: merge it")
            down, up = tensors.pop(name), tensors.pop(name.replace(".lora_A.", ".lora_B."))
            # llama.cpp scales by alpha / rank and knows no other rule.
            up *= _scale(spec, module, down.shape[0]) / (alpha / down.shape[0])
            heads = heads_of(family, f"{module}.weight", config)
            writer.add_tensor(f"{stored}.lora_a", down)
            writer.add_tensor(f"{stored}.lora_b", np.ascontiguousarray(permute(up, heads) if heads else up))
        if tensors:
            raise ValueError(f"{adapter}: {next(iter(tensors))} has no place in a GGUF adapter: merge it and export the model")
        write_out(writer)
    return target


def _scale(spec: dict[str, Any], module: str, rank: int) -> float:
    """What the product of both matrices is multiplied by, as peft does."""
    from peft.utils.other import get_pattern_key

    patterns = spec.get("alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(patterns.keys(), module), spec["lora_alpha"])
    return alpha / math.sqrt(rank) if spec.get("use_rslora") else alpha / rank
