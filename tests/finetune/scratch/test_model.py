from typing import Any

import pytest
import torch

from sdx_finetune.recipe import Recipe
from sdx_finetune.scratch import model as subject
from sdx_finetune.scratch.model import build_model, causal_blocks, parameter_count


@pytest.mark.parametrize("length", [1, 7, 8, 9, 31])
def test_block_attention_is_causal_attention(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "BLOCK", 8)
    draw = torch.Generator().manual_seed(length)
    query, key, value = (torch.randn(2, heads, length, 16, generator=draw) for heads in (4, 2, 2))
    ours, _ = causal_blocks(torch.nn.Module(), query, key, value, None, scaling=0.25)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.25, enable_gqa=True)
    torch.testing.assert_close(ours, wanted.transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_block_attention_refuses_a_mask() -> None:
    part = torch.zeros(1, 1, 4, 8)
    with pytest.raises(ValueError, match="pad on the right"):
        causal_blocks(torch.nn.Module(), part, part, part, torch.ones(1, 1, 4, 4), scaling=1.0)


def test_the_model_has_the_recipes_sizes_and_tied_embeddings(recipe: Recipe, tokenizer: Any) -> None:
    spec = recipe.model
    model = build_model(spec, tokenizer, seed=0)
    attention = spec.hidden * spec.head_dim * (2 * spec.heads + 2 * spec.kv_heads) + 2 * spec.head_dim
    layer = attention + 3 * spec.hidden * spec.ffn + 2 * spec.hidden
    assert parameter_count(model) == len(tokenizer) * spec.hidden + spec.layers * layer + spec.hidden


def test_the_seed_alone_decides_the_first_weights(recipe: Recipe, tokenizer: Any) -> None:
    first, same, other = (build_model(recipe.model, tokenizer, seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
