"""The watching process beside real processes that take memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sdx_serving.bench.errand import Errand
from sdx_serving.bench.monitor import Watch, Watched, is_asking, is_ours, throttle_count

MB = 1_000_000
HOLDER = "import sys, time; held = bytearray(int(sys.argv[1])); print('held', flush=True); time.sleep(float(sys.argv[2])); del held; time.sleep(60)"


@contextmanager
def holding(megabytes: int, seconds: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(megabytes * MB), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def held_already() -> int:
    """Bytes of children that earlier tests left to this process: they are watched too."""
    return sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))


def watching(folder: Path, limit_mb: int | None = None) -> Errand[Watched]:
    watch = Watch(parent=os.getpid(), in_process=False, memory_limit_bytes=limit_mb and limit_mb * MB)
    monitor = Errand("monitor", watch, Watched, folder / "watch")
    monitor.await_ready()
    return monitor


def test_the_memory_of_all_processes_is_added_up(tmp_path: Path) -> None:
    before = held_already()
    with holding(150), holding(100), watching(tmp_path) as monitor:
        time.sleep(1.5)
        watched = monitor.result()
    assert len(watched.samples) >= 5
    assert 250 * MB < watched.samples[-1].rss_bytes - before < 350 * MB
    assert watched.peak_rss_bytes >= watched.samples[-1].rss_bytes
    assert not watched.over_limit
    times = [sample.at_s for sample in watched.samples]
    assert times == sorted(times)


def test_memory_that_was_given_back_is_in_the_peak(tmp_path: Path) -> None:
    before = held_already()
    with holding(200, seconds=0.0), watching(tmp_path) as monitor:
        time.sleep(1.0)
        watched = monitor.result()
    assert watched.samples[-1].rss_bytes - before < 100 * MB
    assert watched.peak_rss_bytes - before > 200 * MB


def test_who_holds_more_than_allowed_is_killed(tmp_path: Path) -> None:
    with holding(200) as process, watching(tmp_path, limit_mb=100) as monitor:
        assert process.wait(10) == -9
        watched = monitor.result()
    assert watched.over_limit
    assert watched.peak_rss_bytes > 200 * MB


def test_work_of_other_processes_is_told_apart_from_ours(tmp_path: Path) -> None:
    spin = "import time\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as ours, watching(tmp_path) as monitor:
        began_s, busy_s = time.monotonic(), psutil.Process(ours.pid).cpu_times().user
        time.sleep(2.0)
        share = (psutil.Process(ours.pid).cpu_times().user - busy_s) / (time.monotonic() - began_s)
        watched = monitor.result()
        ours.kill()
    assert share > 0.05
    assert 0.0 <= watched.others_cores <= (os.cpu_count() or 1) - 0.8 * share, "what our own child spins is not others' work"


@pytest.mark.parametrize(
    ("command", "ours", "asking"),
    [
        (["python", "-m", "sdx_serving.bench.load", "a", "b"], True, True),
        (["python", "-m", "sdx_serving.bench.monitor", "a", "b"], True, False),
        (["python", "-m", "sdx_serving.llama.server", "--model", "a.gguf"], False, False),
        (["llama-server", "-m", "a.gguf"], False, False),
    ],
)
def test_whose_process_it_is(command: list[str], ours: bool, asking: bool) -> None:
    assert (is_ours(command), is_asking(command)) == (ours, asking)


def test_events_that_held_the_machine_back_are_counted(tmp_path: Path) -> None:
    for number in (0, 1):
        heat = tmp_path / f"sys/devices/system/cpu/cpu{number}/thermal_throttle"
        heat.mkdir(parents=True)
        (heat / "core_throttle_count").write_text("3\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.stat").write_text("usage_usec 5\nnr_periods 9\nnr_throttled 4\n")
    assert throttle_count(tmp_path) == 10
    assert throttle_count(tmp_path / "nothing") == 0
