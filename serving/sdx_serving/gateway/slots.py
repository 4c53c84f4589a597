"""A bounded queue before an upstream: so many at once, so many waiting, the rest is refused. Who must have its answer first goes first."""

import asyncio
import heapq
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sdx_serving.gateway.errors import Failed


class Slots:
    """Places at an upstream.

    Args:
        together: requests sent at once.
        queue: that may wait besides.
        capacity: requests that it really computes together; the others wait there.
    """

    def __init__(self, together: int, queue: int, capacity: int) -> None:
        self.together, self.queue, self.capacity = together, queue, capacity
        self.sent, self.leaning = 0, 0
        """`leaning`: asking another now, and coming here if that one fails."""
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    @property
    def waiting(self) -> int:
        return sum(not place.done() for _, _, place in self._queue)

    def waves(self, leaning: bool = False) -> int:
        """A request that comes now has its answer after so many answer times."""
        ahead = self.sent + self.waiting + (self.leaning if leaning else 0)
        return math.ceil((ahead + 1) / self.capacity)

    @asynccontextmanager
    async def place(self, ends_s: float, answer_s: float) -> AsyncIterator[None]:
        """One place, for the earliest deadline first. Failed("busy") at once when too many wait.

        Args:
            ends_s: the request's deadline, on any one clock.
            answer_s: how long one answer takes, to say when to ask again.
        """
        if self.sent < self.together:
            self.sent += 1
        else:
            await self._wait(ends_s, answer_s)
        try:
            yield
        finally:
            self._free()

    async def _wait(self, ends_s: float, answer_s: float) -> None:
        waiting = self.waiting
        if waiting >= self.queue:
            raise Failed(f"its queue is full ({self.queue} wait)", "busy", answer_s * (waiting + 1) / self.capacity)
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (ends_s, next(self._count), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given the place and went: the next one's
                self._free()
            raise

    def _free(self) -> None:
        """The place goes to the next in line; without one it is empty."""
        while self._queue:
            _, _, place = heapq.heappop(self._queue)
            if not place.done():
                place.set_result(None)
                return
        self.sent -= 1
