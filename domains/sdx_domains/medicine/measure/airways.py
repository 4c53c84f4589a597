"""Windpipe and main bronchi: dark rounds near the middle, followed down from the top until they run into the lungs."""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.measure.reduced import Reduced

LARGEST_CM2 = 7.0
"""Of a section: twice that of a wide adult windpipe (25 by 27 mm, Breatnach et al. 1984: upper limit of men)."""
SMALLEST_CM2 = 0.25
STEP_MM = 9.0
"""How far aside a section may lie from the one above it."""


def windpipe(inner: NDArray[np.bool_], grid: Reduced) -> NDArray[np.bool_]:
    """Mask of windpipe and main bronchi; empty where none is found. `inner`: air inside the body."""
    out = np.zeros_like(inner)
    cell_cm2 = grid.spacing_mm[1] * grid.spacing_mm[2] / 100
    reach = max(1, round(STEP_MM / grid.spacing_mm[1]))
    columns = np.flatnonzero(inner.any(axis=(0, 1)))
    if not len(columns):
        return out
    middle, half = (columns[0] + columns[-1]) / 2, (columns[-1] - columns[0]) / 2
    above: NDArray[np.bool_] | None = None
    missed = 0
    for level in range(len(inner) - 1, -1, -1):
        pieces, count = ndimage.label(inner[level])
        numbers = np.arange(1, count + 1)
        area = ndimage.sum_labels(inner[level], pieces, numbers) * cell_cm2 if count else np.zeros(0)
        fits = (area >= SMALLEST_CM2) & (area <= LARGEST_CM2)
        if above is None:
            centre = np.array([each[1] for each in ndimage.center_of_mass(inner[level], pieces, numbers)]) if count else np.zeros(0)
            fits &= np.abs(centre - middle) < 0.22 * half
            fits &= area == max(area[fits], default=0)
        else:
            near = ndimage.binary_dilation(above, iterations=reach)
            fits &= np.isin(numbers, pieces[near])
        if fits.any():
            out[level] = np.concatenate([[False], fits])[pieces]
            above, missed = out[level], 0
        elif above is not None:
            missed += 1
            if missed * grid.spacing_mm[0] > 6:
                break
    return out
