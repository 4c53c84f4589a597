"""A model as ONNX, float32 or int8, in a folder with its tokenizer and chat template: for runtimes without llama.cpp.

A decoder keeps what it has read in a key-value cache, which goes in and comes out of the graph; encoders are onnx_encoder.py.
"""

import json
from pathlib import Path
from typing import Any, Literal

from sdx_finetune.adapt.merge import copy_tokenizer
from sdx_finetune.export.onnx_encoder import export_encoder, is_encoder
from sdx_finetune.export.onnx_graph import quantise_dynamic, write_graph
from sdx_finetune.journal import making

OnnxKind = Literal["fp32", "int8"]


def export_onnx(folder: Path, target: Path, kind: OnnxKind = "fp32") -> Path:
    """Write `target`/model.onnx of a decoder, or of an encoder as export_encoder does.

    In: input_ids (batch, length) int64, past_key_values.N.key and .value (batch, heads, past, head size) float32, past >= 0.
    Out: logits (batch, length, vocabulary) float32, present.N.key and .value (batch, heads, past + length, head size).

    int8: weights of linear layers per output row, activations as they come. The layers behind the gate (down_proj) stay float32: a
    few values that reach them are so large that one scale loses all others (91 % of first choices alike with them, 99 % without).

    Raises:
        ValueError: a model that is more than a text decoder.
    """
    if is_encoder(folder):
        return export_encoder(folder, target, kind)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "vision_config" in config or not any(name.endswith("ForCausalLM") for name in config.get("architectures") or ()):
        raise ValueError(f"{folder}: {config.get('architectures')} is no plain text decoder, which is what ONNX is made of here")
    with making(target) as partial:
        partial.mkdir(parents=True)
        _write_decoder(folder, partial / "model.onnx")
        if kind == "int8":
            quantise_dynamic(partial / "model.onnx", [config["intermediate_size"], config["hidden_size"]])
        copy_tokenizer(folder, partial)
        for name in ("config.json", "generation_config.json"):
            if (folder / name).is_file():
                (partial / name).write_bytes((folder / name).read_bytes())
    return target


def _write_decoder(folder: Path, path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    class Cached(torch.nn.Module):
        """The model as a function of ids and of what was read before them."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, past: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
            cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
            logits = self.model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits
            return logits, *(part for layer in cache.layers for part in (layer.keys, layer.values))  # type: ignore[return-value]

    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = [f"{layer}.{part}" for layer in range(config.num_hidden_layers) for part in ("key", "value")]
    # Two rows, and lengths that are no other size of the model, else the exporter takes them for constants; and a tensor of its own
    # for each input, else it takes them for one.
    given = torch.zeros((2, 7), dtype=torch.int64), [torch.zeros(2, config.num_key_value_heads, 5, size) for _ in layers]
    batch, length, past = torch.export.Dim("batch"), torch.export.Dim("length"), torch.export.Dim("past")
    shapes = {"input_ids": {0: batch, 1: length}, "past": [{0: batch, 2: past} for _ in layers]}
    names = ["input_ids", *(f"past_key_values.{name}" for name in layers)], ["logits", *(f"present.{name}" for name in layers)]
    write_graph(Cached(), given, path, names, shapes)
