"""The last frames of a line, for diagnosis."""

import logging
import time
from collections import deque
from typing import NamedTuple

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
"""It prints its own dump of frames at every odd byte; here they are kept, and who asked says what went wrong."""


class Frame(NamedTuple):
    """What passed, when."""

    t_s: float
    sent: bool
    data: bytes

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.t_s)) + f".{int(self.t_s % 1 * 1000):03d}"
        return f"{clock} {'->' if self.sent else '<-'} {self.data.hex(' ')}"


class Frames:
    """A ring of them. `trace` is what pymodbus calls with every packet."""

    def __init__(self, kept: int = 1000) -> None:
        self._ring: deque[Frame] = deque(maxlen=kept)

    def trace(self, sending: bool, data: bytes) -> bytes:
        last = self._ring[-1] if self._ring else None
        if data and not sending and last and not last.sent and data.startswith(last.data):
            self._ring.pop()  # the same answer, some bytes longer
        if data:
            self._ring.append(Frame(time.time(), sending, bytes(data)))
        return data

    def last(self, count: int = 50) -> list[Frame]:
        """Oldest first."""
        return list(self._ring)[-count:]
