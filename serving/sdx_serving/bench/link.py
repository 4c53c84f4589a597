"""A network link made worse in user space: packets between two TUN devices wait, are lost, and queue for a rate.

    python -m sdx_serving.bench.link NAME_A NAME_B IMPAIRMENT.json PARENT_PID SEED

For kernels without netem. Prints "ready" when both devices are there; they vanish with this process.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

from sdx_serving.bench.plan import Impairment
from sdx_serving.tether import tie_to_parent

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_MTU = 65_536
QUEUE_PACKETS = 1000
"""Of one direction, as netem's default; what comes beyond is lost."""


def open_tun(name: str) -> int:
    """A file descriptor of a new TUN device. OSError where that is not permitted."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


class Direction:
    """Packets on their way one way, in order."""

    def __init__(self, impairment: Impairment, rng: random.Random) -> None:
        self._delay_s, self._jitter_s = impairment.round_trip_ms / 2e3, impairment.jitter_ms / 1e3
        self._loss, self._bytes_per_s = impairment.loss_percent / 100, impairment.rate_mbit and impairment.rate_mbit * 1e6 / 8
        self._rng = rng
        self._free_s = self._last_s = 0.0
        self.waiting: deque[tuple[float, bytes]] = deque()
        """(when it arrives, packet)"""

    def take(self, packet: bytes, now_s: float) -> None:
        """Lose it, or let it wait for its turn at the rate, then for its delay."""
        if self._rng.random() < self._loss or len(self.waiting) >= QUEUE_PACKETS:
            return
        self._free_s = max(now_s, self._free_s) + (len(packet) / self._bytes_per_s if self._bytes_per_s else 0.0)
        arrives_s = self._free_s + max(0.0, self._delay_s + self._rng.uniform(-self._jitter_s, self._jitter_s))
        self._last_s = max(self._last_s, arrives_s)
        self.waiting.append((self._last_s, packet))

    def due(self, now_s: float) -> list[bytes]:
        """What has arrived by now."""
        found = []
        while self.waiting and self.waiting[0][0] <= now_s:
            found.append(self.waiting.popleft()[1])
        return found


def carry(first: int, second: int, impairment: Impairment, seed: int) -> None:
    """Pass packets between two TUN devices, for ever."""
    rng = random.Random(seed)
    ways = {first: (second, Direction(impairment, rng)), second: (first, Direction(impairment, rng))}
    while True:
        soonest_s = min((way.waiting[0][0] for _, way in ways.values() if way.waiting), default=None)
        patience_s = None if soonest_s is None else max(0.0, soonest_s - time.monotonic())
        readable, _, _ = select.select(list(ways), [], [], patience_s)
        for source in readable:
            try:
                while packet := os.read(source, _MTU):
                    ways[source][1].take(packet, time.monotonic())
            except BlockingIOError:
                pass
        for target, way in ways.values():
            for packet in way.due(time.monotonic()):
                try:
                    os.write(target, packet)
                except OSError:  # the device is not up yet, or its queue is full: a network loses packets
                    continue


def main(argv: list[str]) -> int:
    first, second, impairment, parent, seed = argv
    tie_to_parent(int(parent))
    devices = open_tun(first), open_tun(second)
    print("ready", flush=True)
    carry(*devices, Impairment.model_validate_json(Path(impairment).read_text(encoding="utf-8")), int(seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
