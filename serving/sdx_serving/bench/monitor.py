"""The watching process: memory, energy and what else the machine does, sampled from outside of server and client.

    python -m sdx_serving.bench.monitor JOB.json OUT.json

Says "ready" when it watches, and ends on SIGTERM with all samples in OUT.json. When the measured processes hold more memory than they may, it kills them.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from sdx_serving.bench.energy import energy_meter
from sdx_serving.bench.errand import READY
from sdx_serving.closed import Closed
from sdx_serving.tether import tie_to_parent

PERIOD_S = 0.05
LOOK_EVERY = 5
"""Samples between two looks for new processes, which costs more than reading those that are known."""


class Watch(Closed):
    """Whom to watch: descendants of `parent`."""

    parent: int
    in_process: bool
    """The asking process runs the model itself and is what is measured; else it and its like are left out."""
    memory_limit_bytes: int | None = None
    cores: tuple[int, ...] = ()


class Sample(Closed):
    """At one moment."""

    at_s: float
    """By the monotonic clock."""
    rss_bytes: int
    """Of all measured processes."""
    joules: float | None
    """Since the beginning."""


class Watched(Closed):
    """What was seen."""

    samples: tuple[Sample, ...]
    peak_rss_bytes: int
    """The largest sum, or one process's own high-water mark where that is larger."""
    others_cores: float
    """Cores kept busy on average by processes that are not this measurement's."""
    stolen_cores: float
    """Taken by other machines on the same host, on average."""
    throttled: int
    """How often the processor or the container's limit held the machine back."""
    load: tuple[float, float]
    """Load average of a minute, at the beginning and the end."""
    over_limit: bool = False


def is_ours(command: list[str]) -> bool:
    """Is it a process of the measurement itself?"""
    return any(part.startswith("sdx_serving.bench.") for part in command)


def is_asking(command: list[str]) -> bool:
    return "sdx_serving.bench.load" in command


class Group:
    """The measured processes as they come and go, and the highest that each has held."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._parent = watch, psutil.Process(watch.parent)
        self._begetter = self._parent.cmdline()
        self.members: dict[int, psutil.Process] = {}
        self.peak_one_bytes = 0

    def look(self) -> None:
        """Find who is there now. A process that was just born still carries its parent's command line, and is passed over."""
        self.members.clear()
        for process in self._parent.children(recursive=True):
            with suppress(psutil.Error):
                command = process.cmdline()
                if command == self._begetter or not command:
                    continue
                if is_asking(command) if self._watch.in_process else not is_ours(command):
                    self.members[process.pid] = process

    def rss_bytes(self) -> int:
        """Of all of them now."""
        total = 0
        for pid, process in self.members.items():
            with suppress(psutil.Error):
                total += process.memory_info().rss
                self.peak_one_bytes = max(self.peak_one_bytes, _high_water_bytes(pid))
        return total

    def kill(self) -> None:
        for process in self.members.values():
            with suppress(psutil.Error):
                process.kill()


def _high_water_bytes(pid: int) -> int:
    """The most that a process has held, between samples too; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    line = next((line for line in text.splitlines() if line.startswith("VmHWM:")), "")
    return int(line.split()[1]) * 1024 if line else 0


def _busy_s() -> tuple[float, float]:
    """CPU seconds of all cores since boot that were spent by processes here, and that other machines took."""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    return busy, getattr(times, "steal", 0.0)


def _own_s(parent: int) -> float:
    """CPU seconds of the measurement's own processes, those that have ended included."""
    total = 0.0
    root = psutil.Process(parent)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def throttle_count(root: Path = Path("/")) -> int:
    """Events counted by the processor (heat) and by this process's container (CPU quota)."""
    heat = [path for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")]
    quota = [root / "sys/fs/cgroup/cpu.stat", root / "sys/fs/cgroup/cpu/cpu.stat"]
    count = 0
    for path in [*heat, *quota]:
        with suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8")
            found = text if path in heat else next((line.split()[1] for line in text.splitlines() if line.startswith("nr_throttled ")), "0")
            count += int(found)
    return count


def watch_until(watch: Watch, ended: list[int]) -> Watched:
    """Sample until `ended` is not empty, or the memory limit is passed."""
    joules, group = energy_meter(), Group(watch)
    samples: list[Sample] = []
    began_s, load, own_s, (busy_s, stolen_s), throttled = (
        time.monotonic(),
        os.getloadavg()[0],
        _own_s(watch.parent),
        _busy_s(),
        throttle_count(),
    )
    over = False
    while not ended and not over:
        if len(samples) % LOOK_EVERY == 0:
            group.look()
        now_s = time.monotonic()
        samples.append(Sample(at_s=now_s, rss_bytes=group.rss_bytes(), joules=joules() if joules else None))
        if len(samples) == 1:
            print(READY, flush=True)
        over = watch.memory_limit_bytes is not None and samples[-1].rss_bytes > watch.memory_limit_bytes
        time.sleep(max(0.0, now_s + PERIOD_S - time.monotonic()))
    if over:
        group.kill()
    seconds = max(time.monotonic() - began_s, PERIOD_S)
    busy_now_s, stolen_now_s = _busy_s()
    return Watched(
        samples=tuple(samples),
        peak_rss_bytes=max([sample.rss_bytes for sample in samples] + [group.peak_one_bytes]),
        others_cores=max(0.0, (busy_now_s - busy_s - (_own_s(watch.parent) - own_s)) / seconds),
        stolen_cores=max(0.0, (stolen_now_s - stolen_s) / seconds),
        throttled=throttle_count() - throttled,
        load=(load, os.getloadavg()[0]),
        over_limit=over,
    )


def main(argv: list[str]) -> int:
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    source, target = map(Path, argv)
    watch = Watch.model_validate_json(source.read_text(encoding="utf-8"))
    tie_to_parent(watch.parent)
    if watch.cores:
        with suppress(OSError):
            os.sched_setaffinity(0, watch.cores)
    watched = watch_until(watch, ended)
    partial = target.with_suffix(".partial")
    partial.write_text(watched.model_dump_json(), encoding="utf-8")
    partial.replace(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
