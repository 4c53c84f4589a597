"""What the kernel tells of a Linux machine: processor, memory, limits of its container, readings. Reads below any root folder.

Start at processor(), memory(), readings().
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdx_serving.closed import Closed

_SETS = {
    "avx2": "AVX2", "fma": "FMA", "avx512f": "AVX-512", "avx512_vnni": "AVX-512 VNNI", "avx512_bf16": "AVX-512 BF16", "avx_vnni": "AVX-VNNI",
    "amx_tile": "AMX", "amx_int8": "AMX INT8", "amx_bf16": "AMX BF16", "asimd": "NEON", "neon": "NEON", "asimddp": "dot product",
    "i8mm": "I8MM", "bf16": "BF16", "asimdhp": "FP16", "sve": "SVE", "sve2": "SVE2", "sme": "SME", "rvv": "RVV",
}  # fmt: skip
"""Flags of /proc/cpuinfo that a model's kernels make use of, and their names."""
_NO_LIMIT = 1 << 60
"""Control groups write a number near 2**63 for none."""


class Processor(Closed):
    """What computes."""

    name: str
    cores: int
    """That this process may use: affinity and the container's quota."""
    cores_of_machine: int
    instruction_sets: tuple[str, ...]


class Memory(Closed):
    """Bytes as 1e9."""

    total_gb: float
    available_gb: float
    """Free now, or freed at once; within the container's limit."""
    limit_gb: float | None = None
    """Of the container."""


@dataclass(frozen=True, slots=True)
class Root:
    """The files of a machine: "/", or a folder that holds another machine's."""

    path: Path = Path("/")

    @property
    def here(self) -> bool:
        return self.path == Path("/")

    def text(self, name: str) -> str:
        """The file's text without trailing zeros and blanks; "" when it is not there or not readable."""
        try:
            return (self.path / name.lstrip("/")).read_bytes().decode("utf-8", "replace").strip(" \0\n\t")
        except OSError:
            return ""

    def number(self, name: str) -> float | None:
        try:
            return float(self.text(name))
        except ValueError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        return sorted(self.path.glob(pattern.lstrip("/")))

    def inner(self, path: Path) -> str:
        return str(path.relative_to(self.path))


def processor(root: Root) -> Processor:
    """Name, cores and instruction sets."""
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in root.text("proc/cpuinfo").splitlines())]
    counted = sum(key == "processor" for key, _ in lines) or 1
    flags = next((value.split() for key, value in lines if key in ("flags", "Features")), [])
    name = next((value for key, value in lines if key in ("model name", "Model")), "") or root.text("proc/device-tree/model") or "unknown"
    allowed = len(os.sched_getaffinity(0)) if root.here and hasattr(os, "sched_getaffinity") else counted
    quota = _cpu_quota(root)
    cores = max(1, min(allowed, int(quota) if quota else allowed))
    sets = tuple(dict.fromkeys(_SETS[flag] for flag in _SETS if flag in flags))
    return Processor(name=name, cores=cores, cores_of_machine=counted, instruction_sets=sets)


def memory(root: Root) -> Memory:
    """Total, available and the container's limit. ValueError where /proc/meminfo says nothing."""
    kilobytes = {
        key: float(value.split()[0]) for key, _, value in (line.partition(":") for line in root.text("proc/meminfo").splitlines()) if value
    }
    if "MemTotal" not in kilobytes:
        raise ValueError(f"{root.path}/proc/meminfo tells no MemTotal: probing needs Linux")
    total = kilobytes["MemTotal"] * 1024
    available = kilobytes.get("MemAvailable", kilobytes.get("MemFree", 0.0)) * 1024
    limit, used = _memory_limit(root)
    if limit is not None:
        total, available = min(total, limit), min(available, max(0.0, limit - used))
    return Memory(total_gb=_gb(total), available_gb=_gb(available), limit_gb=_gb(limit) if limit is not None else None)


def largest_cache_bytes(root: Root) -> int:
    """Of one core's last level; 0 when it is not told."""
    sizes = [root.text(root.inner(path)) for path in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size")]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return max((int(size[:-1]) * units.get(size[-1], 1) for size in sizes if re.fullmatch(r"\d+[KMG]", size)), default=0)


def readings(root: Root) -> Mapping[str, float]:
    """What sensors say now: "temperature_c" (the hottest zone) and "power_w:<rail>" of INA power monitors."""
    found: dict[str, float] = {}
    zones = [value for path in root.glob("sys/class/thermal/thermal_zone*/temp") if (value := root.number(root.inner(path))) is not None]
    if zones:
        found["temperature_c"] = round(max(zones) / 1000, 1)
    for label in root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label"):
        rail = re.fullmatch(r"in(\d+)_label", label.name)
        millivolts = root.number(root.inner(label.with_name(f"in{rail[1]}_input"))) if rail else None
        milliamperes = root.number(root.inner(label.with_name(f"curr{rail[1]}_input"))) if rail else None
        if millivolts is not None and milliamperes is not None:
            found[f"power_w:{root.text(root.inner(label))}"] = round(millivolts * milliamperes / 1e6, 2)
    return found


def energy_j(root: Root) -> float | None:
    """Counted by the processor's packages (RAPL) since they started; None where it cannot be read."""
    counters = [root.number(root.inner(path)) for path in root.glob("sys/class/powercap/intel-rapl:?/energy_uj")]
    known = [value for value in counters if value is not None]
    return sum(known) / 1e6 if known else None


def _cpu_quota(root: Root) -> float | None:
    """Cores that the container may use; None without a limit."""
    for folder in _groups(root, "cpu"):
        words = root.text(f"{folder}/cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            return max(1.0, float(words[0]) / float(words[1]))
        quota, period = root.number(f"{folder}/cpu.cfs_quota_us"), root.number(f"{folder}/cpu.cfs_period_us")
        if quota and period and quota > 0:
            return max(1.0, quota / period)
    return None


def _memory_limit(root: Root) -> tuple[float | None, float]:
    """The smallest limit on the way up, and what is used within it."""
    found: list[tuple[float, float]] = []
    for folder in _groups(root, "memory"):
        for limit_name, used_name in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limit = root.number(f"{folder}/{limit_name}")
            if limit is not None and limit < _NO_LIMIT:
                cached = re.search(r"^inactive_file (\d+)", root.text(f"{folder}/memory.stat"), re.MULTILINE)
                used = (root.number(f"{folder}/{used_name}") or 0.0) - (float(cached[1]) if cached else 0.0)
                found.append((limit, max(0.0, used)))
    return min(found, default=(None, 0.0), key=lambda pair: pair[0] if pair[0] is not None else 0.0)


def _groups(root: Root, controller: str) -> list[str]:
    """Folders of the control groups of this process, from its own up to the top, both versions."""
    found: list[str] = []
    for line in root.text("proc/self/cgroup").splitlines() or ["0::/"]:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "?", "/")
        if controllers and controller not in controllers.split(","):
            continue
        base = f"sys/fs/cgroup/{controller}" if controllers else "sys/fs/cgroup"
        parts = [part for part in path.split("/") if part and part != ".."]
        found += ["/".join([base, *parts[:count]]) for count in range(len(parts), -1, -1)]
    return found


def _gb(count: float) -> float:
    return round(count / 1e9, 3)
