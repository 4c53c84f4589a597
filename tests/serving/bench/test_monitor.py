"""The watching process beside real processes that take memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


def watching(folder: Path, limit_mb: int | None = None) -> Errand[Watched]:
    watch = Watch(parent=os.getpid(), in_process=False, memory_limit_bytes=limit_mb and limit_mb * MB)
    monitor = Errand("monitor", watch, Watched, folder / "watch")
    monitor.await_ready()
    return monitor


def watched_alone(folder: Path, seconds: float, *holders: tuple[int, float]) -> Watched:
    """What is seen of holders whose parent has no other children: those that other tests keep here would be watched too."""
    command = [sys.executable, __file__, str(folder), str(seconds), *(str(value) for holder in holders for value in holder)]
    return Watched.model_validate_json(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_the_memory_of_all_processes_is_added_up(tmp_path: Path) -> None:
    watched = watched_alone(tmp_path, 1.5, (150, 60.0), (100, 60.0))
    assert len(watched.samples) >= 5
    assert 250 * MB < watched.samples[-1].rss_bytes < 350 * MB
    assert watched.peak_rss_bytes >= watched.samples[-1].rss_bytes
    assert not watched.over_limit
    times = [sample.at_s for sample in watched.samples]
    assert times == sorted(times)


def test_memory_that_was_given_back_is_in_the_peak(tmp_path: Path) -> None:
    watched = watched_alone(tmp_path, 1.0, (200, 0.0))
    assert watched.samples[-1].rss_bytes < 100 * MB
    assert watched.peak_rss_bytes > 200 * MB


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


def main(folder: str, seconds: str, *holders: str) -> None:
    with ExitStack() as stack:
        for megabytes, held_s in zip(holders[::2], holders[1::2], strict=True):
            stack.enter_context(holding(int(megabytes), float(held_s)))
        monitor = stack.enter_context(watching(Path(folder)))
        time.sleep(float(seconds))
        print(monitor.result().model_dump_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
