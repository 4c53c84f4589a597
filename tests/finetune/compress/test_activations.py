import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from sdx_finetune.adapt.merge import open_model
from sdx_finetune.compress.activations import importance, load, save, seen_on, write_imatrix
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.export.quantise import quantise
from sdx_finetune.recipe import Quantisation

LABEL = Label("toy", "", "", ())


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


@pytest.fixture
def wide_folder(tmp_path: Path, tokenizer: Any) -> Path:
    """Rows of 256 weights, which K-quants take without a fall-back."""
    torch.manual_seed(5)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, max_position_embeddings=256, eos_token_id=2, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "wide")
    tokenizer.save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def test_mean_squares_are_those_of_what_meets_the_weights(model_folder: Path, token_ids: list[list[int]]) -> None:
    seen = seen_on(model_folder, token_ids)
    model = open_model(model_folder)
    met: list[torch.Tensor] = []
    with torch.no_grad():
        for ids in token_ids:
            met.append(model.model(input_ids=torch.tensor([ids])).last_hidden_state[0])
    assert (seen.tokens, seen.rows) == (sum(map(len, token_ids)), len(token_ids))
    np.testing.assert_allclose(seen.squares["lm_head"], torch.cat(met).square().mean(0).numpy(), rtol=1e-4)
    assert len(seen.squares) == 2 * 7 + 1
    assert seen.influence.shape == (2,) and (seen.influence > 0).all()


def test_what_was_seen_is_kept_as_it_is(model_folder: Path, token_ids: list[list[int]], tmp_path: Path) -> None:
    seen = seen_on(model_folder, token_ids[:2])
    save(seen, tmp_path / "seen.npz")
    again = load(tmp_path / "seen.npz")
    assert (again.tokens, again.rows) == (seen.tokens, seen.rows)
    np.testing.assert_array_equal(again.influence, seen.influence)
    assert seen.squares.keys() == again.squares.keys()
    assert all((seen.squares[name] == again.squares[name]).all() for name in seen.squares)


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_each_matrix_of_the_file_has_its_importance(
    family: str, model_folder: Path, tmp_path: Path, tokenizer: Any, token_ids: list[list[int]]
) -> None:
    folder = model_folder
    if family == "llama":
        folder = tmp_path / "llama"
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=256, eos_token_id=2, pad_token_id=0, bos_token_id=None,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    found = importance(seen_on(folder, token_ids[:2]), config_of(folder))
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(export_gguf(folder, tmp_path / "f.gguf", LABEL)).tensors}
    matrices = {name for name, tensor in tensors.items() if len(tensor.shape) == 2}
    assert set(found) == (matrices if family == "qwen3" else matrices - {"token_embd.weight"})  # llama's output is a matrix of its own
    assert all(len(found[name]) == tensors[name].shape[0] for name in found)


def test_others_can_read_the_imatrix_file(model_folder: Path, token_ids: list[list[int]], tmp_path: Path) -> None:
    seen = seen_on(model_folder, token_ids)
    reader = gguf.GGUFReader(write_imatrix(seen, config_of(model_folder), tmp_path / "imatrix.gguf", "toy rows"))
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.datasets"].contents() == ["toy rows"]
    assert reader.fields["imatrix.chunk_count"].contents() == len(token_ids)
    held = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    name = "blk.1.ffn_down.weight"
    means = held[f"{name}.in_sum2"].ravel() / held[f"{name}.counts"].ravel()
    np.testing.assert_allclose(means, seen.squares["model.layers.1.mlp.down_proj"], rtol=1e-5)


@pytest.mark.parametrize("kind", ["Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"])
def test_channels_that_matter_are_rounded_finer(kind: Quantisation, wide_folder: Path, tmp_path: Path) -> None:
    """The matrix reaches llama.cpp: by its own measure the error falls, and the files differ."""
    whole = export_gguf(wide_folder, tmp_path / "F32.gguf", LABEL)
    rng = np.random.default_rng(0)
    name = "blk.0.ffn_gate.weight"
    weights = {name: rng.pareto(1.0, 256).astype(np.float32) + 0.01}
    plain, weighed = quantise(whole, tmp_path / "plain.gguf", kind), quantise(whole, tmp_path / "weighed.gguf", kind, 1, weights)
    assert plain.read_bytes() != weighed.read_bytes()
    assert plain.stat().st_size == weighed.stat().st_size

    def array(path: Path, tensor: str) -> np.ndarray:
        found = next(one for one in gguf.GGUFReader(path).tensors if one.name == tensor)
        return dequantize(found.data, found.tensor_type).reshape(256, 256)

    before = array(whole, name)
    errors = [float((np.square(array(path, name) - before) * weights[name]).sum()) for path in (plain, weighed)]
    assert errors[1] < 0.9 * errors[0], errors
    other = "blk.0.ffn_up.weight"
    np.testing.assert_array_equal(array(plain, other), array(weighed, other))


def test_an_importance_that_is_no_number_is_refused(wide_folder: Path, tmp_path: Path) -> None:
    whole = export_gguf(wide_folder, tmp_path / "F32.gguf", LABEL)
    broken = {"blk.0.ffn_gate.weight": np.full(256, np.nan, np.float32)}
    with pytest.raises(RuntimeError, match="llama.cpp could not quantise"):
        quantise(whole, tmp_path / "broken.gguf", "Q4_K_M", 1, broken)
    assert not (tmp_path / "broken.gguf").exists()
