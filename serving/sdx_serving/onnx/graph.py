"""One ONNX graph, opened by ONNX Runtime on the hardware that was asked for. Start at open_graph()."""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from sdx_serving.onnx.folder import ModelError
from sdx_serving.weights import sha256_of

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "cpu": (),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "coreml": ("CoreMLExecutionProvider",),
    "qnn": ("QNNExecutionProvider",),
    "openvino": ("OpenVINOExecutionProvider",),
    "directml": ("DmlExecutionProvider",),
}
"""Execution providers by the name of their flag, in the order in which they take nodes; the CPU takes the rest."""
WHEELS: Mapping[str, str] = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "qnn": "onnxruntime-qnn",
    "openvino": "onnxruntime-openvino",
    "directml": "onnxruntime-directml",
}
"""The build of ONNX Runtime that brings a provider; each replaces the package `onnxruntime`."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where a graph runs. `options` are the provider's own, e.g. {"backend_path": "libQnnHtp.so"} for qnn."""

    provider: str = "cpu"
    threads: int = 1
    options: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """An open graph. `inputs` and `outputs`: by name, their type ("tensor(float)") and shape (int, or a name where it varies)."""

    session: onnxruntime.InferenceSession
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    sha256: str
    """Of model.onnx; where weights lie in files beside it, of all of them in order of name."""
    size_bytes: int
    scales_together: bool
    """Activations are quantised by one scale for all of an input (dynamic int8), so that rows of a batch change each other."""


def open_graph(path: Path, hardware: Hardware) -> Graph:
    """Raises ModelError for a broken file and for hardware that is not there."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = hardware.threads, 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # a plan is kept for each shape, and a cache has another shape after each token
    wanted = _providers(hardware)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=wanted)
    except Exception as error:  # its own classes, of which it promises none
        raise ModelError(f"{path} is no graph that ONNX Runtime {onnxruntime.__version__} runs: {str(error).splitlines()[0]}") from error
    if wanted and wanted[0][0] not in session.get_providers():
        raise ModelError(f"{wanted[0][0]} is installed but does not start here (driver, library?): see the lines above, or use cpu")
    weights = [path, *sorted(file for pattern in ("*.onnx_data*", "*.onnx.data*") for file in path.parent.glob(pattern))]
    return Graph(
        session,
        {node.name: node for node in session.get_inputs()},
        {node.name: node for node in session.get_outputs()},
        sha256_of(*weights),
        sum(file.stat().st_size for file in weights),
        _mentions(path, b"DynamicQuantizeLinear"),
    )


def _providers(hardware: Hardware) -> list[tuple[str, dict[str, str]]]:
    if hardware.provider not in PROVIDERS:
        raise ModelError(f"no provider {hardware.provider!r}: known are {', '.join(PROVIDERS)}")
    there = onnxruntime.get_available_providers()
    names = PROVIDERS[hardware.provider]
    if absent := [name for name in names if name not in there]:
        hint = f": type `pip install {WHEELS[hardware.provider]}` in place of onnxruntime" if hardware.provider in WHEELS else ""
        raise ModelError(f"{hardware.provider}: this ONNX Runtime has {', '.join(there)}, but no {absent[0]}{hint}")
    chosen = [(name, dict(hardware.options or {}) if index == 0 else {}) for index, name in enumerate(names)]
    return [*chosen, ("CPUExecutionProvider", {})]


def _mentions(path: Path, word: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(word) >= 0
