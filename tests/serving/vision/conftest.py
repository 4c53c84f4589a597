"""An encoder small enough to write down, beside the tiny decoder of the other engines' tests."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPE = (2, 1, 16, 16)
LABELS, TOKENS, WIDTH = ("nodule", "effusion", "mass"), 4, 256
"""WIDTH is that of the tiny decoder."""


def write_encoder(path: Path, seed: int = 0, width: int = WIDTH, labels: tuple[str, ...] = LABELS) -> None:
    """Random linear maps of the flattened slabs."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper, kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    rng, size, count = np.random.default_rng(seed), int(np.prod(SHAPE)), len(LABELS)
    weights: list[Any] = []

    def weight(name: str, array: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(array, name))
        return name

    def linear(name: str, wide: int) -> str:
        return weight(name, rng.normal(0, 1 / np.sqrt(size), (size, wide)).astype(np.float32))

    nodes = [
        helper.make_node("Cast", ["slabs"], ["float"], to=kinds.FLOAT),
        helper.make_node("Div", ["float", weight("full", np.array(255, np.float32))], ["scaled"]),
        helper.make_node("Reshape", ["scaled", weight("flat", np.array([1, size]))], ["row"]),
        helper.make_node("MatMul", ["row", linear("to_labels", count)], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
        helper.make_node("MatMul", ["row", linear("to_maps", count * 2 * 2 * 2)], ["map_row"]),
        helper.make_node("Sigmoid", ["map_row"], ["map_scaled"]),
        helper.make_node("Reshape", ["map_scaled", weight("map_shape", np.array([1, count, 2, 2, 2]))], ["maps"]),
        helper.make_node("MatMul", ["row", linear("to_tokens", TOKENS * width)], ["token_row"]),
        helper.make_node("Reshape", ["token_row", weight("token_shape", np.array([1, TOKENS, width]))], ["tokens"]),
        helper.make_node("ReduceMean", ["row"], ["unlike_training"], axes=[1], keepdims=0),
    ]
    outputs = {"probability": [1, count], "maps": [1, count, 2, 2, 2], "tokens": [1, TOKENS, width], "unlike_training": [1]}
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("slabs", kinds.UINT8, [1, *SHAPE])],
        [helper.make_tensor_value_info(name, kinds.FLOAT, shape) for name, shape in outputs.items()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"labels": json.dumps(labels)})
    onnx.save(model, path)


@pytest.fixture(scope="session")
def volume() -> Callable[[int], np.ndarray]:
    """Slabs drawn from a seed."""
    return lambda seed: np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture(scope="session")
def encoder_file() -> Callable[..., None]:
    return write_encoder


@pytest.fixture(scope="session")
def reader_folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("llama_cpp")
    folder = tmp_path_factory.mktemp("reader") / "tiny-reader"
    folder.mkdir()
    write_encoder(folder / "encoder.onnx")
    shutil.copy(tiny_model, folder / "decoder.gguf")
    return folder


@pytest.fixture(scope="module")
def vision_engine(reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running engine that keeps two volumes."""
    from sdx_serving.engine import Serving
    from sdx_serving.engines.vision import Vision

    asked = Serving(str(reader_folder), flags=("--keep", "2"))
    with Vision(asked, log=tmp_path_factory.mktemp("log") / "engine.log") as running:
        yield running
