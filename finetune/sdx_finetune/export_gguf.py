"""A Qwen3 folder as one GGUF file: weights, tokenizer and chat template, for llama.cpp and what stands on it."""

import json
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM


@dataclass(frozen=True, slots=True)
class Label:
    """What the file says of itself."""

    name: str
    description: str
    licence: str
    languages: tuple[str, ...]
    version: str = ""


def export_gguf(folder: Path, target: Path, label: Label, half: bool = False) -> Path:
    """Write `target` from the model and tokenizer in `folder`, float32 or float16.

    Raises:
        ValueError: a tensor has no GGUF name, or the model is no Qwen3.
    """
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if model.config.model_type != "qwen3":
        raise ValueError(f"{folder}: architecture {model.config.model_type!r} is not exported here, only qwen3")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "qwen3")
    _describe(writer, label, model, half)
    _write_tokenizer(writer, tokenizer)
    _write_tensors(writer, model, half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)
    return target


def _describe(writer: gguf.GGUFWriter, label: Label, model: Qwen3ForCausalLM, half: bool) -> None:
    config = model.config
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(label.name)
    writer.add_description(label.description)
    writer.add_license(label.licence)
    writer.add_languages(list(label.languages))
    if label.version:
        writer.add_version(label.version)
    writer.add_size_label(gguf.size_label(sum(p.numel() for p in model.parameters()), 0, 0, 0))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["id"] for token in core["added_tokens"] if token["special"]}
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in core["model"]["merges"]])
    writer.add_eos_token_id(_token_id(tokenizer.eos_token_id, "eos"))
    writer.add_pad_token_id(_token_id(tokenizer.pad_token_id, "pad"))
    # llama.cpp asks for a beginning token even where none is added.
    writer.add_bos_token_id(_token_id(tokenizer.pad_token_id, "pad"))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    template = tokenizer.chat_template
    if not template or isinstance(template, dict):
        raise ValueError("the tokenizer has no single chat template: save one with it before export")
    writer.add_chat_template(template)


def _token_id(value: object, name: str) -> int:
    if value is None:
        raise ValueError(f"the tokenizer has no {name} token; set it before export")
    return int(str(value))


def _write_tensors(writer: gguf.GGUFWriter, model: Qwen3ForCausalLM, half: bool) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, model.config.num_hidden_layers)
    tied = bool(model.config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ValueError(f"tensor {name} has no GGUF name in qwen3")
        array = tensor.to(torch.float32).numpy()
        writer.add_tensor(target, array.astype(np.float16) if half and array.ndim > 1 else array)
