"""Run the whole ship as processes: each with its own log, restarted when it dies or hangs, all ended together.

Every child is tied to this process by the kernel (sdx_serving.tether), so that none is left even after kill -9 of
this one. Start reading at run_up() for what is started, at Crew for how it is kept running.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import getpid
from pathlib import Path
from types import FrameType
from typing import Protocol

from sdx_serving.engine import EngineError
from sdx_serving.supervise import Supervised

TICK_S = 0.2
READY_S = 90.0
"""Ship moving and page answering take at most so long from the start, on a slow machine."""

Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Part:
    """One process: its name, its command, and a cheap question whether it does its work."""

    name: str
    command: Sequence[str]
    healthy: Callable[[], bool] = lambda: True
    hang_s: float = 15.0
    """Not healthy for so long means that it hangs: it is killed and started again."""


class Followed(Protocol):
    """What is reported of a process."""

    log: Path

    @property
    def restarts(self) -> int: ...


@dataclass
class Crew:
    """The parts, running.

    Args:
        folder: where each part's log goes, <name>.log.
        say: prints a line of a part.
    """

    parts: Sequence[Part]
    folder: Path
    say: Say
    failures: dict[str, str] = field(default_factory=dict)
    """By part: why it could not be started, with the end of its log."""
    _ending: bool = False
    _running: dict[str, Supervised] = field(default_factory=dict)
    _followed: dict[str, Followed] = field(default_factory=dict)
    _restarts: dict[str, int] = field(default_factory=dict)
    _read: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start every part, side by side, and return at once. What could not be started is in `failures`."""
        for part in self.parts:
            tied = [sys.executable, "-m", "sdx_serving.tether", str(getpid()), *part.command]
            process = Supervised(tied, part.healthy, self.folder / f"{part.name}.log", hang_s=part.hang_s)
            self._running[part.name] = process
            self.follow(part.name, process)
            threading.Thread(target=self._begin, args=(part.name, process), name=f"start-{part.name}", daemon=True).start()

    def _begin(self, name: str, process: Supervised) -> None:
        try:
            process.start(READY_S)
        except EngineError as error:
            if not self._ending:
                self.failures[name] = str(error)

    def follow(self, name: str, process: Followed) -> None:
        """Report on a process, whoever started it."""
        self._followed[name] = process

    def stop(self) -> None:
        """End every part; returns when all are gone."""
        self._ending = True
        enders = [threading.Thread(target=process.stop) for process in self._running.values()]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()
        self.report()

    def pid(self, name: str) -> int | None:
        """Of the running process; None between two lives."""
        return self._running[name].pid

    @property
    def restarts(self) -> dict[str, int]:
        return {name: process.restarts for name, process in self._running.items()}

    def report(self) -> None:
        """Say what the parts wrote since the last call, and which were started again."""
        for name, process in self._followed.items():
            for line in self._new_lines(name, process.log):
                self.say(name, line)
            if process.restarts > self._restarts.get(name, 0):
                self._restarts[name] = process.restarts
                self.say(name, f"ended or hung; started again ({process.restarts})")

    def _new_lines(self, name: str, log: Path) -> Iterable[str]:
        try:
            with log.open("rb") as file:
                file.seek(self._read.get(name, 0))
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text.rfind(b"\n") + 1
        self._read[name] = self._read.get(name, 0) + whole
        return text[:whole].decode(errors="replace").splitlines()


class Ending:
    """Ctrl-C and SIGTERM become a wish to end, asked about between two ticks."""

    def __init__(self) -> None:
        self.wished = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.wished.set()


def watch(crew: Crew, wished: threading.Event, ends_s: float | None, now: Callable[[], float] = time.monotonic) -> None:
    """Report until somebody wishes to end, or the time is over."""
    while not wished.is_set() and (ends_s is None or now() < ends_s):
        crew.report()
        wished.wait(TICK_S)
