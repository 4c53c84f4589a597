"""Device files: closed, sourced, one for each class, and the user's own beside them."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from sdx_serving.devices.device import Class, Device, device_called, devices, find_device, read_device

OWN = {
    "id": "boat-7", "name": "the boat's computer", "kind": "board", "memory_gb": 8, "usable_gb": 6, "bandwidth_gb_s": 20,
    "runtimes": [{"engine": "llama.cpp", "unit": "cpu", "takes": ["gguf"]}],
    "sources": {"memory_gb": "label", "usable_gb": "free", "bandwidth_gb_s": "sdx probe"},
}  # fmt: skip


def written(folder: Path, **changes: object) -> Path:
    path = folder / "boat.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changes}), encoding="utf-8")
    return path


def test_every_class_has_a_device_whose_file_has_its_name() -> None:
    known = devices(Path("/nowhere"))
    assert {device.kind for device in known.values()} == set(get_args(Class))
    assert all(device.bandwidth_gb_s and device.runtimes for device in known.values())
    assert {
        "jetson-agx-orin-64",
        "jetson-agx-xavier-32",
        "jetson-orin-nx-16",
        "jetson-nano-4",
        "galaxy-s22",
        "odroid-n2-4",
        "rk3588-16",
    } <= set(known)


def test_a_new_device_is_a_file_and_wins_over_one_that_ships(tmp_path: Path) -> None:
    written(tmp_path, id="rtx-3090", memory_gb=12, usable_gb=11)
    assert find_device("rtx-3090", tmp_path).memory_gb == 12
    assert find_device(str(written(tmp_path))).id == "boat-7"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"usable_gb": 9}, "usable_gb 9.0 is more than memory_gb 8.0"),
        ({"sources": {"memory_gb": "label"}}, "nothing says where bandwidth_gb_s, usable_gb is from"),
        ({"bandwith_gb_s": 3}, "bandwith_gb_s"),
        ({"kind": "toaster"}, "kind"),
        ({"id": "Boat 7"}, "id"),
    ],
)
def test_a_wrong_file_is_refused_with_its_field(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ValueError, match="boat.yaml") as caught:
        read_device(path)
    assert told in str(caught.value)


def test_an_unknown_device_gets_suggestions() -> None:
    with pytest.raises(ValueError, match="did you mean jetson-orin-nano-8"):
        find_device("jetson-orin-nanoo")


def test_a_power_budget_picks_the_fastest_mode_within_it() -> None:
    orin = find_device("jetson-agx-orin-64")
    mode = orin.mode(35)
    assert mode is not None and mode.name == "30W" and mode.speed < 1
    assert orin.mode(None) is None
    with pytest.raises(ValueError, match="no power mode within 5 W: the least is 15 W"):
        orin.mode(5)


@pytest.mark.parametrize(
    ("told", "memory_gb", "expected"),
    [
        ("NVIDIA GeForce RTX 3090", 25.8, "rtx-3090"),
        ("NVIDIA GeForce RTX 3090 Ti", 25.8, None),
        ("NVIDIA H100 80GB HBM3", 85.5, "h100-sxm-80"),
        ("NVIDIA H100 PCIe", 85.5, "h100-pcie-80"),
        ("NVIDIA A100-SXM4-80GB", 85.9, "a100-sxm-80"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 65.9, "jetson-agx-orin-64"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 31.2, "jetson-agx-orin-32"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super MAXN_SUPER", 7.9, "jetson-orin-nano-8-super"),
        ("Toaster 3000", 1.0, None),
    ],
)
def test_machines_are_known_by_what_they_call_themselves(told: str, memory_gb: float, expected: str | None) -> None:
    found: Device | None = device_called(told, memory_gb, devices(Path("/nowhere")))
    assert (found.id if found else None) == expected
