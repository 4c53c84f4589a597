"""The room inside the ribs: how far out it goes in each direction at each height, by the nearest bone and by where there is lung."""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.measure.reduced import Reduced

BONE_ABOVE_HU = 170.0
"""Of a block mean: ribs are thinner than a block."""
BONE_ABOVE_BLOOD_HU = 90.0
WITHIN_SHARE = 0.7
"""With contrast, what is no denser than blood is bone only so far out: share of where the lung ends in that direction at other heights."""
LEAST_BONE_ML = 1.5
"""Smaller pieces are calcified vessels or nodules."""
DIRECTIONS = 120
REACH_MM = 22.0
"""Of a rib up and down, to close the gaps between ribs."""
UNDER_RIB_MM = 2.0
SPINE_HALF_MM = 15.0
SPINE_IN_CONTRAST_HU = 120.0
"""Of marrow too; with a narrower band, for the aorta runs beside the spine."""
SPINE_IN_CONTRAST_HALF_MM = 8.0
SPINE_SHARE = 0.8
"""Of the heights that the densest row reaches: the spine is there from top to bottom, the heart is not."""
SPINE_BEFORE_LUNGS_END_MM = 65.0
"""The vertebrae's front lies no further in front of where the lungs end behind."""


def inside_ribs(lungs: NDArray[np.bool_], grid: Reduced, middle_x_mm: float) -> tuple[NDArray[np.bool_], float]:
    """(mask of all that lies inside the ribs between the lungs' ends, y of the spine's front). The mask is empty without lungs."""
    levels = np.flatnonzero(lungs.any(axis=(1, 2)))
    rows = np.flatnonzero(lungs.any(axis=(0, 2)))
    y = grid.origin_lps_mm[1] + np.arange(grid.hu.shape[1]) * grid.spacing_mm[1]
    x = grid.origin_lps_mm[0] + np.arange(grid.hu.shape[2]) * grid.spacing_mm[2]
    if not len(levels):
        return np.zeros_like(lungs), float(y[-1])
    centre_y = float(y[rows[0]] + y[rows[-1]]) / 2
    radius = np.hypot(y[:, None] - centre_y, x[None, :] - middle_x_mm).astype(np.float32)
    angle = np.arctan2(y[:, None] - centre_y, x[None, :] - middle_x_mm)
    direction = np.floor((angle + np.pi) / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS
    bone = bones(grid, BONE_ABOVE_HU)
    lung_out = _reach(lungs, direction, radius, np.maximum, 0.0)
    here = np.nonzero(bone)
    beyond = radius[here[1:]] > lung_out[here[0], direction[here[1:]]] - 4.0
    blood = blood_hu(lungs, grid)
    contrast = blood + BONE_ABOVE_BLOOD_HU > BONE_ABOVE_HU
    if contrast:
        outer = WITHIN_SHARE * np.percentile(lung_out, 90, axis=0)
        beyond &= (grid.hu[here] > blood + BONE_ABOVE_BLOOD_HU) | (radius[here[1:]] > outer[direction[here[1:]]])
    bone_in = np.full(lung_out.shape, np.inf, dtype=np.float32)
    np.minimum.at(bone_in, (here[0][beyond], direction[here[1:]][beyond]), radius[here[1:]][beyond])
    near = 2 * round(REACH_MM / grid.spacing_mm[0]) + 1
    bone_in = ndimage.minimum_filter(bone_in, size=(near, 1), mode="nearest")
    around = np.concatenate([bone_in[:, -3:], bone_in, bone_in[:, :3]], axis=1)
    bone_in = ndimage.median_filter(around, size=(3, 7), mode="nearest")[:, 3:-3]
    out = np.maximum(_bridged(np.where(np.isfinite(bone_in), bone_in - UNDER_RIB_MM, np.where(lung_out > 0, lung_out, np.inf))), lung_out)
    inside = radius[None] <= out[:, direction]
    inside[: levels[0]] = False
    inside[levels[-1] + 1 :] = False
    tall = slice(levels[0], levels[-1] + 1)
    if contrast:
        behind = max(centre_y, float(y[rows[-1]]) - SPINE_BEFORE_LUNGS_END_MM)
        return inside, _spine_in_contrast(grid.hu[tall] > SPINE_IN_CONTRAST_HU, x, y, middle_x_mm, behind)
    return inside, _spine(bone[tall], x, y, middle_x_mm, centre_y)


def _bridged(radius: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions without bone or lung take the straight course between their neighbours; a slice without any, 0."""
    out = np.zeros_like(radius)
    for level, around in enumerate(radius):
        known = np.flatnonzero(np.isfinite(around))
        if len(known):
            out[level] = np.interp(np.arange(DIRECTIONS), known, around[known], period=DIRECTIONS)
    return out


def bones(grid: Reduced, above_hu: float) -> NDArray[np.bool_]:
    """Dense pieces; calcified specks and noise left out."""
    dense = grid.hu > above_hu
    pieces, count = ndimage.label(dense, ndimage.generate_binary_structure(3, 2))
    keep = np.bincount(pieces.ravel(), minlength=count + 1) * grid.cell_ml >= LEAST_BONE_ML
    keep[0] = False
    return keep[pieces]


def blood_hu(lungs: NDArray[np.bool_], grid: Reduced) -> float:
    """Of heart and great vessels: a high percentile of the soft tissue in the middle of the chest."""
    where = [np.flatnonzero(lungs.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    spans = [slice(int(at[0] + 0.3 * len(at)), int(at[0] + 0.6 * len(at)) + 1) for at in where]
    box = grid.hu[spans[0], spans[1], spans[2]]
    soft = box[(box > 0) & (box < 600)]
    return float(np.percentile(soft, 75)) if soft.size > 50 else 45.0


def _reach(
    mask: NDArray[np.bool_], direction: NDArray[np.int_], radius: NDArray[np.float32], how: np.ufunc, start: float
) -> NDArray[np.float32]:
    """(slices, DIRECTIONS) farthest radius of the mask."""
    out = np.full((len(mask), DIRECTIONS), start, dtype=np.float32)
    here = np.nonzero(mask)
    how.at(out, (here[0], direction[here[1:]]), radius[here[1:]])
    return out


def _spine(bone: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], middle_x_mm: float, centre_y_mm: float) -> float:
    """Front of the spine: where, behind the centre, most slices have bone in the middle."""
    band = bone[:, :, np.abs(x - middle_x_mm) < SPINE_HALF_MM] & (y > centre_y_mm)[None, :, None]
    share = np.max(band, axis=2)
    first = np.where(np.max(share, axis=1), np.argmax(share, axis=1), -1)
    found = first[first >= 0]
    return float(y[int(np.median(found))]) if len(found) else float(y[-1])


def _spine_in_contrast(
    dense: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], middle_x_mm: float, behind_y_mm: float
) -> float:
    """The same where blood is as dense as bone."""
    rows = y > behind_y_mm
    here = dense[:, rows][:, :, np.abs(x - middle_x_mm) < SPINE_IN_CONTRAST_HALF_MM].any(axis=2)
    share = ndimage.binary_dilation(here, np.ones((1, 3), dtype=bool)).mean(axis=0)
    return float(y[rows][int(np.argmax(share >= SPINE_SHARE * share.max()))]) if share.any() else float(y[-1])
