"""How long an upstream takes, from what it took lately. Start at Latency.expect()."""

import math
from collections import deque
from collections.abc import Sequence

HALF_LIFE_S = 60.0
"""What was seen a minute ago counts half."""
FORGOTTEN = 0.02
"""Samples that weigh less together say nothing: the last one is then more than five half-lives old."""

FLOOR = 0.1
"""Of the mean time. A line through almost nothing at no token says nothing of how late a first token may be: it counts for no less."""


class Latency:
    """Decayed p95 of time to first token + tokens x time per token.

    Each answer gives points (tokens, seconds): a streamed one its first token and its end, a whole one its end. A line is laid
    through them by weighted least squares, neither part below zero; the 95th percentile of seconds / line widens it.
    """

    def __init__(self, size: int = 64) -> None:
        self._points: deque[tuple[float, float, float]] = deque(maxlen=size)

    @property
    def last_at_s(self) -> float:
        """When it was last measured; -inf if never."""
        return self._points[-1][0] if self._points else -math.inf

    def add(self, at_s: float, tokens: float, seconds: float) -> None:
        """`tokens` had come after `seconds`. For an answer that did not come in time: those that it had time for."""
        self._points.append((at_s, tokens, seconds))

    def expect(self, now_s: float, tokens: float | None = None) -> float | None:
        """Seconds in which 95 of 100 answers come; None if too little is known.

        Args:
            tokens: that may be made; never taken for more than the upstream's usual answers (their p95).
        """
        weights = [0.5 ** ((now_s - at) / HALF_LIFE_S) for at, _, _ in self._points]
        if sum(weights) < FORGOTTEN:
            return None
        counts, times = [point[1] for point in self._points], [point[2] for point in self._points]
        first_s, each_s = _line(weights, counts, times)
        least_s = FLOOR * sum(w * t for w, t in zip(weights, times, strict=True)) / sum(weights)
        wide = quantile(0.95, [t / max(first_s + each_s * n, least_s) for n, t in zip(counts, times, strict=True)], weights)
        usual = quantile(0.95, counts, weights)
        return wide * (first_s + each_s * min(usual, usual if tokens is None else tokens))


def _line(weights: Sequence[float], counts: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """(seconds at no token, seconds for each)."""
    total = sum(weights)
    n, t = (sum(w * x for w, x in zip(weights, values, strict=True)) / total for values in (counts, times))
    square = sum(w * (x - n) ** 2 for w, x in zip(weights, counts, strict=True))
    cross = sum(w * (x - n) * (y - t) for w, x, y in zip(weights, counts, times, strict=True))
    each = max(0.0, cross / square) if square > 1e-9 * total else 0.0
    first = t - each * n
    if first >= 0.0:
        return first, each
    return 0.0, sum(w * x * y for w, x, y in zip(weights, counts, times, strict=True)) / sum(
        w * x * x for w, x in zip(weights, counts, strict=True)
    )


def quantile(share: float, values: Sequence[float], weights: Sequence[float]) -> float:
    """The least value that `share` of the weight does not exceed."""
    reached, goal = 0.0, share * sum(weights)
    pairs = sorted(zip(values, weights, strict=True))
    for value, weight in pairs:
        reached += weight
        if reached >= goal:
            return value
    return pairs[-1][0]
