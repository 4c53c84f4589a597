"""The estimator's constants from rows: the most probable ones under priors.yaml, outliers held back. Start at fit().

sdx bench estimator --fit      writes fitted.yaml from published.csv
"""

import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml

from sdx_serving.recommend.constants import Constants, Fitted, Priors, names_of
from sdx_serving.recommend.rows import PROMPT_OF_PREFILL, Row
from sdx_serving.recommend.shapes import kernel_of
from sdx_serving.recommend.timing import prefill_s, tokens_per_s

_ROUNDS, _STEP, _HUBER = 60, 1e-4, 1.0
_CLOSE = 1e-5
"""Steps that move no logarithm by more end the search."""


def fit(rows: Sequence[Row], priors: Priors) -> Constants:
    """Maximum of the posterior in logarithms, by Gauss-Newton with Huber's weights. ValueError without rows."""
    if not rows:
        raise ValueError("no rows to fit to")
    names = sorted({name for row in rows for name in _names(row, priors)})
    middles = np.array([math.log(priors.of(name).middle) for name in names])
    widths = np.array([math.log(priors.of(name).factor) for name in names])

    def misfits(point: np.ndarray) -> np.ndarray:
        values = dict(zip(names, np.exp(point).tolist(), strict=True))
        return np.array(_misfits(rows, Constants(priors, values))) / math.log(priors.row_factor)

    point = descend(misfits, middles, widths)
    return Constants(priors, {name: float(f"{math.exp(value):.5g}") for name, value in zip(names, point, strict=True)})


def descend(misfits: Callable[[np.ndarray], np.ndarray], middles: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The point where misfits (in standard deviations, Huber's loss) and distance from the priors weigh least together."""
    point = middles.copy()

    def cost(at: np.ndarray) -> float:
        far = np.abs(misfits(at))
        huber = np.where(far <= _HUBER, far**2 / 2, _HUBER * (far - _HUBER / 2))
        return float(huber.sum() + (((at - middles) / widths) ** 2).sum() / 2)

    for _ in range(_ROUNDS):
        now = misfits(point)
        slopes = np.stack([(misfits(point + _STEP * unit) - now) / _STEP for unit in np.eye(len(point))], axis=1)
        weights = np.minimum(1.0, _HUBER / np.maximum(np.abs(now), 1e-9))
        pull = slopes.T @ (weights * now) + (point - middles) / widths**2
        curve = (slopes * weights[:, None]).T @ slopes + np.diag(1 / widths**2)
        step, before = np.linalg.solve(curve, -pull), cost(point)
        length = 1.0
        while length > 1e-4 and cost(point + length * step) > before:
            length /= 2
        if length <= 1e-4 or np.abs(length * step).max() < _CLOSE:
            break
        point = point + length * step
    return point


def _names(row: Row, priors: Priors) -> list[str]:
    prefill = row.with_prefill or row.prefill_per_s is not None
    return names_of(priors, row.place.unit, row.place.runtime, kernel_of(row.facts.quantisation), prefill)


def _misfits(rows: Sequence[Row], constants: Constants) -> list[float]:
    """Logarithms of estimated over measured: decoding of every row, prompts where they were measured apart."""
    found = [math.log(tokens_per_s(row.facts, row.place, row.load, constants, row.with_prefill) / row.tokens_per_s) for row in rows]
    for row in rows:
        if row.prefill_per_s and (taken_s := prefill_s(row.facts, row.place, PROMPT_OF_PREFILL, constants)):
            found.append(math.log(PROMPT_OF_PREFILL / taken_s / row.prefill_per_s))
    return found


def left_out(rows: Sequence[Row], priors: Priors) -> list[tuple[Row, float]]:
    """Each row with its estimate in tokens per second by constants that no row of its device has touched."""
    found: list[tuple[Row, float]] = []
    for device in dict.fromkeys(row.place.device for row in rows):
        constants = fit([row for row in rows if row.place.device != device], priors)
        found += [
            (row, tokens_per_s(row.facts, row.place, row.load, constants, row.with_prefill)) for row in rows if row.place.device == device
        ]
    return found


def refit(rows: Sequence[Row], priors: Priors) -> Fitted:
    """Constants from all rows, and how far estimates of unseen devices were off."""
    ratios = np.array([row.tokens_per_s / estimate for row, estimate in left_out(rows, priors)])
    low, high = np.quantile(ratios, [0.05, 0.95]).tolist()
    devices = len({row.place.device for row in rows})
    values = {name: value for name, value in sorted(fit(rows, priors).values.items())}
    return Fitted(constants=values, decode_factor=(round(low, 3), round(high, 3)), rows=len(rows), devices=devices)


def write_fitted(fitted: Fitted, path: Path | None = None) -> Path:
    """fitted.yaml, whole or not at all."""
    target = path or Path(str(files("sdx_serving.recommend").joinpath("fitted.yaml")))
    partial = target.with_name(f".{target.name}.partial")
    head = "# Written by `sdx bench estimator --fit` from published.csv and priors.yaml; not by hand.\n"
    partial.write_text(head + yaml.safe_dump(fitted.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    partial.replace(target)
    return target
