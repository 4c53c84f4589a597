"""Writes the audit log from a thread of its own, so that a slow disk never delays a guard's tick."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

WAITING_MAX = 10_000

log = logging.getLogger(__name__)

Append = Callable[[str, Mapping[str, Any]], int]
"""AuditLog.append: returns the record's number once it is on disk."""


class Recorder:
    """Queue in front of an audit log. `acknowledged` counts what is on disk; before that nothing is promised."""

    def __init__(self, append: Append) -> None:
        self._append = append
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_MAX)
        self.acknowledged = -1
        """Number of the last record on disk."""
        self.lost = 0
        """Records that were never written: the queue was full or the disk failed. Each is logged."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Hand in a record. Never waits, never raises."""
        self.do(lambda: self._write(kind, payload))

    def do(self, work: Callable[[], None]) -> None:
        """Have other slow work (a state file) done in order with the records."""
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            self.lost += 1
            log.error("the audit log is %d records behind: one was dropped", WAITING_MAX)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                work()
            except Exception:
                self.lost += 1
                log.exception("a record could not be written")

    def _write(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.acknowledged = self._append(kind, payload)
