"""The decoder: Qwen3 from the recipe's sizes, with an attention that is fast on a CPU while training."""

import os
import warnings

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from sdx_finetune.recipe import ModelSpec

BLOCK = 256
TRAINING_ATTENTION = "sdx_causal_blocks"


def build_model(spec: ModelSpec, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A fresh model with weights drawn from `seed`, float32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        intermediate_size=spec.ffn,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.kv_heads,
        head_dim=spec.head_dim,
        max_position_embeddings=spec.context,
        rope_parameters={"rope_type": "default", "rope_theta": spec.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def parameter_count(model: nn.Module) -> int:
    """Distinct parameters; tied ones count once."""
    return sum(p.numel() for p in model.parameters())


def causal_blocks(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, **_: object
) -> tuple[Tensor, None]:
    """Causal attention by blocks of queries against the keys so far, in bfloat16 products.

    On a CPU the fused kernel's backward pass is several times slower than plain matrix products; blocks skip
    most of what lies after the diagonal. Rows must be padded on the right: no padding mask is needed then,
    and none is taken.

    Args:
        query: (batch, heads, length, dim); key and value: (batch, kv_heads, length, dim).

    Returns:
        (batch, length, heads, dim), and no weights.
    """
    if attention_mask is not None:
        raise ValueError("causal_blocks takes no mask: pad on the right and pass none")
    batch, heads, length, dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    query, key = (query * scaling).to(value.dtype), key.to(value.dtype)
    parts = []
    for start in range(0, length, BLOCK):
        end = min(length, start + BLOCK)
        rows = query[:, :, start:end].reshape(batch * kv_heads, group * (end - start), dim)
        keys = key[:, :, :end].reshape(batch * kv_heads, end, dim)
        values = value[:, :, :end].reshape(batch * kv_heads, end, dim)
        scores = torch.bmm(rows, keys.transpose(1, 2)).view(batch * kv_heads, group, end - start, end).float()
        later = torch.ones(end - start, end, dtype=torch.bool, device=query.device).triu(start + 1)
        weights = torch.softmax(scores.masked_fill(later, float("-inf")), -1).to(value.dtype)
        mixed = torch.bmm(weights.view(batch * kv_heads, group * (end - start), end), values)
        parts.append(mixed.view(batch, heads, end - start, dim))
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


def ready_for_training(model: Qwen3ForCausalLM, device: torch.device, compile_layers: bool) -> None:
    """Block attention on a CPU, and one compiled layer that all layers share (seconds, not minutes, to compile)."""
    if device.type == "cpu":
        AttentionInterface.register(TRAINING_ATTENTION, causal_blocks)
        model.set_attn_implementation(TRAINING_ATTENTION)
    if compile_layers:
        torch._dynamo.config.recompile_limit = 64  # one per bucket length, train and eval
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes on a shared machine
        warnings.filterwarnings("ignore", module=r"torch\._inductor.*")
        for layer in model.model.layers:
            layer.compile(dynamic=False)
