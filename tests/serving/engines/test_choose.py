"""The right engine for a model on this machine, or every reason why there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.choose import ENGINES, engine_for
from sdx_serving.engines.process import ProcessEngine

Make = Callable[..., ProcessEngine]


def test_every_engine_is_known_by_its_own_name() -> None:
    assert set(ENGINES) == {"llama.cpp", "vllm", "tensorrt-llm", "tensorrt-edge-llm", "onnx", "vision"}
    assert all(engine.name == name for name, engine in ENGINES.items())


def test_a_gguf_file_is_served_by_llama_cpp(tiny_model: Path) -> None:
    pytest.importorskip("llama_cpp")
    engine = engine_for(Serving(str(tiny_model)), port=8123)
    assert (engine.name, engine.base_url) == ("llama.cpp", "http://127.0.0.1:8123/v1")


def test_an_address_is_served_elsewhere() -> None:
    engine = engine_for(Serving("http://127.0.0.1:9/v1", name="big"))
    assert (engine.name, engine.serving.alias, engine.pid) == ("remote", "big", None)


def test_what_is_installed_and_can_is_taken(fake: Make, hf_folder: Path) -> None:
    fake("vllm")
    fake("tensorrt-llm")
    assert engine_for(Serving(str(hf_folder))).name == "vllm"
    assert engine_for(Serving(str(hf_folder)), "tensorrt-llm").name == "tensorrt-llm"
    fake("tensorrt-edge-llm")
    assert engine_for(Serving(str(hf_folder))).name == "tensorrt-edge-llm"
    assert engine_for(Serving(str(hf_folder), embeddings=True)).name == "vllm"


def test_none_that_can_is_said_engine_by_engine(machine: Any, hf_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.home / "bin"))
    with pytest.raises(EngineError) as refused:
        engine_for(Serving(str(hf_folder)))
    lines = dict(line.strip().split(": ", 1) for line in str(refused.value).splitlines()[1:])
    assert set(lines) == set(ENGINES)
    assert "it takes gguf, this model is safetensors" in lines["llama.cpp"]
    assert "pip install vllm" in lines["vllm"] and "SDX_TRTLLM" in lines["tensorrt-llm"]


def test_a_name_that_is_no_engine_gets_the_nearest(tiny_model: Path) -> None:
    with pytest.raises(EngineError, match="did you mean 'vllm'"):
        engine_for(Serving(str(tiny_model)), "vlm")
    with pytest.raises(EngineError, match="known: auto, llama.cpp"):
        engine_for(Serving(str(tiny_model)), "zzz")


def test_the_named_engine_says_why_it_does_not_take_the_model(tiny_model: Path) -> None:
    with pytest.raises(EngineError, match="vllm: it takes safetensors, this model is gguf"):
        engine_for(Serving(str(tiny_model)), "vllm")
