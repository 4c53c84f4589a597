"""A LLaVA-style model as two GGUF files: the text decoder, and the image encoder with its projector (mmproj) for llama.cpp's mtmd.

llama.cpp's projector "mlp" leaves the last encoder layer out, knows no class token of a SigLIP encoder and scales each image to one
square: a model that reads images otherwise is refused here, not approximated.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from sdx_finetune.export.gguf_file import Label, describe, write_gguf, write_out
from sdx_finetune.journal import making

_GELU = "gelu_pytorch_tanh"
# GGUF counts the activation between both layers.
_PROJECTOR = {
    f"model.multi_modal_projector.linear_{layer}.{part}": f"mm.{place}.{part}"
    for layer, place in ((1, 0), (2, 2))
    for part in ("weight", "bias")
}


def export_vision(folder: Path, text: Path, mmproj: Path, label: Label, half: bool = False) -> tuple[Path, Path]:
    """Write the decoder of the model in `folder` to `text`, and encoder + projector (always float32) to `mmproj`.

    Raises:
        ValueError: the model is no LLaVA with a SigLIP encoder, or reads images as llama.cpp does not.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _check(folder, config)
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    decoder = AutoModelForCausalLM.from_config(model.config.text_config)
    decoder.model = model.model.language_model
    decoder.lm_head = model.lm_head
    decoder.config.tie_word_embeddings = model.lm_head.weight is model.model.language_model.embed_tokens.weight
    write_gguf(decoder, tokenizer, text, label, half)
    _write_mmproj(model, _preprocessing(folder), mmproj, label)
    return text, mmproj


def _check(folder: Path, config: dict[str, Any]) -> None:
    vision = config.get("vision_config") or {}
    facts = {
        "model_type": (config.get("model_type"), "llava"),
        "vision_config.model_type": (vision.get("model_type"), "siglip_vision_model"),
        "vision_config.hidden_act": (vision.get("hidden_act"), _GELU),
        "projector_hidden_act": (config.get("projector_hidden_act"), _GELU),
        "vision_feature_layer": (config.get("vision_feature_layer"), -2),
        "vision_feature_select_strategy": (config.get("vision_feature_select_strategy"), "full"),
        "multimodal_projector_bias": (config.get("multimodal_projector_bias", True), True),
    }
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise ValueError(f"{folder / 'config.json'}: {name} is {found!r}; llama.cpp's image projector needs {wanted!r}")


def _preprocessing(folder: Path) -> dict[str, Any]:
    """What is done to an image before the encoder. ValueError when mtmd would do something else."""
    path = next((folder / name for name in ("preprocessor_config.json", "processor_config.json") if (folder / name).is_file()), None)
    if path is None:
        raise ValueError(f"{folder}: preprocessor_config.json is missing: without it the pixels' scale is not known")
    told = json.loads(path.read_text(encoding="utf-8"))
    told = told.get("image_processor", told)
    if not np.isclose(told.get("rescale_factor", 1 / 255), 1 / 255) or not told.get("do_normalize", True):
        raise ValueError(f"{path}: rescale_factor and do_normalize must be 1/255 and true, as in llama.cpp")
    return told


def _write_mmproj(model: LlavaForConditionalGeneration, pixels: dict[str, Any], target: Path, label: Label) -> None:
    vision: Any = model.config.vision_config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, vision.num_hidden_layers)
    weights = {name: tensor for name, tensor in model.state_dict().items() if "vision_tower" in name or "multi_modal_projector" in name}
    with making(target) as partial:
        writer = gguf.GGUFWriter(partial, "clip")
        describe(writer, label, sum(tensor.numel() for tensor in weights.values()), False, gguf.GGUFType.MMPROJ)
        writer.add_clip_has_vision_encoder(True)
        writer.add_clip_projector_type("mlp")
        writer.add_vision_use_gelu(True)
        writer.add_vision_image_size(vision.image_size)
        writer.add_vision_patch_size(vision.patch_size)
        writer.add_vision_embedding_length(vision.hidden_size)
        writer.add_vision_feed_forward_length(vision.intermediate_size)
        writer.add_vision_block_count(vision.num_hidden_layers)
        writer.add_vision_head_count(vision.num_attention_heads)
        writer.add_vision_attention_layernorm_eps(vision.layer_norm_eps)
        writer.add_vision_projection_dim(model.config.text_config.hidden_size)
        writer.add_vision_image_mean(pixels["image_mean"])
        writer.add_vision_image_std(pixels["image_std"])
        for name, tensor in weights.items():
            # Behind the layer that is read: the last norm and the pooling head. The last layer is counted, not run.
            if "post_layernorm" in name or ".head." in name:
                continue
            stored = _PROJECTOR.get(name) or names.get_name(_old_name(name), try_suffixes=(".weight", ".bias"))
            if stored is None:
                raise ValueError(f"tensor {name} has no GGUF name in an image projector")
            writer.add_tensor(stored, np.ascontiguousarray(tensor.to(torch.float32).numpy()))
        write_out(writer)


def _old_name(name: str) -> str:
    """The names of transformers 4, which GGUF's table was made from."""
    name = name.removeprefix("model.")
    return name if "vision_tower.vision_model." in name else name.replace("vision_tower.", "vision_tower.vision_model.")
