"""What this machine has and lacks: Python, compiler, disk, ports. Standard library only.

Shared by the installer (before any package is there), `sdx up` and `sdx doctor`. Every check says in one line
what was found and, where something is missing, what to do. Must stay readable to old Pythons, so that they
can be told they are old.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OLDEST_PYTHON = (3, 11)
INSTALL_GB = 4.0
"""Free disk an installation wants: packages, build folder of the model engine."""
RUN_GB = 0.3
"""Free disk a run wants: logs, audit, checkpoints."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    ok: bool
    found: str
    todo: str = ""

    def line(self) -> str:
        """ "disk: 1.2 GB free at /x; free 4.0 GB" """
        return f"{self.name}: {self.found}" + (f"; {self.todo}" if not self.ok else "")


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    found = ".".join(str(part) for part in version)
    wanted = ".".join(str(part) for part in OLDEST_PYTHON)
    return Check(
        "python", version[:2] >= OLDEST_PYTHON, found, f"install Python {wanted} or newer, then `make run PYTHON=/path/to/python{wanted}`"
    )


def venv() -> Check:
    """Debian splits ensurepip off: a venv made without it has no pip."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return Check("venv", False, f"no module {error.name}", f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return Check("venv", True, "ready")


def program(*names: str, package: str) -> Check:
    """The first of `names` on the PATH."""
    for name in names:
        path = shutil.which(name)
        if path:
            return Check(names[0], True, path)
    return Check(names[0], False, "not found on the PATH", f"apt-get install {package} (or your system's equivalent)")


def compiler() -> Check:
    """A C++ compiler: CXX, c++, g++ or clang++."""
    found = program(*([os.environ["CXX"]] if os.environ.get("CXX") else []), "c++", "g++", "clang++", package="g++")
    return Check("C++ compiler", found.ok, found.found, found.todo)


def make() -> Check:
    return program("make", "gmake", package="make")


def git() -> Check:
    return program("git", package="git")


def disk(folder: Path, need_gb: float) -> Check:
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Check("disk", free_gb >= need_gb, f"{free_gb:.1f} GB free at {folder}", f"{need_gb:g} GB are needed: free some space")


def port(number: int, host: str = "127.0.0.1") -> Check:
    """Is the TCP port free to listen on?"""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            return Check(
                "port", False, f"{number} is taken ({error.strerror})", f"stop what listens there, or choose another: --port {number + 1}"
            )
    return Check("port", True, f"{number} is free")


def cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", count >= 2, str(count), "two are recommended: decisions will be slow")


def cpu_key() -> str:
    """Names the instruction sets of this CPU: a wheel compiled for other ones may not run here."""
    flags = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), flags)
    except OSError:
        pass  # not Linux: the processor's name must do
    words = " ".join(sorted(flags.partition(":")[2].split() or [flags]))
    return hashlib.sha256(f"{platform.machine()} {words}".encode()).hexdigest()[:16]


def compiler_takes(flag: str) -> bool:
    """Does the C++ compiler know this flag?"""
    found = compiler()
    if not found.ok:
        return False
    command = [found.found, flag, "-x", "c++", "-E", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
