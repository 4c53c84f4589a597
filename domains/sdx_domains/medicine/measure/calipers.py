"""A piece of a volume on a grid that suits its size, and how long and wide a shape in it is. Start at crop() and axes()."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.distance import depth_mm
from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.volume import Volume

FINE_MM = 0.9
"""Wanted in the plane: coarser pixels are interpolated, for large things finer ones are left out."""
MOST_PIXELS = 110
LARGEST_CAVITY_MM2 = 1500.0
TURNS = 36
"""Of the callipers: every 5 degrees."""

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Crop:
    """Rows and columns resampled by `zoom`, slices as they are."""

    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    start: tuple[int, int, int]
    zoom: tuple[float, float]

    def voxel(self, index: Point) -> Point:
        """Index in the volume (slice, row, column) of an index here."""
        return (
            index[0] + self.start[0],
            self.start[1] + (index[1] + 0.5) / self.zoom[0] - 0.5,
            self.start[2] + (index[2] + 0.5) / self.zoom[1] - 0.5,
        )

    def index(self, voxel: Point) -> tuple[int, int, int]:
        """Nearest index here to one in the volume."""
        row, column = ((voxel[axis + 1] - self.start[axis + 1] + 0.5) * self.zoom[axis] - 0.5 for axis in (0, 1))
        wanted = (voxel[0] - self.start[0], row, column)
        level, row, column = (int(np.clip(round(each), 0, n - 1)) for each, n in zip(wanted, self.hu.shape, strict=True))
        return level, row, column


def crop(volume: Volume, centre_lps_mm: Point, half_mm: float) -> Crop:
    """A box of at most 2 * half_mm around a point."""
    centre = volume.index(centre_lps_mm)
    spans = [
        slice(max(0, at - int(half_mm / step) - 1), min(n, at + int(half_mm / step) + 2))
        for at, step, n in zip(centre, volume.spacing_mm, volume.hu.shape, strict=True)
    ]
    hu = volume.hu[spans[0], spans[1], spans[2]].astype(np.float32)
    wanted = max(FINE_MM, 2 * half_mm / MOST_PIXELS)
    times = [volume.spacing_mm[axis] / wanted for axis in (1, 2)]
    if max(times) > 1.25 or min(times) < 0.8:
        sizes = [max(2, round(n * factor)) for n, factor in zip(hu.shape[1:], times, strict=True)]
        zoom = (sizes[0] / hu.shape[1], sizes[1] / hu.shape[2])
        if max(times) < 0.8:
            hu = ndimage.uniform_filter(hu, size=(1, *(max(1, round(1 / factor)) for factor in times)))
        hu = ndimage.zoom(hu, (1, *zoom), order=1, grid_mode=True, mode="nearest")
    else:
        zoom = (1.0, 1.0)
    spacing = (volume.spacing_mm[0], volume.spacing_mm[1] / zoom[0], volume.spacing_mm[2] / zoom[1])
    return Crop(hu=hu, spacing_mm=spacing, start=(spans[0].start, spans[1].start, spans[2].start), zoom=zoom)


def axes(section: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """(long, short) of a section in mm: greatest calliper width, and the width at right angles to it."""
    inner = section.copy()
    inner[1:-1, 1:-1] &= ~(section[:-2, 1:-1] & section[2:, 1:-1] & section[1:-1, :-2] & section[1:-1, 2:])
    points = np.argwhere(inner) * spacing_mm
    angle = np.arange(TURNS) * np.pi / TURNS
    along = points @ np.stack([np.cos(angle), np.sin(angle)])
    widths = along.max(axis=0) - along.min(axis=0) + float(np.mean(spacing_mm))
    longest = int(widths.argmax())
    return float(widths[longest]), float(widths[(longest + TURNS // 2) % TURNS])


def without_holes(mask: NDArray[np.bool_], pixel_mm2: float) -> NDArray[np.bool_]:
    """With the holes of each section that are no larger than a cavity filled; larger ones are lung."""
    out = mask.copy()
    for section in out:
        holes, count = ndimage.label(ndimage.binary_fill_holes(section) & ~section)
        if count:
            small = np.bincount(holes.ravel(), minlength=count + 1) * pixel_mm2 <= LARGEST_CAVITY_MM2
            small[0] = False
            section |= small[holes]
    return out


def opened(mask: NDArray[np.bool_], at: tuple[int, int, int], spacing_mm: Point, radius_mm: float) -> NDArray[np.bool_] | None:
    """The piece of `mask` around an index without what is thinner than a ball of radius_mm (opening); None where nothing is left."""
    if not mask.any():
        return None
    core = depth_mm(mask, spacing_mm) > radius_mm
    pieces, count = ndimage.label(core)
    if not count:
        return None
    number = pieces[at] or _nearest(pieces, at, spacing_mm)
    core = pieces == number
    return mask & near(core, spacing_mm, radius_mm + 0.35 * min(spacing_mm))


def near(mask: NDArray[np.bool_], spacing_mm: Point, reach_mm: float) -> NDArray[np.bool_]:
    """Cells no farther than reach_mm from a cell of `mask`, itself among them. Looked for in the box where they can be alone."""
    out = np.zeros_like(mask)
    box = box_around(mask, [int(reach_mm / step) + 1 for step in spacing_mm])
    if box is not None:
        out[box] = depth_mm(~mask[box], spacing_mm) <= reach_mm
    return out


def box_around(mask: NDArray[np.bool_], margin: Sequence[int]) -> tuple[slice, slice, slice] | None:
    """Smallest box that holds a mask and so many cells more on each side, as far as there are some; None where it is empty."""
    spans = []
    for axis, more in enumerate(margin):
        found = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(found):
            return None
        spans.append(slice(max(0, int(found[0]) - more), int(found[-1]) + 1 + more))
    return spans[0], spans[1], spans[2]


def _nearest(pieces: NDArray[np.int32], at: tuple[int, int, int], spacing_mm: Point) -> int:
    where = np.argwhere(pieces)
    return int(pieces[tuple(where[np.hypot.reduce((where - np.array(at)) * spacing_mm, axis=1).argmin()])])
