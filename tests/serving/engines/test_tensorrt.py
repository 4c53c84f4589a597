"""TensorRT-LLM and TensorRT Edge-LLM: their commands, and engines that belong to one machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_serving.engine import EngineError
from sdx_serving.engines.edge_llm import EdgeLlm
from sdx_serving.engines.engine_record import FILE
from sdx_serving.engines.process import ProcessEngine

Make = Callable[..., ProcessEngine]


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """As `trtllm-build` leaves an engine."""
    folder = tmp_path / "ship-engine"
    folder.mkdir()
    (folder / "rank0.engine").write_bytes(b"engine")
    config = {
        "version": "1.2.1",
        "pretrained_config": {"dtype": "bfloat16", "quantization": {"quant_algo": "FP8"}},
        "build_config": {"max_seq_len": 2048},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_is_served_by_pytorch_with_guided_decoding(fake: Make) -> None:
    command = list(fake("tensorrt-llm", parallel=8).command())
    assert after(command, "--backend") == "pytorch"
    assert (after(command, "--max_batch_size"), after(command, "--max_seq_len")) == ("8", "1024")
    assert after(command, "--tool_parser") == "qwen3"
    options = yaml.safe_load(Path(after(command, "--extra_llm_api_options")).read_text())
    assert options == {"guided_decoding_backend": "xgrammar"}


def test_a_compiled_engine_is_recorded_where_it_ran_and_refused_elsewhere(fake: Make, machine: Any, compiled: Path) -> None:
    with fake("tensorrt-llm", model=str(compiled)) as engine:
        assert after(list(engine.command()), "--backend") == "tensorrt"
    record = json.loads((compiled / FILE).read_text())
    assert (record["sm"], record["tensorrt"], record["max_tokens"], record["precision"]) == ("9.0", "1.2.1", 2048, "FP8")
    with fake("tensorrt-llm", model=str(compiled)):
        pass
    other = fake("tensorrt-llm", model=str(compiled))
    machine.gpu("NVIDIA RTX A6000, 8.6, 48000, 48000")
    with pytest.raises(EngineError, match=r"built for sm 9\.0, here 8\.6: build it again"):
        other.start()


def test_an_engine_of_another_version_or_too_short_is_refused(fake: Make, machine: Any, compiled: Path) -> None:
    engine = fake("tensorrt-llm", model=str(compiled), context_tokens=4096)
    assert "4096 tokens is asked, the engine was built for 2048" in str(engine.cannot())
    next(machine.home.glob("lib/*/*/tensorrt_llm*")).rename(machine.home / "lib/python3.11/site-packages/tensorrt_llm-1.3.0.dist-info")
    assert "built with TensorRT-LLM 1.2.1, here is 1.3.0" in str(engine.cannot())


def test_a_broken_record_asks_for_a_new_build(fake: Make, compiled: Path) -> None:
    engine = fake("tensorrt-llm", model=str(compiled))
    (compiled / FILE).write_text("{}")
    assert "build the engine again" in str(engine.cannot())


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("Orin (nvgpu), 8.7, [N/A], [N/A]", "use tensorrt-edge-llm"),
        ("NVIDIA H100 80GB HBM3, 9.0, 81559, 0", "GB free"),
        ("No devices were found", "no NVIDIA GPU"),
    ],
)
def test_a_machine_that_it_does_not_run_on_is_said(fake: Make, machine: Any, row: str, says: str) -> None:
    engine = fake("tensorrt-llm")
    machine.gpu(row)
    assert says in str(engine.cannot())


@pytest.mark.parametrize("name", ["tensorrt-llm", "tensorrt-edge-llm"])
def test_adapters_and_embeddings_are_refused_not_dropped(fake: Make, name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no LoRA adapters: merge"):
        fake(name, adapters={"ship": tmp_path}).start()
    with pytest.raises(EngineError, match="no embeddings"):
        fake(name, embeddings=True).start()


def test_on_a_jetson_the_engine_is_kept_under_all_that_it_depends_on(fake: Make, machine: Any, hf_folder: Path) -> None:
    machine.program("dpkg-query", "printf 7.2-b30")

    def cache(**asked: Any) -> str:
        return after(list(fake("tensorrt-edge-llm", **asked).command()), "--cache-dir")

    first = cache()
    assert cache() == first and Path(first).name.startswith("ship-4b-")
    assert cache(context_tokens=2048) != first
    machine.program("dpkg-query", "printf 7.3-b01")
    assert cache() != first
    machine.program("dpkg-query", "printf 7.2-b30")
    (hf_folder / "model.safetensors").write_bytes(b"\x03\0\0\0\0\0\0\0{ }")
    assert cache() != first


def test_an_engine_copied_from_another_jetson_is_refused(fake: Make) -> None:
    with fake("tensorrt-edge-llm") as engine:
        folder = Path(after(list(engine.command()), "--cache-dir"))
    record = json.loads((folder / FILE).read_text())
    assert record["sm"] == "8.7" and record["max_tokens"] == 1024 and record["precision"] == "bfloat16"
    (folder / FILE).write_text(json.dumps(record | {"sm": "11.0", "jetpack": "7.1"}))
    with pytest.raises(EngineError, match=r"built for sm 11\.0, here 8\.7; jetpack 7\.1, here none: build it again, engines cannot be"):
        fake("tensorrt-edge-llm").start()


def test_edge_llm_batches_only_where_it_is_asked(fake: Make) -> None:
    one, four = fake("tensorrt-edge-llm"), fake("tensorrt-edge-llm", parallel=4)
    assert not one.facts.parallel and "--enable-context-reuse" in one.command()
    assert four.facts.parallel and "--enable-in-flight-batching" in four.command()
    assert after(list(four.command()), "--max-batch-size") == "4"


def test_what_edge_llm_does_not_take_is_said(fake: Make, hf_folder: Path, compiled: Path, machine: Any) -> None:
    assert "give the Hugging Face folder" in str(fake("tensorrt-edge-llm", model=str(compiled)).cannot())
    assert "hf download Qwen/Qwen3-4B" in str(fake("tensorrt-edge-llm", model="Qwen/Qwen3-4B").cannot())
    config = json.loads((hf_folder / "config.json").read_text())
    (hf_folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_algo": "NVFP4"}}))
    assert "this checkpoint is NVFP4: quantise it to INT4" in str(fake("tensorrt-edge-llm").cannot())
    machine.engine("tensorrt-edgellm-serve", "tensorrt_edgellm", "0.11.0")
    packages = machine.home / "lib/python3.11/site-packages"
    (packages / "tensorrt_edgellm-0.11.0.dist-info").rename(packages / "tensorrt_edgellm-0.9.1.dist-info")
    assert "0.9.1 is installed, 0.11 or newer" in str(EdgeLlm.missing())
