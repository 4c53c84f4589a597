"""Processes that die, hang, refuse to end, or never come up."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sdx_serving.engine import EngineError
from sdx_serving.supervise import Supervised

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def until(true: Callable[[], object], within_s: float = 5.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)


def test_a_process_that_dies_is_started_again_and_stop_ends_it(tmp_path: Path) -> None:
    process = Supervised(SLEEP, lambda: True, tmp_path / "log")
    process.start(10.0)
    first = process.pid
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: process.pid not in (None, first))
    assert process.restarts == 1
    last = process.pid
    process.stop()
    assert last is not None
    assert not psutil.pid_exists(last)
    assert process.pid is None
    process.stop()


def test_a_process_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    well = True
    process = Supervised(SLEEP, lambda: well, tmp_path / "log", hang_s=0.5)
    process.start(10.0)
    first = process.pid
    well = False
    until(lambda: process.restarts >= 1)
    well = True
    until(lambda: process.pid not in (None, first))
    process.stop()


def test_a_health_question_that_raises_counts_as_not_healthy(tmp_path: Path) -> None:
    answers = iter([ZeroDivisionError(), True])

    def healthy() -> bool:
        answer = next(answers, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    process = Supervised(SLEEP, healthy, tmp_path / "log")
    process.start(10.0)
    assert process.pid
    process.stop()


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = Supervised(STUBBORN, lambda: log.exists() and "up" in log.read_text(), log, term_s=0.3)
    process.start(10.0)
    last = process.pid
    process.stop()
    assert last is not None
    assert not psutil.pid_exists(last)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ([sys.executable, "-c", "raise SystemExit('no model')"], "ended with code 1 before it was ready(.|\n)*no model"),
        (["/nowhere/engine"], "cannot be started(.|\n)*/nowhere/engine"),
        (SLEEP, "not ready within 1 s(.|\n)*up"),
    ],
)
def test_what_does_not_come_up_says_why_with_the_end_of_its_log(tmp_path: Path, command: list[str], says: str) -> None:
    process = Supervised(command, lambda: False, tmp_path / "log")
    with pytest.raises(EngineError, match=says):
        process.start(1.0)
    assert process.pid is None


def test_what_a_process_started_ends_with_it_however_it_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); time.sleep(60)"
    )
    process = Supervised([sys.executable, "-c", parent], lambda: log.exists() and log.stat().st_size > 0, log, pause_s=30.0)
    process.start(10.0)
    child = int(log.read_text())
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(child))
    process.stop()


def test_the_reason_is_shown_though_much_is_said_after_it(tmp_path: Path) -> None:
    loud = "print('ValueError: no such architecture'); [print('leaked', n) for n in range(60)]; raise SystemExit(1)"
    with pytest.raises(EngineError, match="no such architecture\n...\n(.|\n)*leaked 59"):
        Supervised([sys.executable, "-c", loud], lambda: False, tmp_path / "log").start(10.0)
