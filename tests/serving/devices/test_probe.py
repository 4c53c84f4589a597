"""The probe on this machine, and on others whose files are planted below a folder."""

import os
import time
from pathlib import Path

import pytest

from sdx_serving.devices.boards import graphics
from sdx_serving.devices.hardware import Root, energy_j, memory, readings
from sdx_serving.devices.probe import Probe, device_of, probe

ARM = "".join(f"processor\t: {core}\nFeatures\t: fp asimd asimddp asimdhp i8mm\n\n" for core in range(8))
MEMINFO = "MemTotal:       {kb} kB\nMemFree:        1000 kB\nMemAvailable:   {free} kB\n"


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def jetson(root: Path, mode: int = 2) -> Path:
    return plant(root, {
        "proc/cpuinfo": ARM, "proc/meminfo": MEMINFO.format(kb=62_800_000, free=58_000_000),
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0", "proc/device-tree/compatible": "nvidia,p3737-0000\0nvidia,tegra234\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MODE_30W >\n",
        "var/lib/nvpmodel/status": f"pmode:{mode:04d}",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "729600", "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2201600",
        "sys/class/thermal/thermal_zone0/temp": "51250", "sys/class/thermal/thermal_zone1/temp": "48000",
        "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_label": "VDD_GPU_SOC",
        "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_input": "19000",
        "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr1_input": "500",
    })  # fmt: skip


def test_this_machine_is_probed_in_seconds() -> None:
    began = time.monotonic()
    seen = probe()
    assert time.monotonic() - began < 10.0  # two seconds when nothing else runs
    assert seen.processor.cores == len(os.sched_getaffinity(0)) or seen.warnings
    assert seen.bandwidth_gb_s is not None and 0.5 < seen.bandwidth_gb_s < 10_000
    assert seen.bandwidth_1_gb_s is not None and seen.bandwidth_1_gb_s <= seen.bandwidth_gb_s
    assert seen.fp32_tflops is not None and 0.001 < seen.fp32_tflops < 100
    assert probe(measure=False).id == seen.id
    device = device_of(seen)
    assert device.id == seen.id and device.runtime("llama.cpp") is not None and device.bandwidth_gb_s


def test_a_jetson_below_its_highest_mode_is_warned_of(tmp_path: Path) -> None:
    seen = probe(jetson(tmp_path))
    assert seen.like == "jetson-agx-orin-64" and seen.board is not None
    assert seen.board.power_mode == "MODE_30W" and seen.board.release == "R36 (release), REVISION: 4.3"
    assert any("not MAXN" in told and "nvpmodel" in told for told in seen.warnings)
    assert any("jetson_clocks" in told for told in seen.warnings)
    assert seen.readings == {"temperature_c": 51.2, "power_w:VDD_GPU_SOC": 9.5}
    device = device_of(seen)
    assert device.bandwidth_gb_s == 204.8 and device.sources["bandwidth_gb_s"].startswith("jetson-agx-orin-64")
    assert device.usable_gb == pytest.approx(59.4, abs=0.1)
    assert device.refusal("fp8") and device.mode(30)


def test_the_highest_mode_gives_another_fingerprint_and_no_warning_of_it(tmp_path: Path) -> None:
    low, high = probe(jetson(tmp_path / "low")), probe(jetson(tmp_path / "high", mode=0))
    assert low.id != high.id and not any("MAXN" in told for told in high.warnings)


@pytest.mark.parametrize(
    ("model", "compatible", "like"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b\0brcm,bcm2712", "raspberry-pi-5-8"),
        ("Radxa ROCK 5B", "radxa,rock-5b\0rockchip,rk3588", "rk3588-16"),
        ("Hardkernel ODROID-N2Plus", "hardkernel,odroid-n2-plus\0amlogic,g12b", "odroid-n2-4"),
        ("Some new board", "vendor,chip", ""),
    ],
)
def test_boards_are_known_by_their_device_tree(tmp_path: Path, model: str, compatible: str, like: str) -> None:
    files = {"proc/cpuinfo": ARM, "proc/meminfo": MEMINFO.format(kb=7_900_000, free=7_000_000)}
    seen = probe(plant(tmp_path, {**files, "proc/device-tree/model": model, "proc/device-tree/compatible": compatible}))
    assert seen.like == like and seen.processor.instruction_sets == ("NEON", "dot product", "I8MM", "FP16")
    assert seen.processor.cores == 8
    assert bool(seen.warnings) == (like == "")


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/memory.max": "4000000000", "sys/fs/cgroup/box/memory.current": "1000000000",
         "sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/box/cpu.max": "200000 100000"},
        {"proc/self/cgroup": "5:cpu,cpuacct:/box\n4:memory:/box\n", "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "4000000000",
         "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "1000000000", "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
         "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000", "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)},
    ],
    ids=["version 2", "version 1"],
)  # fmt: skip
def test_a_containers_limits_count(tmp_path: Path, files: dict[str, str]) -> None:
    seen = probe(plant(tmp_path, {"proc/cpuinfo": ARM, "proc/meminfo": MEMINFO.format(kb=16_000_000, free=15_000_000), **files}))
    assert (seen.memory.total_gb, seen.memory.limit_gb, seen.memory.available_gb) == (4.0, 4.0, 3.0)
    assert seen.processor.cores == 2 and any("2 of 8 cores" in told for told in seen.warnings)


def test_graphics_come_from_nvidia_smi_as_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "NVIDIA GeForce RTX 4090, 24564, 23028, 560.35.03, 8.9, 450.00"\necho "Orin (nvgpu), [N/A], [N/A], 540.4.0, 8.7, [N/A]"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (card,) = graphics()
    assert (card.name, card.compute, card.power_limit_w) == ("NVIDIA GeForce RTX 4090", "8.9", 450.0)
    assert card.memory_gb == pytest.approx(25.76, abs=0.01)
    device = device_of(probe(measure=False))
    assert device.bandwidth_gb_s == 1008 and device.usable_gb == pytest.approx(24.15, abs=0.01)
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML' >&2\nexit 9\n")
    assert graphics() == []


def test_energy_is_read_where_the_kernel_lets(tmp_path: Path) -> None:
    assert energy_j(Root(tmp_path)) is None
    plant(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "2500000\n", "sys/class/powercap/intel-rapl:1/energy_uj": "1500000\n"})
    assert energy_j(Root(tmp_path)) == 4.0
    assert readings(Root(tmp_path)) == {}


def test_a_machine_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no MemTotal"):
        memory(Root(tmp_path))


def test_what_a_probe_says_is_kept_whole_as_json() -> None:
    seen = probe(measure=False)
    assert Probe.model_validate_json(seen.model_dump_json()) == seen
