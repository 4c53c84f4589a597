"""How sure a difference between two models is that answered the same rows: paired bootstrap over the rows."""

from collections.abc import Sequence

import numpy as np

from sdx_finetune.measure.evaluate import Figure

RESAMPLES = 10_000
LEAST_ROWS = 10
"""With fewer an interval says more about luck than about models."""
_PART = 500


def paired(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Figure:
    """Mean of after - before, row by row, with its 95 % interval. ValueError without rows, or when the two differ in number."""
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} values before, {len(after)} after: paired differences want the same rows, at least one")
    found = paired_all((np.asarray(after, float) - np.asarray(before, float))[:, None], seed)[0]
    assert found is not None
    return found


def paired_all(differences: np.ndarray, seed: int = 0) -> list[Figure | None]:
    """Percentile intervals (Efron 1979) of several metrics at once, from 10,000 resamples of the rows.

    differences: (rows, metrics), nan where a row has no value; such a metric's mean is over the rows that have one.
    None for a metric without any.
    """
    rows, metrics = differences.shape
    valid = ~np.isnan(differences)
    values, there = np.where(valid, differences, 0.0), valid.astype(float)
    rng = np.random.default_rng(seed)
    means: list[np.ndarray] = []
    for _ in range(0, RESAMPLES, _PART):
        drawn = rng.integers(0, rows, (_PART, rows)) + np.arange(_PART)[:, None] * rows
        times = np.bincount(drawn.ravel(), minlength=_PART * rows).reshape(_PART, rows).astype(float)
        count = times @ there
        means.append(np.divide(times @ values, count, out=np.full((_PART, metrics), np.nan), where=count > 0))
    resampled = np.concatenate(means)
    return [_figure(values[:, i].sum() / n, resampled[:, i], n) if (n := int(valid[:, i].sum())) else None for i in range(metrics)]


def _figure(mean: float, resampled: np.ndarray, rows: int) -> Figure:
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return Figure(round(float(mean), 5), round(float(low), 5), round(float(high), 5), rows)


def verdict(difference: Figure) -> str:
    """In words, for a metric where more is better."""
    if difference.rows < LEAST_ROWS:
        return "too few rows"
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference seen"
