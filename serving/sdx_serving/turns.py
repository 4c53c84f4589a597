"""One request is computed at a time, in order of arrival, and told to the event loop as it is made. Start at Turns.each()."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

GATHER_S = 0.01
"""Text that comes within this time after an event travels in one: less than anyone sees."""
WHOLE = float("inf")
"""For answers that leave in one piece."""
_GONE_POLL_S = 0.05
T = TypeVar("T")


class _GoneError(Exception):
    """Nobody waits for the answer any more."""


class Turns:
    """The one thread in which a model computes."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "model")

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def each(
        self, job: Callable[[Callable[[], bool]], Iterator[T]], gone: Callable[[], Awaitable[bool]], gather_s: float
    ) -> AsyncIterator[list[T]]:
        """What `job` yields, once its turn has come.

        Leaving this generator early, or the client's leaving, stops the job at its next piece.

        Args:
            job: is given a function that says whether it was cancelled; runs in the computing thread.
            gone: whether the client has left.
            gather_s: pieces that come within this time after some were handed over travel together: waking the event loop for
                each would cost a small model more than the token.
        """
        loop = asyncio.get_running_loop()
        made: deque[T] = deque()
        more, ended, cancelled = asyncio.Event(), asyncio.Event(), threading.Event()
        failed: list[Exception] = []

        def end() -> None:
            """Both at once: whoever waits for more must not wait for ever."""
            ended.set()
            more.set()

        def work() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                try:
                    for piece in job(cancelled.is_set) if not cancelled.is_set() else ():
                        made.append(piece)
                        if len(made) == 1:  # all before it were taken: the loop sleeps
                            loop.call_soon_threadsafe(more.set)
                except Exception as error:  # noqa: BLE001 - handed to the request, which turns it into an HTTP answer
                    failed.append(error)
                loop.call_soon_threadsafe(end)

        self._thread.submit(work)
        waits = _Waits(gone)
        try:
            while not ended.is_set() or made:
                await waits.until(more, None)
                more.clear()
                if bundle := list(_taken(made)):
                    yield bundle
                await waits.until(ended, gather_s)
            if failed:
                raise failed[0]
        except _GoneError:
            return
        finally:
            cancelled.set()


def _taken(made: deque[T]) -> Iterator[T]:
    """All there is; what comes meanwhile too, since nobody will tell of it."""
    while made:
        yield made.popleft()


class _Waits:
    """Waiting for events while looking now and then whether the client is still there."""

    def __init__(self, gone: Callable[[], Awaitable[bool]]) -> None:
        self._gone = gone
        self._asked = time.monotonic()

    async def until(self, event: asyncio.Event, most_s: float | None) -> None:
        """Until the event, or `most_s` have passed. Raises _GoneError."""
        ends = float("inf") if most_s is None else time.monotonic() + most_s
        while not event.is_set() and (left_s := ends - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _GONE_POLL_S)):
                    await event.wait()
            if time.monotonic() - self._asked > _GONE_POLL_S:
                self._asked = time.monotonic()
                if await self._gone():
                    raise _GoneError
