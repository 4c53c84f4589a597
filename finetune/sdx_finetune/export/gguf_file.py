"""A decoder's folder as one GGUF file: weights, tokenizer and chat template, for llama.cpp and what stands on it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from sdx_finetune.export.families import Family, family_of, heads_of, permute, rope_factors, split_of
from sdx_finetune.journal import making


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
        ValueError: an architecture, tensor, tokenizer or template that has no place in a GGUF file.
    """
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", "")
    family_of(kind, folder)  # before gigabytes are read
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return write_gguf(model, PreTrainedTokenizerFast.from_pretrained(folder), target, label, half)


def write_gguf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, target: Path, label: Label, half: bool = False) -> Path:
    """Write `target` from a model in memory."""
    family = family_of(model.config.model_type, target.name)
    with making(target) as partial:
        writer = gguf.GGUFWriter(partial, family.name)
        describe(writer, label, sum(p.numel() for p in model.parameters()), half)
        _write_sizes(writer, family, model.config)
        _write_tokenizer(writer, tokenizer, model.config.vocab_size)
        for name, array in stored_tensors(family, model):
            writer.add_tensor(name, array.astype(np.float16) if half and array.ndim > 1 else array)
        write_out(writer)
    return target


def describe(writer: gguf.GGUFWriter, label: Label, parameters: int, half: bool, kind: str = gguf.GGUFType.MODEL) -> None:
    """What any GGUF file says of itself."""
    writer.add_type(kind)
    writer.add_name(label.name)
    writer.add_description(label.description)
    writer.add_license(label.licence)
    writer.add_languages(list(label.languages))
    if label.version:
        writer.add_version(label.version)
    writer.add_size_label(gguf.size_label(parameters, 0, 0, 0))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def write_out(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_sizes(writer: gguf.GGUFWriter, family: Family, config: Any) -> None:
    if getattr(config, "use_sliding_window", False):
        raise ValueError("the model attends through a sliding window (use_sliding_window), which is not exported here")
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    if family.permuted:
        writer.add_rope_dimension_count(size)
    if (factors := rope_factors(config.rope_parameters, size)) is not None:
        writer.add_tensor("rope_freqs.weight", factors)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, rows: int) -> None:
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens, types = _tokens(tokenizer, core, rows)
    template = tokenizer.chat_template
    if not template or isinstance(template, dict):
        raise ValueError("the tokenizer has no single chat template: save one with it before export")
    eos, pad = _token_id(tokenizer.eos_token_id, "eos"), _token_id(tokenizer.pad_token_id, "pad")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_of(core).pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in core["model"]["merges"]])
    writer.add_eos_token_id(eos)
    writer.add_pad_token_id(pad)
    # llama.cpp asks for a beginning token even where none is added.
    writer.add_bos_token_id(pad if tokenizer.bos_token_id is None else _token_id(tokenizer.bos_token_id, "bos"))
    writer.add_add_bos_token(begins(tokenizer))
    writer.add_add_eos_token(False)
    writer.add_chat_template(template)
    if (mark := end_mark(tokenizer)) not in (eos, None):
        writer.add_eot_token_id(_token_id(mark, "end-of-turn"))


def begins(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Does it put its beginning token before a text? ValueError when it adds anything else."""
    whole, bare = tokenizer("x").input_ids, tokenizer.backend_tokenizer.encode("x", add_special_tokens=False).ids
    if whole == bare:
        return False
    if whole == [tokenizer.bos_token_id, *bare]:
        return True
    raise ValueError(f"the tokenizer writes {whole} for 'x', bare {bare}: only a beginning token before a text can be exported")


def end_mark(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token that the chat template puts after an answer; None when that is no single special token."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "ANSWER"}]
    text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    after = tokenizer.backend_tokenizer.encode(text.rpartition("ANSWER")[2], add_special_tokens=False).ids[:1]
    return after[0] if after and after[0] in tokenizer.added_tokens_decoder else None


def _tokens(tokenizer: PreTrainedTokenizerFast, core: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """Every row of the embedding has a token; ids that the tokenizer does not know are marked unused."""
    if len(tokenizer) > rows:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {rows} rows: resize the embedding before export")
    added = {token["id"]: gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED for token in core["added_tokens"]}
    known = {i: token for token, i in tokenizer.get_vocab().items()}
    tokens = [known.get(i, f"[PAD{i}]") for i in range(rows)]
    return tokens, [added.get(i, gguf.TokenType.NORMAL if i in known else gguf.TokenType.UNUSED) for i in range(rows)]


def _token_id(value: object, name: str) -> int:
    if value is None:
        raise ValueError(f"the tokenizer has no {name} token; set it before export")
    return int(str(value))


def stored_tensors(family: Family, model: PreTrainedModel) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight in float32 as a GGUF file calls and orders it. ValueError when one has no name there."""
    names = gguf.get_tensor_name_map(family.arch, model.config.num_hidden_layers)
    tied = bool(model.config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ValueError(f"tensor {name} has no GGUF name in {family.name}")
        array = tensor.to(torch.float32).numpy()
        heads = heads_of(family, name, model.config)
        yield target, np.ascontiguousarray(permute(array, heads) if heads else array)
