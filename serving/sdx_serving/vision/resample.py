"""Small array work that public models' inputs need: windows, linear resampling, crop and pad. NumPy alone, the same everywhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def windowed(hu: NDArray[Any], window: tuple[float, float]) -> NDArray[np.float32]:
    """0 at or below the window's low end, 1 at or above its high one."""
    low, high = window
    return np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)


def resampled(array: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
    """Linear, axis by axis; voxels are boxes that fill the same extent before and after, and its ends are held."""
    made = array.astype(np.float32)
    for axis, size in enumerate(shape):
        have = made.shape[axis]
        if size == have:
            continue
        at = np.clip((np.arange(size) + 0.5) * have / size - 0.5, 0, have - 1)
        low = at.astype(np.intp)
        share = (at - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(made.ndim)])
        high = np.minimum(low + 1, have - 1)
        made = made.take(low, axis) * (1 - share) + made.take(high, axis) * share
    return made


def cropped_or_padded(array: NDArray[np.float32], shape: Sequence[int], padding: float) -> NDArray[np.float32]:
    """About the middle; an odd voxel goes to the end."""
    whole = np.full(shape, padding, np.float32)
    there, here = [], []
    for have, want in zip(array.shape, shape, strict=True):
        size = min(have, want)
        there.append(slice((want - size) // 2, (want - size) // 2 + size))
        here.append(slice((have - size) // 2, (have - size) // 2 + size))
    whole[tuple(there)] = array[tuple(here)]
    return whole
