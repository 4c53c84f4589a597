"""Pieces from the computing thread to the event loop: all, in order, few wakings, and none for who has gone."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sdx_serving.turns import Turns


async def _never() -> bool:
    return False


def counted(count: int, pause_s: float = 0.0) -> Callable[[Callable[[], bool]], Iterator[int]]:
    def job(cancelled: Callable[[], bool]) -> Iterator[int]:
        for number in range(count):
            if cancelled():
                return
            time.sleep(pause_s)
            yield number

    return job


@pytest.mark.parametrize(
    ("count", "pause_s", "gather_s"), [(0, 0, 0.01), (1, 0, 0.01), (500, 0, 0.01), (40, 0.002, 0.01), (40, 0.002, float("inf"))]
)
def test_all_pieces_come_in_order_and_travel_together(count: int, pause_s: float, gather_s: float) -> None:
    async def run() -> tuple[list[list[int]], float]:
        turns, began = Turns(), time.monotonic()
        bundles = [bundle async for bundle in turns.each(counted(count, pause_s), _never, gather_s)]
        took_s = time.monotonic() - began
        turns.close()
        return bundles, took_s

    bundles, took_s = asyncio.run(run())
    assert [number for bundle in bundles for number in bundle] == list(range(count))
    assert all(bundles) and len(bundles) <= 2 + took_s / gather_s


def test_an_error_comes_after_what_was_made_before() -> None:
    def job(_: Callable[[], bool]) -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    async def run() -> list[int]:
        got, turns = [], Turns()
        with pytest.raises(ValueError, match="broken"):
            async for bundle in turns.each(job, _never, 0.01):
                got += bundle
        turns.close()
        return got

    assert asyncio.run(run()) == [1]


def test_the_next_turn_comes_when_the_client_has_gone() -> None:
    async def run() -> float:
        turns = Turns()

        async def gone() -> bool:
            return True

        endless = [bundle async for bundle in turns.each(counted(10**6, 0.01), gone, 0.01)]
        assert sum(map(len, endless)) < 100
        began = time.monotonic()
        assert [bundle async for bundle in turns.each(counted(1), _never, 0.01)] == [[0]]
        turns.close()
        return time.monotonic() - began

    assert asyncio.run(run()) < 1.0


def test_the_end_is_told_also_where_the_computing_thread_is_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[list[int]]:
        loop, turns = asyncio.get_running_loop(), Turns()
        tell = loop.call_soon_threadsafe

        def tell_and_wait(*told: Any) -> Any:
            handle = tell(*told)
            time.sleep(0.05)
            return handle

        monkeypatch.setattr(loop, "call_soon_threadsafe", tell_and_wait)
        async with asyncio.timeout(5.0):
            bundles = [bundle async for bundle in turns.each(counted(3), _never, 0.01)]
        monkeypatch.undo()
        turns.close()
        return bundles

    assert [number for bundle in asyncio.run(run()) for number in bundle] == [0, 1, 2]
