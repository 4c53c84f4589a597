"""A decoder as ONNX, float32 or int8, in a folder with its tokenizer and chat template: for runtimes without llama.cpp.

The graph keeps no cache of what it has read: fine for scoring and classifying; for long answers take the GGUF file.
"""

import json
import logging
import warnings
from pathlib import Path
from typing import Any, Literal

from sdx_finetune.adapt.merge import copy_tokenizer
from sdx_finetune.journal import making

OnnxKind = Literal["fp32", "int8"]


def export_onnx(folder: Path, target: Path, kind: OnnxKind = "fp32") -> Path:
    """Write `target`/model.onnx: input_ids (batch, length) int64 -> logits (batch, length, vocabulary) float32.

    int8: weights of linear layers per output row, activations as they come. The layers behind the gate (down_proj) stay float32: a
    few values that reach them are so large that one scale loses all others (91 % of first choices alike with them, 99 % without).

    Raises:
        ValueError: a model that is more than a text decoder.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "vision_config" in config or not any(name.endswith("ForCausalLM") for name in config.get("architectures") or ()):
        raise ValueError(f"{folder}: {config.get('architectures')} is no plain text decoder, which is what ONNX is made of here")
    with making(target) as partial:
        partial.mkdir(parents=True)
        _write_graph(folder, partial / "model.onnx")
        if kind == "int8":
            _quantise(partial / "model.onnx", [config["intermediate_size"], config["hidden_size"]])
        copy_tokenizer(folder, partial)
        for name in ("config.json", "generation_config.json"):
            if (folder / name).is_file():
                (partial / name).write_bytes((folder / name).read_bytes())
    return target


def _write_graph(folder: Path, path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    class Logits(torch.nn.Module):
        """The model as a function of ids alone."""

        def __init__(self) -> None:
            super().__init__()
            self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=input_ids, use_cache=False).logits

    shapes = {"input_ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2)}}
    # Two rows and a length that is no other size of the model, else the exporter takes them for constants.
    ids = torch.zeros((2, 7), dtype=torch.int64)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            Logits(), (ids,), path, input_names=["input_ids"], output_names=["logits"], dynamic_shapes=shapes, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip


def _quantise(path: Path, kept: list[int]) -> None:
    """In place. `kept`: shape (in, out) of the weights that stay float32."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.rename(path.with_name("whole.onnx"))
    graph = onnx.load(whole).graph
    shapes = {weight.name: list(weight.dims) for weight in graph.initializer}
    spared = [node.name for node in graph.node if node.op_type == "MatMul" and shapes.get(node.input[1]) == kept]
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)  # it advises a step that this graph does not need
    quantize_dynamic(
        whole, path, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gather"], nodes_to_exclude=spared
    )
    logger.setLevel(before)
    whole.unlink()
