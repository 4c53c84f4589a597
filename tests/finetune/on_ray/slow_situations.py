"""The toy sums, taking their time: a node can be killed in the middle."""

import time
from collections.abc import Iterator

import toy_situations

from sdx_domains.contract import Situation


def situations(count: int, seed: int) -> Iterator[Situation]:
    for each in toy_situations.situations(count, seed):
        time.sleep(0.1)
        yield each
