"""Which process is which: an id alone may belong to another process tomorrow, an id with its start does not."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def mark(pid: int) -> str:
    """What tells this process from a later one of the same id: boot and start. "" when it is gone, a zombie, or not to be seen."""
    if pid <= 0:
        return ""
    if sys.platform != "linux":
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        return "" if not shown or shown[0].startswith("Z") else " ".join(shown[1:])
    fields = _fields(pid)
    return "" if not fields or fields[0] in "ZX" else f"{_BOOT.read_text(encoding='ascii').strip()}:{fields[19]}"


def alive(pid: int, its_mark: str) -> bool:
    """That very process still runs."""
    return bool(its_mark) and mark(pid) == its_mark


def signal_group(pid: int, its_mark: str, number: signal.Signals) -> None:
    """Signal the whole group that this process leads; nothing when it is gone."""
    if alive(pid, its_mark):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


def others_in_group(leader: int) -> list[int]:
    """Living processes of a group besides its leader. Linux; elsewhere none are seen."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        fields = _fields(pid) if pid != leader else []
        if fields and fields[0] not in "ZX" and int(fields[2]) == leader:
            found.append(pid)
    return found


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on (the name before it may hold spaces and brackets); [] when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
