"""A volume on a grid of about 3 mm, by means of blocks: quick to segment, and with little noise. Start at reduced()."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.volume import Volume

CELL_MM = 2.8
"""Aimed at; a volume that is coarser than half of it is taken as it is."""

Index = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Reduced:
    """Block means and where they lie. Axes as of Volume."""

    hu: NDArray[np.float32]
    steps: tuple[int, int, int]
    """Voxels of the volume to a cell."""
    spacing_mm: tuple[float, float, float]
    origin_lps_mm: tuple[float, float, float]
    z_mm: NDArray[np.float64]

    @property
    def cell_ml(self) -> float:
        return self.spacing_mm[0] * self.spacing_mm[1] * self.spacing_mm[2] / 1000

    def lps_mm(self, index: Index) -> tuple[float, float, float]:
        """(x, y, z) of a cell index (slice, row, column), fractions allowed."""
        z = float(np.interp(index[0], np.arange(len(self.z_mm)), self.z_mm))
        return self.origin_lps_mm[0] + index[2] * self.spacing_mm[2], self.origin_lps_mm[1] + index[1] * self.spacing_mm[1], z

    def cell(self, lps_mm: tuple[float, float, float]) -> tuple[int, int, int]:
        """Cell nearest to a point, held inside the grid."""
        row = round((lps_mm[1] - self.origin_lps_mm[1]) / self.spacing_mm[1])
        column = round((lps_mm[0] - self.origin_lps_mm[0]) / self.spacing_mm[2])
        level = int(np.abs(self.z_mm - lps_mm[2]).argmin())
        return level, min(max(row, 0), self.hu.shape[1] - 1), min(max(column, 0), self.hu.shape[2] - 1)

    def spread(self, mask: NDArray[np.bool_], first: int, last: int, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        """Mask of the grid on the slices first..last-1 of the volume; what the grid left over at the edges is False."""
        level = np.minimum(np.arange(first, last) // self.steps[0], mask.shape[0] - 1)
        whole = np.repeat(np.repeat(mask[level], self.steps[1], axis=1), self.steps[2], axis=2)
        out = np.zeros((last - first, *shape[1:]), dtype=bool)
        rows, columns = min(shape[1], whole.shape[1]), min(shape[2], whole.shape[2])
        out[:, :rows, :columns] = whole[:, :rows, :columns]
        return out


def reduced(volume: Volume, cell_mm: float = CELL_MM) -> Reduced:
    """A block at a time, so that no second copy of the volume is made; a last incomplete block of slices counts, of rows it is left out."""
    steps = tuple(max(1, int(cell_mm / spacing + 0.3)) for spacing in volume.spacing_mm)
    depth, height, width = steps
    starts = range(0, len(volume.hu), depth)
    rows, columns = volume.hu.shape[1] // height, volume.hu.shape[2] // width
    hu = np.empty((len(starts), rows, columns), dtype=np.float32)
    for cell, start in enumerate(starts):
        block = volume.hu[start : start + depth, : rows * height, : columns * width]
        plane = block.sum(axis=0, dtype=np.int32)
        if height * width > 1:
            plane = np.add.reduceat(
                np.add.reduceat(plane, np.arange(0, plane.shape[0], height), axis=0), np.arange(0, plane.shape[1], width), axis=1
            )
        hu[cell] = plane / np.float32(len(block) * height * width)
    x, y, z = volume.lps_mm(((depth - 1) / 2, (height - 1) / 2, (width - 1) / 2))
    z_mm = np.array([float(volume.z_mm[start : start + depth].mean()) for start in starts])
    spacing = (volume.spacing_mm[0] * depth, volume.spacing_mm[1] * height, volume.spacing_mm[2] * width)
    return Reduced(hu=hu, steps=(depth, height, width), spacing_mm=spacing, origin_lps_mm=(x, y, z), z_mm=z_mm)
