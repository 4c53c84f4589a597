"""A domain for tests: sums, checked by adding up. Every seventh own answer is wrong."""

import time
from collections.abc import Iterator
from random import Random

from sdx_domains.contract import Situation


def situations(count: int, seed: int) -> Iterator[Situation]:
    rng = Random(seed)
    for number in range(count):
        a, b = rng.randrange(10_000), rng.randrange(10_000)
        answer = str(a + b + (number % 7 == 6))
        time.sleep(0.001)
        yield Situation(
            messages=[{"role": "user", "content": f"What is {a} plus {b}?"}],
            schema={"type": "integer"},
            answer=answer,
            verify=lambda said, total=a + b: "" if said == str(total) else f"{said} is not {total}",
            meta={"seed": seed, "number": number},
        )
