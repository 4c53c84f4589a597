"""From the times of requests to percentiles, rates and one Measurement. Start at measurement()."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np

from sdx_serving.bench.load import Exchange
from sdx_serving.results import Spread


def spread(seconds: Iterable[float]) -> Spread | None:
    """Percentiles, linear between neighbours; None of nothing."""
    given = np.fromiter(seconds, float)
    if not given.size:
        return None
    p50, p95, p99 = map(float, np.percentile(given, (50, 95, 99)))
    return Spread(p50=p50, p95=p95, p99=p99)


def token_gaps(asked: Exchange) -> list[float]:
    """Seconds between tokens; where an engine sends several at once, each takes its share of the gap on average."""
    if not asked.gaps_s or asked.output_tokens < 2:
        return []
    share = min(1.0, len(asked.gaps_s) / (asked.output_tokens - 1))
    return [gap * share for gap in asked.gaps_s]


def decode_rate(asked: Exchange) -> float | None:
    """Tokens per second of one request after its first; None where there is no second or no time between them."""
    seconds = math.fsum(asked.gaps_s)
    return (asked.output_tokens - 1) / seconds if asked.output_tokens > 1 and seconds > 0 else None


def middle(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return median(values) if values else None


def noise(values: Sequence[float]) -> float | None:
    """How far repeats of one figure lie apart, as a share of their median; None of fewer than two or of nothing but zeros."""
    if len(values) < 2 or not (half := median(values)):
        return None
    return (max(values) - min(values)) / half
