from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sdx_domains.ship.examples import situations
from sdx_finetune.adapt.base import resolve
from sdx_finetune.adapt.recipe import BaseSpec
from sdx_finetune.adapt.unpack_gguf import unpack
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.export.quantise import quantise
from sdx_finetune.parity.gate import compare
from sdx_finetune.recipe import ParitySpec, Recipe
from sdx_finetune.rows import Row
from sdx_serving.connect import embedded_model_path

LABEL = Label("toy", "Says which ship passes nearest.", "apache-2.0", ("en", "ko"))
SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512, "initializer_range": 0.15,
}  # fmt: skip
SCALED = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
MODELS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "qwen3-tied": lambda more: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=32, tie_word_embeddings=True, **more)),
    "qwen2": lambda more: Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False, **more)),
    "llama": lambda more: LlamaForCausalLM(LlamaConfig(**SIZES, head_dim=32, tie_word_embeddings=False, **more)),
    "llama-bias-tied": lambda more: LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True, tie_word_embeddings=True, **more)),
    "llama-scaled": lambda more: LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=SCALED, **more)),
}


def saved(kind: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random model whose biases and norms are no longer zeros and ones."""
    torch.manual_seed(5)
    rows = len(tokenizer) + 5  # as many models: more rows than tokens
    model = MODELS[kind]({"vocab_size": rows, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0, "bos_token_id": None})
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chats(toy: list[Row]) -> list[list[dict[str, str]]]:
    return [row.turns()[:-1] for row in toy[:2]]


@pytest.mark.parametrize("kind", MODELS)
def test_each_family_answers_as_trained_and_comes_back_byte_for_byte(
    kind: str, tmp_path: Path, tokenizer: Any, chats: list[list[dict[str, str]]], recipe: Recipe
) -> None:
    folder = saved(kind, tmp_path / "model", tokenizer)
    file = export_gguf(folder, tmp_path / "toy-F32.gguf", LABEL)
    report = compare(folder, file, "F32", chats, recipe.parity)
    assert not report.faults, report.text()
    assert report.max_logit_difference is not None
    assert report.max_logit_difference < 0.01
    if kind == "llama-scaled":
        with pytest.raises(ValueError, match="scaled positions"):
            unpack(file, tmp_path / "back")
        return
    again = export_gguf(unpack(file, tmp_path / "back"), tmp_path / "again.gguf", LABEL)
    assert again.read_bytes() == file.read_bytes()


def test_float16_of_the_exporter_and_of_the_quantiser_are_the_same(model_folder: Path, tmp_path: Path) -> None:
    direct = export_gguf(model_folder, tmp_path / "direct.gguf", LABEL, half=True)
    other = quantise(export_gguf(model_folder, tmp_path / "whole.gguf", LABEL), tmp_path / "other.gguf", "F16")
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(other).tensors}
    for tensor in gguf.GGUFReader(direct).tensors:
        assert tensor.tensor_type == theirs[tensor.name].tensor_type
        assert tensor.data.tobytes() == theirs[tensor.name].data.tobytes()


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q6_K", "Q4_K_M"])
def test_an_unpacked_quantised_file_has_its_own_weights(kind: Any, model_folder: Path, tmp_path: Path) -> None:
    small = quantise(export_gguf(model_folder, tmp_path / "whole.gguf", LABEL), tmp_path / "small.gguf", kind)
    again = export_gguf(unpack(small, tmp_path / "back"), tmp_path / "again.gguf", LABEL)
    whole = {tensor.name: tensor for tensor in gguf.GGUFReader(again).tensors}
    for tensor in gguf.GGUFReader(small).tensors:
        stored = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert stored.tobytes() == whole[tensor.name].data.tobytes()


def test_the_embedded_model_is_unpacked_once_and_answers_as_its_file(tmp_path: Path) -> None:
    said: list[str] = []
    base = resolve(BaseSpec.model_validate({}), said.append, tmp_path)
    assert resolve(BaseSpec.model_validate({}), said.append, tmp_path) == base
    assert len(said) == 1
    assert [path.name for path in base.folder.parent.iterdir()] == [base.folder.name]
    assert base.sha256 in base.folder.name
    asked = [situation.messages for situation in situations(2)]  # what it was trained for: elsewhere it hardly knows which word comes next
    spec = ParitySpec.model_validate({"prompts": len(asked), "greedy_tokens": 24})
    report = compare(base.folder, embedded_model_path(), "Q8_0", asked, spec)
    assert not report.faults, report.text()
    assert report.tokens_equal
    assert report.top1_agreement >= 0.98


def test_a_file_that_is_no_model_or_cut_off_leaves_nothing(model_folder: Path, tmp_path: Path) -> None:
    whole = export_gguf(model_folder, tmp_path / "whole.gguf", LABEL)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:-20_000])
    text = tmp_path / "text.gguf"
    text.write_bytes(b"hello")
    for path in (cut, text):
        with pytest.raises(ValueError, match=f"{path.name} is no whole GGUF file"):
            resolve(BaseSpec.model_validate({"model": str(path)}), cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / "bases").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("GPT2LMHeadModel", "gpt2"), "architecture 'gpt2' is not among those"),
        ((r"\\p{N}|", r"\\p{N}{1,2}|"), "has no name in llama.cpp"),
        (('"add_prefix_space": false', '"add_prefix_space": true'), "add_prefix_space"),
    ],
)
def test_what_llama_cpp_would_read_otherwise_is_refused(model_folder: Path, tmp_path: Path, change: tuple[str, str], said: str) -> None:
    import shutil

    folder = shutil.copytree(model_folder, tmp_path / "model")
    path = folder / ("config.json" if "gpt2" in change else "tokenizer.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("qwen3", "gpt2") if "gpt2" in change else text.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        export_gguf(folder, tmp_path / "no.gguf", LABEL)
    assert not (tmp_path / "no.gguf").exists()
