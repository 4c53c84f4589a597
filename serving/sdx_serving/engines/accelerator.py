"""The NVIDIA GPU of this machine as engines need to know it: compute capability, memory, JetPack. Start at accelerator()."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

JETSONS = {"Nano": "5.3", "TX2": "6.2", "Xavier": "7.2", "Orin": "8.7", "Thor": "11.0"}
"""Compute capability by the family in a board's name (https://developer.nvidia.com/cuda-gpus); "Orin Nano" counts as Orin."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU."""

    name: str
    sm: str
    """Compute capability, e.g. "8.7"."""
    total_bytes: int
    free_bytes: int
    unified: bool
    """It shares the machine's memory, as on a Jetson: then the bytes are the machine's."""
    jetson: bool = False
    jetpack: str = ""
    """E.g. "7.2", or "L4T 36.4.3" where only that is told; "" when it is no Jetson."""


def accelerator(root: Path = Path("/")) -> Accelerator | None:
    """The first NVIDIA GPU, asked of `nvidia-smi`, else of the board's name; None where there is none.

    Args:
        root: of the file system with proc and etc.
    """
    row = _ask("nvidia-smi", "--query-gpu=name,compute_cap,memory.total,memory.free", "--format=csv,noheader,nounits").partition("\n")[0]
    cells = [cell.strip() for cell in row.split(",")] if row.count(",") == 3 else ["", "", "", ""]
    board = _read(root / "proc/device-tree/model").strip("\0\n ")
    name = board if "Jetson" in board or not cells[0] else cells[0]
    family = next((family for family in reversed(JETSONS) if family in name), "")
    sm = cells[1] if re.fullmatch(r"\d+\.\d+", cells[1]) else JETSONS.get(family, "")
    if not sm:
        return None
    if cells[2].isdigit() and cells[3].isdigit() and not family:
        return Accelerator(name, sm, int(cells[2]) << 20, int(cells[3]) << 20, unified=False)
    total, free = memory_bytes(root)
    return Accelerator(name, sm, total, free, unified=True, jetson=bool(family), jetpack=_jetpack(root) if family else "")


def memory_bytes(root: Path = Path("/")) -> tuple[int, int]:
    """(whole, available) memory of the machine; (0, 0) where it is not told."""
    found = dict(re.findall(r"(MemTotal|MemAvailable):\s+(\d+) kB", _read(root / "proc/meminfo")))
    return int(found.get("MemTotal", 0)) << 10, int(found.get("MemAvailable", 0)) << 10


def _jetpack(root: Path) -> str:
    if told := _ask("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack").strip():
        return re.split(r"[-+]", told)[0]
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", _read(root / "etc/nv_tegra_release"))
    return f"L4T {found[1]}.{found[2]}" if found else ""


def version_beside(executable: str, package: str) -> str:
    """Version of a Python package in the environment that an executable belongs to; "" when it is not told there."""
    prefix = Path(executable).resolve().parent.parent
    pattern = f"lib/python3*/site-packages/{package}-*.dist-info"
    found = [path.name.removesuffix(".dist-info").partition("-")[2] for path in prefix.glob(pattern)]
    return found[0] if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask(*command: str) -> str:
    """Output of a program; "" when it is not there or fails."""
    if not shutil.which(command[0]):
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10.0, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
