"""Operating points and abstention bands from scores with known truth; expected calibration error, selective risk. Start at calibrate()."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Closed

BINS = 10
"""Of equal width, for the calibration error (Guo et al. 2017, section 2)."""


class Calibrated(Closed):
    """Of one label, on the cases given."""

    point: float
    low: float
    high: float
    cases: int
    positives: int
    f1: float
    """At the point, every case decided."""
    f1_decided: float
    """At the point, of the cases outside the band."""
    ece: float
    """Expected calibration error."""
    coverage: float
    """Share of cases outside the band."""
    risk: float
    """Share of wrong answers, every case decided."""
    selective_risk: float
    """... of the cases outside the band."""


def calibrate(scores: NDArray[np.floating], truths: NDArray[np.bool_], coverage: float = 0.9, least_precision: float = 0.0) -> Calibrated:
    """Operating point of maximal F1, and the band that leaves fewest errors while at least `coverage` of the cases stay decided.

    `least_precision`: share of what is stated at the point that is there, where any point reaches it.

    Args:
        scores: (N,) probabilities, 0..1.
        truths: (N,) whether it is there.

    Raises:
        ValueError: empty, of different length, a score outside 0..1, or all truths alike (no point can be chosen).
    """
    scores, truths = np.asarray(scores, dtype=np.float64), np.asarray(truths, dtype=bool)
    if scores.shape != truths.shape or scores.ndim != 1 or not 0 < truths.sum() < truths.size:
        raise ValueError(
            f"{scores.shape} scores and {truths.shape} truths with {truths.sum()} positive: positives and negatives are needed"
        )
    if not (np.isfinite(scores).all() and scores.min() >= 0.0 and scores.max() <= 1.0):
        raise ValueError(f"scores from {scores.min()} to {scores.max()}: probabilities from 0 to 1 are wanted")
    point = best_point(scores, truths, least_precision)
    low, high = band(scores, truths, point, coverage)
    outside = (scores < low) | (scores >= high)
    wrong = (scores >= point) != truths
    return Calibrated(
        point=point, low=low, high=high, cases=truths.size, positives=int(truths.sum()), f1=f1(scores >= point, truths),
        f1_decided=f1((scores >= point)[outside], truths[outside]), ece=calibration_error(scores, truths), coverage=float(outside.mean()),
        risk=float(wrong.mean()), selective_risk=float(wrong[outside].mean()) if outside.any() else 0.0,
    )  # fmt: skip


def best_point(scores: NDArray[np.float64], truths: NDArray[np.bool_], least_precision: float = 0.0) -> float:
    """Threshold (score >= it: positive) of maximal F1, in the middle of its gap between two scores, so that new cases have room.

    Of those only where `least_precision` of what is stated is there, if there are any.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truths[order])
    last = np.append(ranked[1:] != ranked[:-1], True)  # only between different scores can a threshold lie
    stated = np.arange(1, len(ranked) + 1)
    f1s = np.where(last, 2.0 * hits / (stated + truths.sum()), -1.0)
    precise = hits / stated >= least_precision
    best = int(np.where(precise, f1s, -1.0).argmax()) if (last & precise).any() else int(f1s.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2.0)


def band(scores: NDArray[np.float64], truths: NDArray[np.bool_], point: float, coverage: float) -> tuple[float, float]:
    """(low, high) around the point: cases inside are abstained from. Fewest errors outside, then fewest cases inside.

    Ends are sought at the errors only: a wider band that takes in no further error costs cases and brings nothing.
    """
    budget = int((1.0 - coverage) * len(scores) + 1e-9)
    missed = np.unique(scores[truths & (scores < point)])  # each may become the lower end
    false = np.unique(scores[~truths & (scores >= point) & (scores < 1.0)])  # ... the upper end lies just above
    best = (int(((scores >= point) != truths).sum()), 0, point, point)
    for low in np.append(missed, point):
        for top in np.append(-1.0, false):
            high = point if top < 0.0 else float(np.nextafter(top, 2.0))
            inside = int(((scores >= low) & (scores < high)).sum())
            if inside > budget:
                break
            left = int((truths & (scores < low)).sum() + (~truths & (scores >= high)).sum())
            best = min(best, (left, inside, float(low), high))
    return best[2], min(best[3], 1.0)


def f1(said: NDArray[np.bool_], truths: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall; 1 where nothing is there and nothing is said."""
    total = int(said.sum() + truths.sum())
    return 2.0 * int((said & truths).sum()) / total if total else 1.0


def calibration_error(scores: NDArray[np.float64], truths: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence and frequency over bins, weighted by their cases."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    parts = [(bins == number) for number in range(BINS)]
    return float(sum(part.mean() * abs(scores[part].mean() - truths[part].mean()) for part in parts if part.any()))


def risk_at(scores: NDArray[np.float64], truths: NDArray[np.bool_], point: float, coverage: float) -> float:
    """Share of wrong answers among the `coverage` of cases that lie farthest from the point (selective risk, Geifman 2017)."""
    kept = np.argsort(-np.abs(scores - point), kind="stable")[: max(1, round(coverage * len(scores)))]
    return float(((scores[kept] >= point) != truths[kept]).mean())


def as_rows(found: Mapping[str, Calibrated]) -> dict[str, dict[str, float]]:
    """What thresholds.yaml takes, by label: the band's ends rounded outwards, so that rounding decides no case."""
    rows: dict[str, dict[str, float]] = {}
    for key, each in found.items():
        point = round(each.point, 4)
        low, high = float(np.floor(each.low * 1e4) / 1e4), float(np.ceil(each.high * 1e4) / 1e4)
        rows[key] = {"point": point, "low": min(low, point), "high": min(max(high, point), 1.0)}
    return rows
