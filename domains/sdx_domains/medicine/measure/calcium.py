"""Calcium in the walls of coronaries and aorta, and metal: dense specks at full resolution, told apart by place, size and density."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.anatomy import Anatomy, once
from sdx_domains.medicine.measure.cage import BONE_ABOVE_BLOOD_HU, BONE_ABOVE_HU, blood_hu, bones
from sdx_domains.medicine.measure.heart import Heart
from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.volume import Volume

CALCIUM_HU = 130
"""Agatston et al. 1990; without contrast."""
ABOVE_BLOOD_HU = 160
"""With contrast: calcium must stand out from it."""
PEAK_HU = 190
"""Of a speck, so that noise of thin slices is none."""
LEAST_MM3 = 4.0
LARGEST_ML = 4.0
LONGEST_MM = 55.0
METAL_HU = (1000, 1300, 2000)
"""Of its edge, of its peak inside the ribs, where there is no bone, and of its peak elsewhere. Metal is above 2000 HU (knowledge FD-1), but
a voxel holds only a part of a wire; plaques stay below 1300, the cortex of large bones below 2000."""
LEAST_METAL_ML = 0.02
OFF_BONE_MM = 5.0
OFF_SPINE_MM = 38.0
"""In front of the spine lies the descending aorta; further in front the heart."""
RIGHT_OF_AORTA_MM, OFF_OSTEOPHYTES_MM = 15.0, 10.0
"""So far right of the midline there is no descending aorta: what is dense beside the heart is in its groove, unless it is on the spine."""
ABOVE_HEART_MM = 6.0
"""The arteries' beginnings lie a little above the slice in which the heart is told from the vessels."""
OVERSHOOT, NEAR_AIR_MM, AIR_HU = 0.2, 5.0, -500.0
"""A sharp kernel overshoots at the wall of airways and vessels by up to a fifth of the step from air (0.17 in drawn patients): no calcium."""


@dataclass(frozen=True, slots=True)
class Speck:
    """Something dense. Positions in LPS mm."""

    ml: float
    centre_lps_mm: tuple[float, float, float]
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    """Voxels of its corners (slice, row, column), high included."""
    peak_hu: float
    largest: int
    """Slice with most of it."""


def calcium(volume: Volume, anatomy: Anatomy, of: Heart | None) -> tuple[list[Speck], list[Speck]]:
    """(coronary, aorta and great vessels). Without an outline of the heart all is taken as arterial."""
    return once(anatomy, "calcium", lambda: _calcium(volume, anatomy, of))


def metal(volume: Volume, anatomy: Anatomy) -> list[Speck]:
    """Pieces of metal in the body; thin wires only inside the ribs."""
    return once(anatomy, "metal", lambda: _metal(volume, anatomy))


def _calcium(volume: Volume, anatomy: Anatomy, of: Heart | None) -> tuple[list[Speck], list[Speck]]:
    grid = anatomy.grid
    blood = blood_hu(anatomy.lungs > 0, grid)
    threshold = CALCIUM_HU if blood < 100 else blood + ABOVE_BLOOD_HU
    reach = max(1, round(OFF_BONE_MM / grid.spacing_mm[1]))
    flat = np.ones((1, 3, 3), dtype=bool)
    bony = ndimage.binary_dilation(bones(grid, max(BONE_ABOVE_HU, blood + BONE_ABOVE_BLOOD_HU)), flat, iterations=reach)
    room = anatomy.mediastinum & ~bony
    room[: dome_level(anatomy, of)] = False
    found = [
        speck
        for speck in specks(volume, anatomy, room, threshold)
        if speck.ml * 1000 >= LEAST_MM3
        and speck.ml <= LARGEST_ML
        and max(PEAK_HU, threshold, _overshoot_hu(volume, speck, blood)) <= speck.peak_hu < METAL_HU[1]
        and _extent_mm(volume, speck) < LONGEST_MM
    ]
    coronary = [speck for speck in found if of is not None and _on_heart(speck, anatomy, of)]
    return coronary, [speck for speck in found if speck not in coronary]


def _metal(volume: Volume, anatomy: Anatomy) -> list[Speck]:
    body = ndimage.binary_dilation(anatomy.body, iterations=1)
    edge, within, anywhere = METAL_HU
    inner = ndimage.binary_erosion(anatomy.inside, np.ones((1, 5, 5), dtype=bool)) & (anatomy.mediastinum | (anatomy.chest > 0))
    return [
        speck
        for speck in specks(volume, anatomy, body, edge)
        if speck.ml >= LEAST_METAL_ML
        and (speck.peak_hu >= anywhere or (speck.peak_hu >= within and inner[anatomy.grid.cell(speck.centre_lps_mm)]))
    ]


def dome_level(anatomy: Anatomy, of: Heart | None) -> int:
    """Slices of the grid below the heart are belly."""
    return max(0, of.first - max(1, round(25 / anatomy.grid.spacing_mm[0]))) if of else 0


def specks(volume: Volume, anatomy: Anatomy, room: NDArray[np.bool_], above_hu: float) -> list[Speck]:
    """Connected pieces above a density within a mask of the reduced grid; only slices whose maximum reaches it are labelled."""
    shape = (volume.hu.shape[0], volume.hu.shape[1], volume.hu.shape[2])
    box = _box(room, anatomy.grid.steps, shape)
    if box is None:
        return []
    part = volume.hu[box]
    dense = part > above_hu
    levels = np.flatnonzero(dense.any(axis=(1, 2)))
    if not len(levels):
        return []
    rows, columns = box[1], box[2]
    dense &= anatomy.grid.spread(room, box[0].start, box[0].stop, shape)[:, rows, columns]
    pieces, _ = ndimage.label(dense, np.ones((3, 3, 3), dtype=bool))
    voxel_ml = float(np.prod(volume.spacing_mm)) / 1000
    start = np.array([each.start for each in box])
    out = []
    for number, at in enumerate(ndimage.find_objects(pieces), 1):
        own = pieces[at] == number
        if own.sum() < 2 and part[at].max() < above_hu + 170:
            continue
        corner = start + [each.start for each in at]
        centre = corner + np.array([each.mean() for each in np.nonzero(own)])
        out.append(
            Speck(
                ml=float(own.sum()) * voxel_ml,
                centre_lps_mm=volume.lps_mm((float(centre[0]), float(centre[1]), float(centre[2]))),
                low=(int(corner[0]), int(corner[1]), int(corner[2])),
                high=tuple(int(c + n - 1) for c, n in zip(corner, own.shape, strict=True)),  # type: ignore[arg-type]
                peak_hu=float(part[at][own].max()),
                largest=int(corner[0] + own.sum(axis=(1, 2)).argmax()),
            )
        )
    return out


def _on_heart(speck: Speck, anatomy: Anatomy, of: Heart) -> bool:
    x, y, z = speck.centre_lps_mm
    low, high = anatomy.grid.z_mm[dome_level(anatomy, of)], anatomy.grid.z_mm[of.last]
    right = x < anatomy.midline_x_mm - RIGHT_OF_AORTA_MM and z <= high
    off_mm = OFF_OSTEOPHYTES_MM if right else OFF_SPINE_MM
    return bool(low <= z <= high + ABOVE_HEART_MM and anatomy.spine_y_mm - y > off_mm)


def _overshoot_hu(volume: Volume, speck: Speck, blood_hu: float) -> float:
    """What an edge of blood against air may reach where there is air near by; else 0."""
    reach = [max(1, round(NEAR_AIR_MM / step)) for step in volume.spacing_mm]
    near = tuple(slice(max(0, low - far), high + far + 1) for low, high, far in zip(speck.low, speck.high, reach, strict=True))
    lowest = float(volume.hu[near].min())
    return blood_hu + OVERSHOOT * (blood_hu - lowest) if lowest < AIR_HU else 0.0


def _extent_mm(volume: Volume, speck: Speck) -> float:
    return float(
        np.hypot.reduce([(high - low + 1) * step for low, high, step in zip(speck.low, speck.high, volume.spacing_mm, strict=True)])
    )


def _box(mask: NDArray[np.bool_], steps: tuple[int, int, int], shape: tuple[int, int, int]) -> tuple[slice, slice, slice] | None:
    """Of the volume, around a mask of the grid."""
    spans = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(found):
            return None
        spans.append(slice(int(found[0]) * steps[axis], min(int(found[-1] + 1) * steps[axis], shape[axis])))
    return spans[0], spans[1], spans[2]
