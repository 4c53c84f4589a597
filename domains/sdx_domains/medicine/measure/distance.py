"""How deep each cell of a mask lies in it: the exact Euclidean distance transform, compiled. Start at depth_mm().

scipy.ndimage's takes three to eight times as long on masks as sparse as vessels in lung, and was a third of a draft.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
FAR_MM = 1e6
"""From a background that there is none of."""


def depth_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """(as mask) mm from each cell to the nearest one that is not of the mask, 0 outside of it. A mask of everything: FAR_MM and more."""
    return np.sqrt(_squares(np.ascontiguousarray(mask), *(float(step) for step in spacing_mm)))


def _compiled(function: F) -> F:
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in: compiled at each start
        return numba.njit(nogil=True)(function)


@_compiled
def _squares(mask: NDArray[np.bool_], deep_mm: float, high_mm: float, wide_mm: float) -> NDArray[np.float32]:
    levels, rows, _ = mask.shape
    out = np.empty(mask.shape, np.float32)
    longest = max(levels, rows)
    line, near, where, until = np.empty(longest), np.empty(longest), np.empty(longest, np.int64), np.empty(longest + 1)
    for level in range(levels):
        for row in range(rows):
            _along_row(mask[level, row], wide_mm, out[level, row])
        _down(out[level], high_mm, line, near, where, until)
    for row in range(rows):
        _down(out[:, row], deep_mm, line, near, where, until)
    return out


@_compiled
def _along_row(mask: NDArray[np.bool_], step_mm: float, out: NDArray[np.float32]) -> None:
    """Squares of the distance along one row."""
    off = FAR_MM
    for at in range(len(mask)):
        off = off + step_mm if mask[at] else 0.0
        out[at] = off
    off = FAR_MM
    for at in range(len(mask) - 1, -1, -1):
        off = off + step_mm if mask[at] else 0.0
        out[at] = min(out[at], off) ** 2


@_compiled
def _down(
    plane: NDArray[np.float32],
    step_mm: float,
    line: NDArray[np.float64],
    near: NDArray[np.float64],
    where: NDArray[np.int64],
    until: NDArray[np.float64],
) -> None:
    """Each column of a plane of squares, in place."""
    for column in range(plane.shape[1]):
        for at in range(len(plane)):
            line[at] = plane[at, column]
        _envelope(line[: len(plane)], step_mm, near, where, until)
        for at in range(len(plane)):
            plane[at, column] = near[at]


@_compiled
def _envelope(
    squares: NDArray[np.float64], step_mm: float, out: NDArray[np.float64], where: NDArray[np.int64], until: NDArray[np.float64]
) -> None:
    """Lower envelope of the parabolas that stand on a line (Felzenszwalb and Huttenlocher 2012); `where` and `until` are room to work in."""
    if not squares.any():
        out[: len(squares)] = 0.0
        return
    step, top = step_mm * step_mm, 0
    where[0], until[0], until[1] = 0, -np.inf, np.inf
    for at in range(1, len(squares)):
        meet = _meeting(squares, step, where[top], at)
        while meet <= until[top]:
            top -= 1
            meet = _meeting(squares, step, where[top], at)
        top += 1
        where[top], until[top], until[top + 1] = at, meet, np.inf
    top = 0
    for at in range(len(squares)):
        while until[top + 1] < at:
            top += 1
        out[at] = step * (at - where[top]) ** 2 + squares[where[top]]


@_compiled
def _meeting(squares: NDArray[np.float64], step: float, one: int, other: int) -> float:
    return ((squares[other] + step * other * other) - (squares[one] + step * one * one)) / (2 * step * (other - one))
