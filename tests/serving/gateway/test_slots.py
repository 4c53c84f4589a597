"""The queue before an upstream: bounded, earliest deadline first, and no place is ever lost."""

import asyncio
import random

import pytest

from sdx_serving.gateway.errors import Failed
from sdx_serving.gateway.slots import Slots


def test_who_must_have_its_answer_first_goes_first() -> None:
    async def run() -> list[int]:
        slots, order = Slots(1, 10, 1), []

        async def one(name: int, ends_s: float) -> None:
            async with slots.place(ends_s, 1.0):
                order.append(name)
                await asyncio.sleep(0.01)

        await asyncio.gather(one(0, 9.0), one(1, 8.0), one(2, 1.0), one(3, 5.0))
        assert (slots.sent, slots.waiting) == (0, 0)
        return order

    assert asyncio.run(run()) == [0, 2, 3, 1]


def test_a_full_queue_says_when_to_come_again() -> None:
    async def run() -> None:
        slots = Slots(1, 1, 1)
        async with slots.place(1.0, 2.0):
            waiting = asyncio.create_task(anext(aiter_place(slots)))
            await asyncio.sleep(0)
            with pytest.raises(Failed, match="its queue is full") as failed:
                async with slots.place(1.0, 2.0):
                    pass
            assert (failed.value.kind, failed.value.retry_after_s) == ("busy", 4.0)
        await waiting

    async def aiter_place(slots: Slots):
        async with slots.place(2.0, 1.0):
            yield

    asyncio.run(run())


def test_cancelled_waiters_lose_no_place() -> None:
    async def run() -> None:
        rng = random.Random(3)
        slots = Slots(3, 1000, 3)
        most = 0

        async def one() -> None:
            nonlocal most
            async with slots.place(rng.random(), 1.0):
                most = max(most, slots.sent)
                await asyncio.sleep(rng.random() / 100)

        tasks = [asyncio.create_task(one()) for _ in range(200)]
        for _ in range(60):
            await asyncio.sleep(0.001)
            rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (slots.sent, slots.waiting, most) == (0, 0, 3)

    asyncio.run(run())
