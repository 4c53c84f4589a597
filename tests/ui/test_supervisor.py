"""Processes that are kept running: restarted after kill -9 and after a hang, and none left at the end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sdx_ui.supervisor import Crew, Part, watch

CHILD = "import sys, time; print('up', flush=True); time.sleep(60)"
PARENT = """
import sys, time
from pathlib import Path
from sdx_ui.supervisor import Crew, Part
crew = Crew([Part(name, [sys.executable, "-c", "import time; time.sleep(60)"]) for name in "ab"], Path(sys.argv[1]), print)
crew.start()
while not all(crew.pid(name) for name in "ab"):
    time.sleep(0.05)
print("started", *(crew.pid(name) for name in "ab"), flush=True)
time.sleep(60)
"""


def sleeper(name: str, code: str = CHILD, healthy: Callable[[], bool] = lambda: True, hang_s: float = 15.0) -> Part:
    return Part(name, [sys.executable, "-c", code], healthy, hang_s)


def eventually(true: Callable[[], object], within_s: float = 15.0) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.05)
    return False


class Said:
    """Remembers what the crew said."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def start(tmp_path: Path, said: Said) -> Iterator[Callable[..., Crew]]:
    crews: list[Crew] = []

    def make(*parts: Part) -> Crew:
        crews.append(Crew(parts, tmp_path, said))
        crews[-1].start()
        assert eventually(lambda: crews[-1].failures or all(crews[-1].pid(part.name) for part in parts))
        return crews[-1]

    yield make
    for crew in crews:
        crew.stop()


def pid_of(crew: Crew, name: str) -> int:
    pid = crew.pid(name)
    assert pid is not None
    return pid


def test_a_killed_process_comes_back_and_it_is_said(start: Callable[..., Crew], said: Said) -> None:
    crew = start(sleeper("one"), sleeper("two"))
    first, other = pid_of(crew, "one"), pid_of(crew, "two")
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: crew.pid("one") not in (None, first))
    assert crew.pid("two") == other
    crew.report()
    assert ("one", "ended or hung; started again (1)") in said.lines
    assert crew.restarts == {"one": 1, "two": 0}


def test_a_hung_process_is_replaced(start: Callable[..., Crew]) -> None:
    hangs = threading.Event()
    crew = start(sleeper("one", healthy=lambda: not hangs.is_set(), hang_s=0.3))
    first = pid_of(crew, "one")
    hangs.set()
    assert eventually(lambda: crew.pid("one") != first)
    hangs.clear()
    assert eventually(lambda: crew.pid("one") not in (None, first))


def test_stop_leaves_no_process(start: Callable[..., Crew]) -> None:
    crew = start(sleeper("one"), sleeper("two"))
    pids = [pid_of(crew, "one"), pid_of(crew, "two")]
    crew.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_stop_kills_one_that_ignores_the_polite_signal(start: Callable[..., Crew]) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    crew = start(sleeper("one", stubborn))
    pid = pid_of(crew, "one")
    assert eventually(lambda: "up" in (crew.folder / "one.log").read_text())
    crew.stop()
    assert not psutil.pid_exists(pid)


def test_lines_are_said_once_whole_and_with_their_name(start: Callable[..., Crew], said: Said) -> None:
    code = "import sys, time; sys.stdout.write('first\\nsec'); sys.stdout.flush(); time.sleep(1); print('ond'); sys.stdout.flush(); time.sleep(60)"
    crew = start(sleeper("one", code))

    def heard() -> bool:
        crew.report()
        return ("one", "second") in said.lines

    assert eventually(heard)
    assert said.lines == [("one", "first"), ("one", "second")]
    assert (crew.folder / "one.log").read_text() == "first\nsecond\n"


def test_a_command_that_is_not_there_is_told(start: Callable[..., Crew]) -> None:
    crew = start(Part("one", ["/no/such/program"], healthy=lambda: False))
    assert eventually(lambda: "/no/such/program" in crew.failures.get("one", ""))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tie to the parent exists on Linux")
def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()[1:]]
        assert len(pids) == 2 and all(psutil.pid_exists(pid) for pid in pids)
        parent.kill()
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_watching_ends_when_time_is_over_or_it_is_wished(tmp_path: Path, said: Said) -> None:
    crew = Crew([], tmp_path, said)
    watch(crew, threading.Event(), ends_s=time.monotonic() + 0.3)
    wished = threading.Event()
    wished.set()
    watch(crew, wished, ends_s=None)
