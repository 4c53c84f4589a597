"""What can be read off a GGUF file without running it: sizes, positions, vocabulary, and each weight against the trained one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from sdx_finetune.export.families import family_of, split_of
from sdx_finetune.export.gguf_file import stored_tensors
from sdx_finetune.recipe import Quantisation

MAX_ROW_ERROR: dict[Quantisation, float] = {
    "F32": 1e-6, "F16": 2e-3, "Q8_0": 0.03, "Q6_K": 0.1, "Q5_K_M": 0.15, "Q4_K_M": 0.3, "IQ4_XS": 0.4, "Q3_K_M": 0.6, "Q2_K": 0.9,
}  # fmt: skip
"""Largest ||row - trained row|| / ||trained row||: four to five times what llama.cpp's rounding costs on normally distributed weights."""


def file_faults(path: Path, kind: Quantisation, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Faults in words, each with the field or tensor; [] when the file is the trained model."""
    reader = gguf.GGUFReader(path)
    fields = {key: field for key, field in reader.fields.items()}
    faults = [
        f"{key} is {fields[key].contents() if key in fields else None!r} in the file, {wanted!r} in training"
        for key, wanted in _wanted(model, tokenizer)
        if key not in fields or not _same(fields[key].contents(), wanted)
    ]
    faults += _vocabulary_faults(fields["tokenizer.ggml.tokens"].contents(), tokenizer)
    return faults + _weight_faults(reader, kind, model)


def _wanted(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[str, Any]]:
    config: Any = model.config
    name = family_of(config.model_type, "model").name
    yield "general.architecture", name
    yield f"{name}.block_count", config.num_hidden_layers
    yield f"{name}.context_length", config.max_position_embeddings
    yield f"{name}.attention.head_count", config.num_attention_heads
    yield f"{name}.attention.head_count_kv", config.num_key_value_heads
    yield f"{name}.attention.layer_norm_rms_epsilon", config.rms_norm_eps
    yield f"{name}.rope.freq_base", config.rope_parameters["rope_theta"]
    yield "tokenizer.ggml.pre", split_of(json.loads(tokenizer.backend_tokenizer.to_str())).pre


def _same(stored: Any, wanted: Any) -> bool:
    return bool(np.float32(stored) == np.float32(wanted)) if isinstance(wanted, float) else stored == wanted


def _vocabulary_faults(tokens: list[str], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    wrong = [(i, token) for token, i in tokenizer.get_vocab().items() if i >= len(tokens) or tokens[i] != token]
    if not wrong:
        return []
    at, token = min(wrong)
    there = tokens[at] if at < len(tokens) else None
    return [f"token {at} is {there!r} in the file, {token!r} in training ({len(wrong)} differ): ids mean other text"]


def _weight_faults(reader: gguf.GGUFReader, kind: Quantisation, model: PreTrainedModel) -> list[str]:
    stored = {tensor.name: tensor for tensor in reader.tensors}
    faults = []
    for name, wanted in stored_tensors(family_of(model.config.model_type, "model"), model):
        if name not in stored:
            faults.append(f"tensor {name} is missing in the file")
            continue
        tensor = stored.pop(name)
        found = dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1].tolist())
        if found.shape != wanted.shape:
            faults.append(f"tensor {name} has the shape {found.shape} in the file, {wanted.shape} in training")
            continue
        # Rows far below the others' size are rounded to nothing: their error counts against a usual row.
        size = np.sqrt(np.square(wanted).sum(-1))
        error = np.sqrt(np.square(found - wanted).sum(-1)) / np.maximum(size, 0.1 * size.mean() + 1e-12)
        if not (worst := float(np.max(error))) <= MAX_ROW_ERROR[kind]:  # also when it is no number
            row = f"row {int(np.argmax(error))} of " if error.ndim else ""
            faults.append(
                f"weight {row}{name} differs by {worst:.1%} of its size, {kind} may by {MAX_ROW_ERROR[kind]:.2%}: damaged or of another model"
            )
    return faults + [f"tensor {name} is in the file, not in training" for name in stored if name != "rope_freqs.weight"]
