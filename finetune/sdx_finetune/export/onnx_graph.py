"""From a torch module to an ONNX graph, and from float32 to int8. Start at write_graph()."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def write_graph(
    module: "torch.nn.Module", given: tuple[Any, ...], path: Path, names: tuple[Sequence[str], Sequence[str]], shapes: dict[str, Any]
) -> None:
    """Trace `module` with the arguments `given` into one file. `names`: of inputs and outputs; `shapes`: which sizes vary."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            module, given, path, input_names=names[0], output_names=names[1], dynamic_shapes=shapes, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip


def quantise_dynamic(path: Path, kept: Sequence[int] = ()) -> None:
    """In place: int8 weights, activations quantised as they come. `kept`: shape (in, out) of the weights that stay float32."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    _fold_transposes(model.graph)
    shapes = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    spared = [node.name for node in model.graph.node if node.op_type == "MatMul" and shapes.get(node.input[1]) == list(kept)]
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)  # it advises a step that this graph does not need
    quantize_dynamic(
        model, path, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gather"], nodes_to_exclude=spared
    )
    logger.setLevel(before)


def _fold_transposes(graph: Any) -> None:
    """Weights that are turned in the graph, as an output layer that shares the embedding's, become weights of their own.

    Only what is a weight is quantised; and what two nodes share would be unpacked whole for each token.
    """
    from onnx import numpy_helper

    weights = {weight.name: weight for weight in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights]:
        turned = numpy_helper.to_array(weights[node.input[0]]).transpose(node.attribute[0].ints)
        graph.initializer.append(numpy_helper.from_array(turned.copy(), node.output[0]))
        graph.node.remove(node)
