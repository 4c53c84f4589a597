"""What the vision encoder is given of a volume: SLABS slabs over the chest of PIXELS x PIXELS pixels in CHANNELS windows. Start at slabs().

In the plane the scale is fixed, so that a size looks the same in every patient; along the body the height of the lungs is divided,
so that a slab lies at the same place in every patient.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.evidence import Grid
from sdx_domains.medicine.volume import PADDING_HU, Volume

SLABS, CHANNELS, PIXELS, CELLS = 32, 6, 192, 24
PIXEL_MM = 2.0
CELL_MM = PIXEL_MM * PIXELS / CELLS
WINDOWS_HU = ((-1350.0, 150.0), (-1350.0, 150.0), (-160.0, 240.0), (100.0, 1500.0), (-900.0, 300.0), (-1050.0, -550.0))
"""Of the channels: lung (the lowest thin section of the slab, and the highest: walls and meshes are gone from a mean), mediastinum (mean of
the slab), calcium and bone (maximum), small dense objects in lung (maximum), holes in lung (minimum)."""
THIN = 3
"""Thin sections to a slab."""
FINE = 2
"""Fine pixels to a pixel, along each side (_pooled takes two): maxima and minima are taken over these, so that the noise of thin
slices weighs no more than that of thick ones."""
MARGIN_MM = (25.0, 12.0)
"""Below and above the lungs: fluid, a hernia and the apices lie there."""
LEAST_HEIGHT_MM = 190.0
"""A shorter piece of a chest is not stretched: slabs beyond it are air."""
COARSE_MM = 6.0
LUNG_BELOW_HU = -400
LEAST_LUNG_ML = 80.0
LEAST_LUNG_AREA_CM2 = 8.0
"""Of a slice that belongs to the lungs: leaves out windpipe and gas of the gut."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Which part of the patient the model is shown, LPS mm."""

    z_low_mm: float
    z_high_mm: float
    x_mm: float
    y_mm: float
    """Of the middle of the picture."""


def slabs(volume: Volume, seen: Frame | None = None) -> tuple[NDArray[np.uint8], Grid]:
    """(SLABS, CHANNELS, PIXELS, PIXELS) and where the cells of the encoder's maps, (SLABS, CELLS, CELLS), lie in the patient.

    Deterministic. `seen` saves the search for the lungs where frame(volume) is at hand.
    """
    seen = seen or frame(volume)
    thick = (seen.z_high_mm - seen.z_low_mm) / SLABS
    thin_z = seen.z_low_mm + (np.arange(SLABS * THIN) + 0.5) * thick / THIN
    fine = _resampled(volume, thin_z, thick / THIN, seen)
    highest = _pooled(fine, np.maximum).reshape(SLABS, THIN, PIXELS, PIXELS).max(axis=1)
    lowest = _pooled(fine, np.minimum).reshape(SLABS, THIN, PIXELS, PIXELS).min(axis=1)
    thin = _pooled(fine, np.add).reshape(SLABS, THIN, PIXELS, PIXELS) / np.float32(FINE**2)
    shown = thin[:, 0], thin[:, -1], thin.mean(axis=1), highest, highest, lowest
    picture = np.stack([_windowed(channel, window) for channel, window in zip(shown, WINDOWS_HU, strict=True)], axis=1)
    first = -(CELLS - 1) / 2 * CELL_MM
    return picture, Grid(z_mm=thin_z.reshape(SLABS, THIN).mean(axis=1), y0_mm=seen.y_mm + first, x0_mm=seen.x_mm + first, cell_mm=CELL_MM)


def frame(volume: Volume) -> Frame:
    """The chest by its air, on a coarse grid; the whole volume where there is no lung."""
    steps = tuple(max(1, round(COARSE_MM / spacing)) for spacing in volume.spacing_mm)
    hu = volume.hu[:: steps[0], :: steps[1], :: steps[2]]
    spacing = np.array(volume.spacing_mm) * steps
    lungs = _lungs(hu < LUNG_BELOW_HU, float(np.prod(spacing)) / 1000)
    by_slice = lungs.sum(axis=(1, 2)) * spacing[1] * spacing[2] / 100 >= LEAST_LUNG_AREA_CM2
    if not by_slice.any():
        lungs, by_slice = np.ones_like(hu, dtype=bool), np.ones(len(hu), dtype=bool)
    z_mm = volume.z_mm[:: steps[0]]
    shown = np.flatnonzero(by_slice)
    low, high = float(z_mm[shown[0]]) - MARGIN_MM[0], float(z_mm[shown[-1]] + spacing[0]) + MARGIN_MM[1]
    short = max(0.0, LEAST_HEIGHT_MM - (high - low)) / 2
    middle = [_middle(np.any(lungs, axis=axis), step) for axis, step in (((0, 2), spacing[1]), ((0, 1), spacing[2]))]
    x0, y0, _ = volume.origin_lps_mm
    return Frame(z_low_mm=low - short, z_high_mm=high + short, x_mm=x0 + middle[1], y_mm=y0 + middle[0])


def _lungs(air: NDArray[np.bool_], voxel_ml: float) -> NDArray[np.bool_]:
    """Air inside the body: pieces that do not reach the sides of the picture, and are not small beside the largest."""
    from sdx_domains.medicine.measure.image import ndimage  # scipy takes a moment to load

    pieces, count = ndimage.label(air)
    sides = np.unique(np.concatenate([pieces[:, [0, -1]].ravel(), pieces[:, :, [0, -1]].ravel()]))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_ml
    sizes[sides] = 0
    sizes[0] = 0
    return (sizes >= max(LEAST_LUNG_ML, 0.1 * sizes.max()))[pieces]


def _middle(occupied: NDArray[np.bool_], step_mm: float) -> float:
    where = np.flatnonzero(occupied)
    return float((where[0] + where[-1]) / 2 * step_mm)


def _resampled(volume: Volume, z_mm: NDArray[np.float64], thin_mm: float, seen: Frame) -> NDArray[np.float32]:
    """HU on the fine grid, (sections, PIXELS * FINE, PIXELS * FINE)."""
    x0, y0, _ = volume.origin_lps_mm
    across = (np.arange(PIXELS * FINE) + 0.5) * PIXEL_MM / FINE - PIXELS * PIXEL_MM / 2
    rows = _weights(y0 + np.arange(volume.hu.shape[1]) * volume.spacing_mm[1], across + seen.y_mm, PIXEL_MM / FINE, volume.spacing_mm[1])
    columns = _weights(x0 + np.arange(volume.hu.shape[2]) * volume.spacing_mm[2], across + seen.x_mm, PIXEL_MM / FINE, volume.spacing_mm[2])
    along = _weights(volume.z_mm, z_mm, thin_mm, volume.spacing_mm[0])
    fine = np.empty((len(z_mm), len(across), len(across)), dtype=np.float32)
    for section in range(len(z_mm)):
        own = slice(along.indptr[section], along.indptr[section + 1])
        plane = np.zeros(volume.hu.shape[1:], dtype=np.float32)
        for index, weight in zip(along.indices[own], along.data[own], strict=True):
            plane += weight * (volume.hu[index] - np.float32(PADDING_HU))
        fine[section] = (columns @ (rows @ plane).T).T
    fine += PADDING_HU
    return fine


def _pooled(fine: NDArray[np.float32], how: np.ufunc) -> NDArray[np.float32]:
    """Fine pixels put together to pixels."""
    rows = how(fine[:, 0::FINE], fine[:, 1::FINE])
    return how(rows[:, :, 0::FINE], rows[:, :, 1::FINE])


def _weights(have_mm: NDArray[np.float64], want_mm: NDArray[np.float64], want_step: float, have_step: float) -> Any:
    """Sparse (want, have): linear interpolation where the grid gets finer, a triangle as wide as the new step where it gets coarser.

    A row of zeros where there is nothing near: it stays PADDING_HU.
    """
    from scipy import sparse

    wide = max(want_step, have_step)
    near = np.clip(1 - np.abs(want_mm[:, None] - have_mm[None, :]) / wide, 0, None)
    total = near.sum(axis=1, keepdims=True)
    beyond = (want_mm < have_mm[0] - have_step / 2) | (want_mm > have_mm[-1] + have_step / 2)
    near = np.divide(near, total, out=np.zeros_like(near), where=(total > 0) & ~beyond[:, None])
    return sparse.csr_matrix(near.astype(np.float32))


def _windowed(hu: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    return np.clip((hu - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
