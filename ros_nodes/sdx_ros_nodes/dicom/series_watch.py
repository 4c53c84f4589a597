"""When a series that arrives instance by instance is whole: after its sender has said goodbye, or has been quiet long enough."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class _Arriving:
    last_s: float
    senders: set[Hashable] = field(default_factory=set)
    cut_off: bool = False
    """A sender left without goodbye: it may come back with the rest."""


class SeriesWatch:
    """Times are seconds of any one monotonic clock, given by the caller.

    Args:
        after_release_s: after the last sender released its association; some senders open one for each instance.
        quiet_s: without any arrival, whoever is still connected; also after a sender was cut off.
    """

    def __init__(self, after_release_s: float, quiet_s: float) -> None:
        self._after_release_s, self._quiet_s = after_release_s, quiet_s
        self._arriving: dict[Path, _Arriving] = {}
        self._lock = threading.Lock()

    def arrived(self, folder: Path, now_s: float, sender: Hashable = None) -> None:
        """An instance of the series came; sender None: it lay there already."""
        with self._lock:
            series = self._arriving.setdefault(folder, _Arriving(now_s, cut_off=sender is None))
            series.last_s = now_s
            if sender is not None:
                if not series.senders:
                    series.cut_off = False
                series.senders.add(sender)

    def left(self, sender: Hashable, now_s: float, released: bool) -> None:
        with self._lock:
            for series in self._arriving.values():
                if sender in series.senders:
                    series.senders.discard(sender)
                    series.last_s = now_s
                    series.cut_off |= not released

    def whole(self, now_s: float) -> list[Path]:
        """Series that are whole by now; each is told once, and is new when something more arrives."""
        with self._lock:
            found = [folder for folder, series in self._arriving.items() if now_s - series.last_s >= self._wait_s(series)]
            for folder in found:
                del self._arriving[folder]
        return found

    def _wait_s(self, series: _Arriving) -> float:
        return self._quiet_s if series.senders or series.cut_off else self._after_release_s
