"""What the encoder's maps say, brought onto the reduced grid and narrowed to the tissue that is meant. Start at seen()."""

from math import exp

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.evidence import Evidence
from sdx_domains.medicine.measure.anatomy import Anatomy, Side
from sdx_domains.medicine.measure.thresholds import Room, thresholds

Mask = NDArray[np.bool_]


def seen(label: str, evidence: Evidence, anatomy: Anatomy) -> tuple[Mask, NDArray[np.float32]] | None:
    """(cells of the label's tissue in the hot part of its map, the map on the grid). Without such tissue: all hot cells.

    None where the encoder gives no map of the label, or a map of nothing.
    """
    coarse = evidence.maps.get(label)
    if coarse is None or float(coarse.max(initial=0.0)) <= 0.0:
        return None
    map_ = on_grid(coarse, evidence, anatomy)
    if float(map_.max()) <= 0.0:
        return None
    hot = _hot(map_, sides(label, evidence, anatomy), anatomy)
    low, high, room = thresholds().tissue[label]
    tissue = (anatomy.grid.hu >= low) & (anatomy.grid.hu <= high) & room_of(room, anatomy)
    for choice in (hot & tissue, hot & anatomy.body, hot):
        if choice.any():
            return choice, map_
    return None


def _hot(map_: NDArray[np.float32], named: tuple[Side, ...], anatomy: Anatomy) -> Mask:
    """Cells near the peak of the map, on each of the sides named near its own; sides without any name: of the whole map."""
    share = thresholds().hot
    if not named:
        return map_ >= share * float(map_.max())
    out = np.zeros(map_.shape, dtype=bool)
    for side in named:
        own = half(side, anatomy)
        peak = float((map_ * own).max())
        out |= (map_ >= share * peak) & own & (map_ > 0)
    return out


def half(side: Side, anatomy: Anatomy) -> Mask:
    """(1, 1, columns) of the reduced grid on the patient's side of the midline."""
    x = anatomy.grid.origin_lps_mm[0] + np.arange(anatomy.grid.hu.shape[2]) * anatomy.grid.spacing_mm[2]
    return ((x < anatomy.midline_x_mm) == (side == "right"))[None, None, :]


def sides(label: str, evidence: Evidence, anatomy: Anatomy) -> tuple[Side, ...]:
    """Sides that an encoder's map names, the hotter one first; () where it has none, or the table says nothing of the label."""
    row, map_ = thresholds().second_side.get(label), evidence.maps.get(label)
    x = evidence.grid.x0_mm + np.arange(0 if map_ is None else map_.shape[2]) * evidence.grid.cell_mm
    right = x < anatomy.midline_x_mm
    if row is None or map_ is None or not right.any() or right.all() or float(map_.max()) <= 0.0:
        return ()
    first: Side = "right" if map_[:, :, right].max() >= map_[:, :, ~right].max() else "left"
    second: Side = "left" if first == "right" else "right"
    columns = right if second == "right" else ~right
    cooler = map_[:, :, columns]
    at = np.unravel_index(int(cooler.argmax()), cooler.shape)
    hot = float(cooler[at])
    other = evidence.maps.get(row.unless)
    if hot < 1 / (1 + exp(-row.least)) or (other is not None and float(other[:, :, columns][at]) > hot):
        return (first,)
    return first, second


def on_grid(coarse: NDArray[np.float32], evidence: Evidence, anatomy: Anatomy) -> NDArray[np.float32]:
    """A map of cells as values of the reduced grid, linear between the middles of cells; 0 outside of them."""
    grid, cells = anatomy.grid, evidence.grid
    padded = np.pad(coarse.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    z = np.interp(grid.z_mm, cells.z_mm, np.arange(len(cells.z_mm)))
    thick = float(np.diff(cells.z_mm).mean()) if len(cells.z_mm) > 1 else grid.spacing_mm[0]
    off = (grid.z_mm < cells.z_mm[0] - thick) | (grid.z_mm > cells.z_mm[-1] + thick)
    for axis, start in ((1, cells.y0_mm), (2, cells.x0_mm)):
        at = (grid.origin_lps_mm[2 - axis] + np.arange(grid.hu.shape[axis]) * grid.spacing_mm[axis] - start) / cells.cell_mm + 1
        padded = _between(padded, at, axis)
    out = _between(padded, z, 0)
    out[off] = 0
    return out


def _between(values: NDArray[np.float32], at: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    """Linear along one axis; 0 beyond half a cell outside."""
    last = values.shape[axis] - 1
    low = np.clip(np.floor(at).astype(int), 0, max(last - 1, 0))
    shape = [1, 1, 1]
    shape[axis] = -1
    share = np.clip(at - low, 0, 1).astype(np.float32).reshape(shape)
    out = np.take(values, low, axis) * (1 - share) + np.take(values, np.minimum(low + 1, last), axis) * share
    return np.where(((at >= -0.01) & (at <= last + 0.01)).reshape(shape), out, np.float32(0))


def room_of(room: Room, anatomy: Anatomy) -> Mask:
    if room == "lung":
        return anatomy.lungs > 0
    if room == "chest":
        return anatomy.chest > 0
    if room == "inside":
        return anatomy.inside
    return anatomy.mediastinum if room == "mediastinum" else anatomy.body
