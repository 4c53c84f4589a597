"""Keep one process running: start, watch, restart with a growing pause, stop without orphans."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdx_serving.engine import EngineError

_NAMES_ERROR = re.compile(r"\b\w*(Error|Exception): |\berror: ")
_LOOK_BACK = 400
"""Lines of the log."""
_GROUP_S = 2.0
"""How long to wait for killed children to be gone; a dead one that nobody reaps does not hold us longer."""


class Supervised:
    """A process that is started again when it dies or hangs.

    All starts happen in one thread that lives until stop(): Linux ties a child to the *thread* that started it.

    Args:
        command: program and arguments.
        healthy: asked about once a second; False for `hang_s` on end means it hangs, and it is killed.
        log: its output is appended here.
        start_s: as `hang_s`, until it was healthy for the first time.
        term_s: a process that ignores SIGTERM for so long is killed.
        environment: variables for it besides ours.
        pause_s: wait before the first restart; doubled each time, at most `pause_max_s`, reset after a minute of health.
    """

    def __init__(
        self,
        command: Sequence[str],
        healthy: Callable[[], bool],
        log: Path,
        pause_s: float = 0.2,
        pause_max_s: float = 10.0,
        hang_s: float = 15.0,
        start_s: float = 60.0,
        term_s: float = 5.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.environment = dict(environment or {})
        self.log = log
        self.restarts = 0
        self._healthy = healthy
        self._pause_s, self._pause_max_s, self._hang_s, self._start_s, self._term_s = pause_s, pause_max_s, hang_s, start_s, term_s
        self._process: subprocess.Popen[bytes] | None = None
        self._failed: OSError | None = None
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process; None between two lives."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self, timeout_s: float) -> None:
        """Start, and wait until healthy. EngineError with the end of the log if it dies or is not ready in time."""
        if self._thread and self._thread.is_alive():
            return
        self._stopping.clear()
        self._ready.clear()
        self._process, self._failed, self.restarts = None, None, 0
        self._thread = threading.Thread(target=self._keep, name=f"supervise-{Path(self.command[0]).name}", daemon=True)
        self._thread.start()
        ends = time.monotonic() + timeout_s
        while not self._ready.wait(0.02):
            reason = self._why_not(ends, timeout_s)
            if reason:
                self.stop()
                raise EngineError(f"{reason}\ncommand: {' '.join(self.command)}\n{self.tail()}")

    def _why_not(self, ends: float, timeout_s: float) -> str:
        if self._failed:
            return f"it cannot be started: {self._failed}"
        if self.restarts or (self._process and self._process.poll() is not None):
            code = self._process.poll() if self._process else None
            return f"it ended with code {code} before it was ready; the end of its log ({self.log}):"
        if time.monotonic() > ends:
            return f"it was not ready within {timeout_s:.0f} s; the end of its log ({self.log}):"
        return ""

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns when it is gone."""
        self._stopping.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(self._term_s + 5.0)

    def tail(self, lines: int = 15) -> str:
        """The end of its log, and what named an error shortly before: engines say much after the line that matters."""
        try:
            said = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        errors = [line for line in said[-_LOOK_BACK:-lines] if _NAMES_ERROR.search(line)][-5:]
        return "\n".join([*errors, *(["..."] if errors else []), *said[-lines:]])

    def _keep(self) -> None:
        pause_s = self._pause_s
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._live()
            except OSError as error:
                self._failed = error
                return
            if self._stopping.is_set():
                return
            pause_s = self._pause_s if time.monotonic() - began > 60.0 else pause_s
            self.restarts += 1
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, self._pause_max_s)

    def _live(self) -> None:
        """One life of the process, to its end."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in order.
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | self.environment,
            )
        self._process = process
        try:
            self._watch(process)
        finally:
            _end(process, self._term_s)

    def _asked(self) -> bool:
        try:
            return self._healthy()
        except Exception:  # noqa: BLE001 - the question is the caller's; the watch goes on
            return False

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Until it ends, hangs, or stop() is called."""
        seen = time.monotonic()
        was_ready, allowed_s = False, self._start_s
        while process.poll() is None and not self._stopping.is_set():
            if self._asked():
                seen, was_ready, allowed_s = time.monotonic(), True, self._hang_s
                self._ready.set()
            elif time.monotonic() - seen > allowed_s:
                return
            self._stopping.wait(0.25 if was_ready else 0.05)


def _end(process: subprocess.Popen[bytes], term_s: float) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(term_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    # Its own children too (workers of a model), which share its session and so its group.
    ends = time.monotonic() + _GROUP_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < ends:
            os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
