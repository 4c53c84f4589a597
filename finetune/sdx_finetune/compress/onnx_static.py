"""An ONNX decoder with int8 weights and int8 activations, whose ranges were seen on rows of the task. Start at quantise_static()."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader

from sdx_finetune.export.onnx_file import export_onnx
from sdx_finetune.journal import making


def quantise_static(folder: Path, target: Path, ids: Sequence[Sequence[int]], spared: Sequence[tuple[int, int]] = ()) -> Path:
    """Write `target`: matrix products as QuantizeLinear/DequantizeLinear pairs, weights per output channel.

    Args:
        folder: the model in Hugging Face's layout.
        ids: rows of token ids; the smallest and largest value of each activation on them fixes its scale.
        spared: shapes (in, out) of weights whose products stay in float32.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with making(target) as partial:
        export_onnx(folder, partial, "fp32")
        whole = (partial / "model.onnx").rename(partial / "whole.onnx")
        graph = onnx.load(whole).graph
        shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
        products = [node for node in graph.node if node.op_type == "MatMul"]
        kept = [node.name for node in products if node.input[1] in shapes and shapes[node.input[1]] not in spared]
        logger = logging.getLogger()
        before = logger.level
        logger.setLevel(logging.ERROR)  # it advises steps that this graph does not need
        try:
            quantize_static(
                whole, partial / "model.onnx", _Rows(whole, ids), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
                nodes_to_quantize=kept, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )  # fmt: skip
        finally:
            logger.setLevel(before)
        whole.unlink()
        for rest in partial.glob("augmented_model*"):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
    return target


class _Rows(CalibrationDataReader):
    """Rows one by one; a cache that the graph takes is empty."""

    def __init__(self, path: Path, ids: Sequence[Sequence[int]]) -> None:
        import onnx

        self._inputs = list(onnx.load(path, load_external_data=False).graph.input)
        self._rows: Iterator[Sequence[int]] = iter(ids)

    def get_next(self) -> dict[str, np.ndarray]:
        row = next(self._rows, None)
        return None if row is None else {one.name: _value(one, row) for one in self._inputs}  # type: ignore[return-value]


def _value(one: Any, row: Sequence[int]) -> np.ndarray:
    """What goes into an input of the graph when a row is read from its beginning."""
    match one.name:
        case "input_ids":
            return np.array([list(row)], np.int64)
        case "position_ids":
            return np.arange(len(row), dtype=np.int64)[None]
        case "attention_mask":
            return np.ones((1, len(row)), np.int64)
    sizes = [dim.dim_value for dim in one.type.tensor_type.shape.dim]
    return np.zeros([1, *sizes[1:]], np.float32)
