"""What lies between lung and ribs: fluid, and air that is in no lung. Masks on the reduced grid, by side."""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.anatomy import LEFT, RIGHT, Anatomy, once
from sdx_domains.medicine.measure.image import ndimage

FLUID_HU = (-18.0, 31.0)
"""Simple effusion measures 0 to 20 HU (knowledge FD-2), with what noise leaves after averaging; muscle lies at 40 and above."""
EDGE_HU = -400.0
"""Half way between fluid and lung: what touches fluid and is denser belongs to it."""
BESIDE_SPINE_MM = 30.0
HIGHEST = 0.8
"""Share of the lung's height above which fluid does not lie alone."""
LEAST_FLUID_ML = 8.0
"""Physiological fluid is a few ml (Noppen et al. 2000); less than this is partial volume."""
FREE_AIR_HU = -962.0
"""Block mean of air without tissue; hyperinflated lung stays above -950 (Gevenois et al. 1996)."""
LEAST_AIR_ML = 8.0
NEAR_WALL_MM = 7.0
WALL_SHARE = 0.12
"""Of a piece that must lie along the ribs: fluid and air of the pleura do, cysts of the pericardium and holes of the lung do not."""


def fluid(anatomy: Anatomy) -> NDArray[np.uint8]:
    """RIGHT, LEFT or 0. Pieces of fluid density that lie along the ribs, behind the middle of the chest."""
    return once(anatomy, "fluid", lambda: _fluid(anatomy))


def free_air(anatomy: Anatomy) -> NDArray[np.uint8]:
    """RIGHT, LEFT or 0. Pieces of air without tissue that lie along the ribs."""
    return once(anatomy, "free air", lambda: _free_air(anatomy))


def _fluid(anatomy: Anatomy) -> NDArray[np.uint8]:
    grid = anatomy.grid
    room = anatomy.inside & (anatomy.lungs == 0) & ~_beside_spine(anatomy)
    soft = _smoothed(grid.hu, room)
    wet = ndimage.binary_opening((soft > FLUID_HU[0]) & (soft < FLUID_HU[1]) & room, _ball(grid.spacing_mm, 4.5))
    found = _pieces(wet, anatomy, LEAST_FLUID_ML, behind=True)
    edge = room & (grid.hu > EDGE_HU) & (grid.hu < FLUID_HU[1]) & (found == 0)
    grown = ndimage.grey_dilation(found, footprint=_ball((1e9, *grid.spacing_mm[1:]), 3.0))
    return np.where(edge, grown, found).astype(np.uint8)


def _smoothed(hu: NDArray[np.float32], room: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median of each cell and its neighbours in the slice, in the box around a room; as it was elsewhere."""
    out = hu.copy()
    box = ndimage.find_objects(room.astype(np.uint8))
    if box:
        out[box[0]] = ndimage.median_filter(hu[box[0]], size=(1, 3, 3))
    return out


def _beside_spine(anatomy: Anatomy) -> NDArray[np.bool_]:
    """Behind the front of the spine and near the middle there is muscle and marrow, of which mixed cells look like fluid."""
    grid = anatomy.grid
    x = grid.origin_lps_mm[0] + np.arange(grid.hu.shape[2]) * grid.spacing_mm[2]
    y = grid.origin_lps_mm[1] + np.arange(grid.hu.shape[1]) * grid.spacing_mm[1]
    return (y > anatomy.spine_y_mm)[None, :, None] & (np.abs(x - anatomy.midline_x_mm) < BESIDE_SPINE_MM)[None, None, :]


def _free_air(anatomy: Anatomy) -> NDArray[np.uint8]:
    empty = (anatomy.grid.hu < FREE_AIR_HU) & (anatomy.lungs > 0)
    return _pieces(ndimage.binary_opening(empty, _ball(anatomy.grid.spacing_mm, 3.5)), anatomy, LEAST_AIR_ML, behind=False)


def _pieces(mask: NDArray[np.bool_], anatomy: Anatomy, least_ml: float, behind: bool) -> NDArray[np.uint8]:
    grid = anatomy.grid
    out = np.zeros(mask.shape, dtype=np.uint8)
    pieces, count = ndimage.label(mask)
    if not count:
        return out
    numbers = np.arange(1, count + 1)
    wall = anatomy.inside & ~ndimage.binary_erosion(anatomy.inside, _ball((1e9, *grid.spacing_mm[1:]), NEAR_WALL_MM))
    large = ndimage.sum_labels(mask, pieces, numbers) * grid.cell_ml >= least_ml
    along = ndimage.mean(wall, pieces, numbers) >= WALL_SHARE
    for number in numbers[large & along]:
        piece = pieces == number
        level, row, column = (float(each.mean()) for each in np.nonzero(piece))
        centre = grid.lps_mm((level, row, column))
        rows = np.flatnonzero((anatomy.lungs > 0).any(axis=(0, 2)))
        middle_y = grid.origin_lps_mm[1] + grid.spacing_mm[1] * (rows[0] + rows[-1]) / 2
        if not behind or (centre[1] > middle_y and anatomy.height(centre) < HIGHEST):
            out[piece] = RIGHT if centre[0] < anatomy.midline_x_mm else LEFT
    return out


def _ball(spacing_mm: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Structuring element of a radius, at least one cell in the plane."""
    reach = [max(int(radius_mm / spacing), 1 if axis else 0) for axis, spacing in enumerate(spacing_mm)]
    z, y, x = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1, -reach[2] : reach[2] + 1]
    inside = (z * spacing_mm[0]) ** 2 + (y * spacing_mm[1]) ** 2 + (x * spacing_mm[2]) ** 2 <= max(
        radius_mm, 1.01 * max(spacing_mm[1:])
    ) ** 2
    return inside
