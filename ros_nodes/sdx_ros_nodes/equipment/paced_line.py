"""A serial bus made of pseudo-terminals that passes bytes at the pace of a real one: a pty has no baud rate of its own."""

import os
import select
import threading
import time
import tty
from collections import deque
from typing import Self

CHARACTER_BITS = 10
"""8N1: start, eight, stop."""


class PacedLine:
    """All ends hear what one of them says, as on RS-485, each byte when its last bit would arrive. `paths` are the devices to open.

    Args:
        baud: 0 passes bytes at once.
    """

    def __init__(self, ends: int = 2, baud: int = 9600) -> None:
        pairs = [os.openpty() for _ in range(ends)]
        self._masters, self._slaves = [m for m, _ in pairs], [s for _, s in pairs]
        for descriptor in (*self._masters, *self._slaves):
            tty.setraw(descriptor)
        self.paths = [os.ttyname(slave) for slave in self._slaves]
        self._byte_s = CHARACTER_BITS / baud if baud else 0.0
        self._waiting: deque[tuple[float, int, int]] = deque()
        self._free_s = 0.0
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="paced line", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            wait = max(self._waiting[0][0] - time.monotonic(), 0.0) if self._waiting else None
            readable, _, _ = select.select([*self._masters, self._wake], [], [], wait)
            if self._wake in readable:
                return
            for end in readable:
                self._take(end, os.read(end, 4096))
            self._deliver()

    def _take(self, end: int, data: bytes) -> None:
        for byte in data:
            self._free_s = max(self._free_s, time.monotonic()) + self._byte_s
            self._waiting.append((self._free_s, end, byte))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, source, byte = self._waiting.popleft()
            for end in self._masters:
                if end != source:
                    os.write(end, bytes([byte]))

    def close(self) -> None:
        os.write(self._woken, b"x")
        self._thread.join(2.0)
        for descriptor in (*self._masters, *self._slaves, self._wake, self._woken):
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
