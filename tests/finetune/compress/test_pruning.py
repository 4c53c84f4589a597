from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from sdx_finetune.adapt.merge import copy_tokenizer, open_model
from sdx_finetune.compress.activations import seen_on
from sdx_finetune.compress.smaller import shrink
from sdx_finetune.compress.sparse import layer_weights, masks, prune
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.parity.gate import compare
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row


def logits(folder: Path, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return open_model(folder)(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("by", ["wanda", "magnitude"])
def test_two_of_four_stay_and_they_are_the_largest(by: str, model_folder: Path, token_ids: list[list[int]], tmp_path: Path) -> None:
    seen = seen_on(model_folder, token_ids) if by == "wanda" else None
    before, after = open_model(model_folder), open_model(prune(model_folder, tmp_path / "pruned", seen))
    assert len(list(layer_weights(after))) == 2 * 7
    for (name, old), (_, new) in zip(layer_weights(before), layer_weights(after), strict=True):
        kept = (new != 0).view(new.shape[0], -1, 4)
        assert (kept.sum(-1) == 2).all(), name
        assert torch.equal(new[new != 0], old[new != 0])
        size = (old.abs() * (torch.from_numpy(seen.squares[name]).sqrt() if seen else 1)).view_as(kept)
        assert (size.masked_fill(~kept, torch.inf).amin(-1) >= size.masked_fill(kept, 0).amax(-1)).all(), name
    assert torch.equal(before.model.embed_tokens.weight, after.model.embed_tokens.weight)
    assert sum(int(mask.sum()) for mask in masks(after).values()) * 2 == sum(weight.numel() for _, weight in layer_weights(after))


def test_what_meets_the_weights_decides(model_folder: Path, token_ids: list[list[int]], tmp_path: Path) -> None:
    by_size, by_both = prune(model_folder, tmp_path / "a", None), prune(model_folder, tmp_path / "b", seen_on(model_folder, token_ids))
    assert any(
        not torch.equal(a != 0, b != 0)
        for (_, a), (_, b) in zip(layer_weights(open_model(by_size)), layer_weights(open_model(by_both)), strict=True)
    )


def family_folder(family: str, tokenizer: Any, folder: Path) -> Path:
    """Two layers, four heads; a model whose answers move with its weights."""
    torch.manual_seed(2)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.15, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": 0, "bos_token_id": None,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**sizes)) if family == "llama" else Qwen2ForCausalLM(Qwen2Config(**sizes))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_what_writes_nothing_is_what_goes(
    family: str, tokenizer: Any, token_ids: list[list[int]], tmp_path: Path, toy: list[Row], recipe: Recipe
) -> None:
    """Half of the channels and, in llama, of the heads are made mute: without them the model says the same, in llama.cpp too."""
    model = open_model(family_folder(family, tokenizer, tmp_path / "whole"))
    mute = torch.arange(64) * 2
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight[:, mute] = 0
            if family == "llama":
                layer.self_attn.o_proj.weight[:, 16:32] = 0  # the second head of the first two
                layer.self_attn.o_proj.weight[:, 32:48] = 0  # the first of the others
    model.save_pretrained(tmp_path / "muted")
    copy_tokenizer(tmp_path / "whole", tmp_path / "muted")
    small = shrink(tmp_path / "muted", tmp_path / "small", seen_on(tmp_path / "muted", token_ids), 0.5, 2)
    config = open_model(small).config
    assert (config.intermediate_size, config.num_attention_heads, config.hidden_size) == (64, 2 if family == "llama" else 4, 64)
    torch.testing.assert_close(logits(small, token_ids[0]), logits(tmp_path / "muted", token_ids[0]), atol=1e-4, rtol=1e-4)
    file = export_gguf(small, tmp_path / "small.gguf", Label("toy", "", "", ()))
    report = compare(small, file, "F32", [toy[0].turns()[:-1]], recipe.parity)
    assert not report.faults, report.text()


def test_the_layer_that_changes_nothing_goes_first(tokenizer: Any, token_ids: list[list[int]], tmp_path: Path) -> None:
    model = open_model(family_folder("llama", tokenizer, tmp_path / "whole"))
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.layers[0].self_attn.o_proj.weight.zero_()
    model.save_pretrained(tmp_path / "idle")
    copy_tokenizer(tmp_path / "whole", tmp_path / "idle")
    seen = seen_on(tmp_path / "idle", token_ids)
    assert seen.influence[0] == pytest.approx(0, abs=1e-5)
    small = shrink(tmp_path / "idle", tmp_path / "small", seen, 0.99, 1)
    assert open_model(small).config.num_hidden_layers == 1
    torch.testing.assert_close(logits(small, token_ids[0]), logits(tmp_path / "idle", token_ids[0]), atol=1e-4, rtol=1e-4)


def test_what_cannot_be_cut_is_said(model_folder: Path, token_ids: list[list[int]], tmp_path: Path, tokenizer: Any) -> None:
    seen = seen_on(model_folder, token_ids)
    with pytest.raises(ValueError, match="nothing can go with keep 0.99: give a smaller one, or drop layers"):
        shrink(model_folder, tmp_path / "small", seen, 0.99, 2)
    with pytest.raises(ValueError, match="0 of 2 layers would be left: at least one must stay"):
        shrink(model_folder, tmp_path / "small", seen, 0.5, 0)
    odd = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=90, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(odd).save_pretrained(tmp_path / "odd")
    with pytest.raises(ValueError, match="down_proj has 90 input channels, no multiple of 4"):
        prune(tmp_path / "odd", tmp_path / "pruned", None)
    assert not (tmp_path / "small").exists() and not (tmp_path / "pruned").exists()
