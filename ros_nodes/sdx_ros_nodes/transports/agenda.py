"""What the embedded transports share: timers, work handed in by other threads, and survival of callbacks that raise."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from sdx_ros_nodes.api import TransportEvent

log = logging.getLogger(__name__)


class AgendaTimer:
    """A periodic timer; cancel() takes effect before its next run."""

    def __init__(self, period_s: float, callback: Callable[[], None], now_s: float) -> None:
        if not period_s > 0:
            raise ValueError(f"a timer needs a period above 0 s, got {period_s}")
        self.period_s = period_s
        self.callback = callback
        self.due_s = now_s + period_s
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Agenda:
    """Timers and posted work of one node. run_due() is called by the node's only thread; post() by any."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._timers: list[AgendaTimer] = []
        self._work: deque[Callable[[], None]] = deque()
        self._event_callbacks: list[Callable[[TransportEvent], None]] = []
        self._lock = threading.Lock()

    def timer(self, period_s: float, callback: Callable[[], None]) -> AgendaTimer:
        timer = AgendaTimer(period_s, callback, self._steady_s())
        with self._lock:
            self._timers.append(timer)
        return timer

    def post(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def on_event(self, callback: Callable[[TransportEvent], None]) -> None:
        self._event_callbacks.append(callback)

    def next_due_s(self) -> float | None:
        """When something is due: steady time, now if work waits, None if nothing ever."""
        if self._work:
            return self._steady_s()
        with self._lock:
            return min((timer.due_s for timer in self._timers if not timer.cancelled), default=None)

    def run_due(self) -> None:
        for _ in range(len(self._work)):
            self.guarded("(posted work)", self._work.popleft())
        with self._lock:
            self._timers = [timer for timer in self._timers if not timer.cancelled]
            now_s = self._steady_s()
            due = sorted((timer for timer in self._timers if timer.due_s <= now_s), key=lambda timer: timer.due_s)
        for timer in due:
            # Keeps its phase; what was missed while busy is skipped, not made up for.
            late_s = now_s - timer.due_s
            timer.due_s += timer.period_s * (1 + late_s // timer.period_s)
            if not timer.cancelled:
                self.guarded("(timer)", timer.callback)

    def guarded(self, topic: str, callback: Callable[[], None]) -> None:
        """Run it; an exception becomes an event "callback_failed" and a log entry."""
        try:
            callback()
        except Exception as error:
            log.exception("callback of %s failed", topic)
            self.emit(TransportEvent("callback_failed", topic, f"{type(error).__name__}: {error}"))

    def emit(self, event: TransportEvent) -> None:
        """Tell all listeners. In the node's thread."""
        for callback in self._event_callbacks:
            try:
                callback(event)
            except Exception:
                log.exception("event callback failed on %s", event)
