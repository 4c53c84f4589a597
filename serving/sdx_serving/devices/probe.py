"""What this machine is, in two seconds: processor, memory and its measured bandwidth, card or board, power mode, disk. Start at probe().

sdx probe
"""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from sdx_serving.closed import Closed
from sdx_serving.devices.boards import Board, Graphics, board, graphics, warnings
from sdx_serving.devices.device import Class, Device, Runtime, UnitName, device_called, devices
from sdx_serving.devices.hardware import Memory, Processor, Root, energy_j, largest_cache_bytes, memory, processor, readings
from sdx_serving.devices.speed import fp32_tflops, memory_gb_s


class Probe(Closed):
    """One machine as it is now."""

    id: str
    """ "this:<fingerprint>": the same hardware, limits and power mode give the same."""
    processor: Processor
    memory: Memory
    bandwidth_gb_s: float | None = None
    """Reading, all cores; None when it was not measured."""
    bandwidth_1_gb_s: float | None = None
    """Reading, one thread."""
    fp32_tflops: float | None = None
    cache_bytes: int = 0
    """Of the last cache."""
    graphics: tuple[Graphics, ...] = ()
    board: Board | None = None
    like: str = ""
    """Id of the device file that describes it; "" for a machine of no known kind."""
    disk_free_gb: float
    readings: Mapping[str, float] = {}
    energy_readable: bool = False
    warnings: tuple[str, ...] = ()


def probe(root: Path = Path("/"), measure: bool = True) -> Probe:
    """Look at this machine, or at one whose files lie below `root`; that one is not measured, and cards are not looked for.

    ValueError where the system tells nothing (no /proc/meminfo).
    """
    files = Root(root)
    cpu, ram = processor(files), memory(files)
    found, cards = board(files), graphics() if files.here else []
    like = _like(found, cards, ram.total_gb)
    told = warnings(found, like)
    if cpu.cores < cpu.cores_of_machine:
        told.append(f"{cpu.cores} of {cpu.cores_of_machine} cores may be used: a container's quota or affinity")
    cache_bytes = largest_cache_bytes(files)
    speeds = _speeds(cpu, ram, cache_bytes) if measure and files.here else {}
    if like and not cards and speeds and like.bandwidth_gb_s and speeds["bandwidth_gb_s"] < 0.3 * like.bandwidth_gb_s:
        told.append(
            f"memory reads {speeds['bandwidth_gb_s']:g} GB/s of {like.bandwidth_gb_s:g}: other work, a lower power mode or slow memory"
        )
    return Probe(
        id=f"this:{_fingerprint(cpu, ram, found, cards)}",
        processor=cpu,
        memory=ram,
        **speeds,
        cache_bytes=cache_bytes,
        graphics=tuple(cards),
        board=found,
        like=like.id if like else "",
        disk_free_gb=round(shutil.disk_usage(root).free / 1e9, 1),
        readings=readings(files),
        energy_readable=energy_j(files) is not None,
        warnings=tuple(told),
    )


def _like(found: Board | None, cards: list[Graphics], memory_gb: float) -> Device | None:
    """The device file that describes this board or card."""
    if found:
        return device_called(f"{found.model} {found.compatible} {found.power_mode}", memory_gb, devices())
    return device_called(cards[0].name, cards[0].memory_gb, devices()) if cards else None


def _speeds(cpu: Processor, ram: Memory, cache_bytes: int) -> dict[str, float]:
    free = ram.available_gb * 1e9
    one = memory_gb_s(1, cache_bytes, free)
    return {
        "bandwidth_1_gb_s": one,
        "bandwidth_gb_s": max(one, memory_gb_s(cpu.cores, cache_bytes, free)) if cpu.cores > 1 else one,
        "fp32_tflops": fp32_tflops(cpu.cores),
    }


def _fingerprint(cpu: Processor, ram: Memory, found: Board | None, cards: list[Graphics]) -> str:
    parts = [cpu.name, cpu.cores, *cpu.instruction_sets, round(ram.total_gb), *(card.name for card in cards)]
    parts += [found.model, found.power_mode, found.clocks_fixed] if found else []
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def device_of(seen: Probe) -> Device:
    """The machine as a device: what was measured wins over what its kind's file says."""
    like = devices().get(seen.like)
    cards = bool(seen.graphics)
    memory_gb = seen.graphics[0].memory_gb if cards else seen.memory.total_gb
    usable_gb = seen.graphics[0].free_gb if cards else seen.memory.available_gb
    # A processor cannot use all of the bandwidth that a board's or card's GPU has: there the vendor's figure stands.
    vendors = like is not None and any(runtime.unit in ("gpu", "igpu", "npu") for runtime in like.runtimes)
    bandwidth = like.bandwidth_gb_s if vendors and like else seen.bandwidth_gb_s
    measured = "measured by sdx probe"
    compute = like.model_dump()["compute"] if like else {}
    if seen.fp32_tflops:
        compute["cpu"] = {"fp32": seen.fp32_tflops}
    return Device.model_validate({
        "id": seen.id,
        "name": seen.board.model if seen.board else seen.graphics[0].name if cards else seen.processor.name,
        "kind": like.kind if like else _kind(seen),
        "memory_gb": memory_gb,
        "usable_gb": min(usable_gb, memory_gb),
        "bandwidth_gb_s": bandwidth,
        "bandwidth_1_gb_s": None if vendors else seen.bandwidth_1_gb_s,
        "cache_bytes": seen.cache_bytes,
        "cores": seen.processor.cores,
        "compute": compute,
        "runtimes": [runtime.model_dump() for runtime in (like.runtimes if like else _processor_runtimes(seen))],
        "refuses": [refused.model_dump() for refused in like.refuses] if like else [],
        "power_modes": [mode.model_dump() for mode in like.power_modes] if like else [],
        "watts": like.watts if like else None,
        "sources": {
            "memory_gb": measured,
            "usable_gb": "free when it was probed",
            "bandwidth_gb_s": f"{like.id}: {like.sources.get('bandwidth_gb_s', '')}" if vendors and like else measured,
            "compute": f"{like.id}: {like.sources.get('compute', '')}; cpu {measured}" if like else measured,
            **({"watts": f"{like.id}: {like.sources.get('watts', '')}"} if like else {}),
        },
    })  # fmt: skip


def _kind(seen: Probe) -> Class:
    if seen.graphics:
        return "pc-server" if seen.graphics[0].memory_gb > 30 else "pc"
    return "board" if seen.board or sys.platform != "linux" else "pc"


def _processor_runtimes(seen: Probe) -> tuple[Runtime, ...]:
    """Of a machine of no known kind: what its processor, or a card that no file describes, can run."""
    unit: UnitName = "gpu" if seen.graphics else "cpu"
    found = [Runtime(engine="llama.cpp", unit=unit, takes=("gguf",)), Runtime(engine="onnx", unit="cpu", takes=("onnx",))]
    if seen.graphics or "AVX-512" in seen.processor.instruction_sets:
        found.append(Runtime(engine="vllm", unit=unit, takes=("safetensors",), note="" if seen.graphics else "its CPU build"))
    return tuple(found)
