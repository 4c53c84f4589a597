"""Round dense things in the lungs: found on a grid of about 2 mm, measured at full resolution by region growing. Start at nodules()."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.anatomy import Anatomy, once
from sdx_domains.medicine.measure.calipers import Crop, axes, box_around, crop, near, opened, without_holes
from sdx_domains.medicine.measure.distance import depth_mm
from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.measure.reduced import Reduced, reduced
from sdx_domains.medicine.volume import Volume

Kind = Literal["solid", "part-solid", "ground-glass", "calcified"]
CELL_MM = 2.0
SOLID_HU, GLASS_HU = -450.0, -690.0
"""Dense enough to be looked at: half way between lung and soft tissue, and between lung and ground glass."""
WORN_MM = (2.2, 3.4)
"""What is thinner than twice this is a vessel or a partial volume: of solid things, of ground glass."""
MOST = 24
SEEDS, POINTED_SEEDS = 12, 5
"""Of each density that are measured, in both lungs and where an encoder points: the largest and least crowded."""
CROWDED = 0.45
"""Seeds in so dense a place are forks of vessels or the hilum."""
CALCIFIED_HU = 200.0
"""Mean of the core: Siegelman et al. 1986 call a nodule calcified above 185 to 264 HU."""
DENSEST_HU = 200.0
"""A core is taken as no denser for the edge: around calcium there may be soft tissue."""
GLASS_BELOW_HU = -300.0
GLASS_CORE_HU = -540.0
"""Typical of the ground glass around a solid part (knowledge FD-6: -700 to -300)."""
RIM_VOLUMES = (2.5, 30.0)
"""Volume with ground glass by that of the solid core: less is blur and spicules, more is the lung around."""
RIM_FROM_MM = 1.5
"""Nearer to the core, and within most of a pixel more, lies its own blurred edge."""
CAVITY = (-800.0, 0.02)
"""HU of air in a mass, and the share of it from which it is a cavity."""
MOST_WORN_MM = 5.0
"""Of attachments; wearing off more would round a lobulated mass."""
NEAR_MM = 4.0
LARGEST_MM = 150.0
BEYOND_MM = 3.0
"""A nodule on the pleura reaches a little beyond the closed outline of the lung."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Blob:
    """A candidate. Lengths in mm, positions LPS; what tells a nodule from a vessel is in `roundness`, `joined`, `depth_mm`."""

    centre_lps_mm: tuple[float, float, float]
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    """Voxels of its corners (slice, row, column), high included."""
    key: int
    """Slice of its largest section."""
    long_mm: float
    short_mm: float
    ml: float
    hu_mean: float
    kind: Kind
    solid_mm: float
    """Mean diameter of the solid part; that of the whole for a solid one."""
    roundness: float
    """Shortest by longest principal axis, 0..1."""
    joined: float
    """Share of its surface that goes on into other dense things."""
    cavity: bool
    """There is air in it."""
    fullness: float
    """Share of the box around its principal axes that it fills, against an ellipsoid's."""


def nodules(volume: Volume, anatomy: Anatomy) -> list[Blob]:
    """Round dense things of both lungs, largest first; vessels that look like blobs are among them, with low roundness or joined at their
    ends. None without lungs."""
    if not (anatomy.lungs > 0).any():
        return []
    return once(anatomy, "nodules", lambda: _looked_for(volume, anatomy, anatomy.chest > 0, SEEDS, ()))


def pointed_nodules(volume: Volume, anatomy: Anatomy, where: Mask) -> list[Blob]:
    """More of them in a mask of the reduced grid, where an encoder points; those of nodules() are not among them."""
    return _looked_for(volume, anatomy, (anatomy.chest > 0) & where, POINTED_SEEDS, nodules(volume, anatomy))


def _looked_for(volume: Volume, anatomy: Anatomy, where: Mask, most: int, known: Sequence[Blob]) -> list[Blob]:
    """From at most so many seeds of each density in a mask; what is known is not measured again."""
    grid = once(anatomy, "grid of nodules", lambda: reduced(volume, CELL_MM))
    room = once(anatomy, "room of nodules", lambda: lung_room(anatomy))
    chest = _finer(where, anatomy, grid)
    out: list[Blob] = []
    for threshold, worn in zip((SOLID_HU, GLASS_HU), WORN_MM, strict=True):
        for seed, radius in _seeds(grid, chest, threshold, worn, most):
            if any(holds(blob, seed) for blob in known):
                continue
            blob = measured_at(volume, anatomy, room, seed, radius, threshold == GLASS_HU)
            if blob is not None and not any(same(blob, other) for other in (*out, *known)):
                out.append(blob)
    return sorted(out, key=lambda blob: -blob.long_mm)[:MOST]


def _finer(mask: Mask, anatomy: Anatomy, grid: Reduced) -> Mask:
    """A mask of the reduced grid on the finer one."""
    index = [
        np.clip(np.rint((np.arange(n) + 0.5) * fine / coarse - 0.5).astype(int), 0, limit - 1)
        for n, fine, coarse, limit in zip(grid.hu.shape, grid.steps, anatomy.grid.steps, mask.shape, strict=True)
    ]
    return mask[np.ix_(*index)]


def lung_room(anatomy: Anatomy) -> Mask:
    """Where a region may grow, on the reduced grid: halves of the chest and a little into what they lie against."""
    flat = ndimage.generate_binary_structure(3, 1)
    flat[0], flat[2] = False, False
    return (
        ndimage.binary_dilation(anatomy.chest > 0, flat, iterations=max(1, round(BEYOND_MM / anatomy.grid.spacing_mm[1]))) & anatomy.inside
    )


def _seeds(grid: Reduced, chest: Mask, threshold: float, worn_mm: float, most: int) -> list[tuple[tuple[float, float, float], float]]:
    """(centre LPS, radius mm) of what is left of the dense parts of the chest when thin things are worn off."""
    spans = box_around(chest, (0, 0, 0))
    if spans is None:
        return []
    hu = grid.hu[spans]
    if threshold < SOLID_HU:
        hu = ndimage.uniform_filter(hu, size=(1, 3, 3))
    dense = (hu > threshold) & chest[spans]
    if threshold == SOLID_HU:
        dense = without_holes(dense, grid.spacing_mm[1] * grid.spacing_mm[2])
    if not dense.any():
        return []
    inner = depth_mm(np.pad(dense, 1), grid.spacing_mm)[1:-1, 1:-1, 1:-1]
    pieces, count = ndimage.label(inner > worn_mm)
    if not count:
        return []
    here = np.flatnonzero(pieces)
    here = here[np.argsort(-inner.ravel()[here], kind="stable")]
    deepest_at = here[np.unique(pieces.ravel()[here], return_index=True)[1]]
    deepest = inner.ravel()[deepest_at]
    places = np.stack(np.unravel_index(deepest_at, inner.shape), axis=1)
    crowded = [_crowded(dense, place, float(radius), grid.spacing_mm) for place, radius in zip(places, deepest, strict=True)]
    promise = deepest * np.maximum(1 - np.array(crowded) / CROWDED, 0.02)
    order = np.argsort(-promise)[:most]
    start = [span.start for span in spans]
    at = (places + start).astype(float)
    return [(grid.lps_mm((at[n, 0], at[n, 1], at[n, 2])), float(deepest[n])) for n in order]


def _crowded(dense: Mask, place: tuple[int, ...], radius: float, spacing_mm: tuple[float, float, float]) -> float:
    """Share of a cube of four radii that is dense: a ball fills a fifteenth of it, a vessel a fifth, a fork or the hilum more."""
    reach = [max(1, round(2 * radius / spacing)) for spacing in spacing_mm]
    return float(dense[tuple(slice(max(0, at - far), at + far + 1) for at, far in zip(place, reach, strict=True))].mean())


def measured_at(volume: Volume, anatomy: Anatomy, room: Mask, seed: tuple[float, float, float], radius: float, glass: bool) -> Blob | None:
    """Region growing in a box around a seed (LPS mm): half way between the lung around and the core, thin attachments worn off.

    room: where it may grow, on the reduced grid. radius: of what was found, mm. glass: it was found by the density of ground glass.
    """
    part = crop(volume, seed, min(2.2 * radius + 12, LARGEST_MM / 2))
    worn = min(0.5 * radius, MOST_WORN_MM)
    at = part.index(volume.index(seed))
    allowed = _there(anatomy.grid, room, part)
    around = part.hu[(part.hu < -600) & allowed]
    lung = float(np.median(around)) if around.size > 20 else -850.0
    core = float(np.median(part.hu[tuple(slice(max(0, a - 1), a + 2) for a in at)]))
    if not glass:  # in the middle there may be a cavity
        reach = [int(0.9 * radius / step) for step in part.spacing_mm]
        core = max(
            core, float(np.percentile(part.hu[tuple(slice(max(0, a - far), a + far + 1) for a, far in zip(at, reach, strict=True))], 60))
        )
    edge = (lung + min(core, DENSEST_HU)) / 2
    grown = opened(without_holes((part.hu > edge) & allowed, part.spacing_mm[1] * part.spacing_mm[2]), at, part.spacing_mm, worn)
    if grown is None:
        return None
    whole = grown if glass else _with_glass(part, allowed, at, grown, radius, lung)
    return _described(volume, part, whole, grown, edge, lung)


def _there(grid: Reduced, mask: Mask, part: Crop) -> Mask:
    """A mask of the reduced grid on the grid of a crop."""
    index = []
    for axis in range(3):
        zoom = 1.0 if axis == 0 else part.zoom[axis - 1]
        voxel = part.start[axis] + (np.arange(part.hu.shape[axis]) + 0.5) / zoom - 0.5
        index.append(np.clip(((voxel + 0.5) / grid.steps[axis]).astype(int), 0, mask.shape[axis] - 1))
    return mask[np.ix_(*index)]


def _with_glass(part: Crop, allowed: Mask, at: tuple[int, int, int], solid: Mask, radius: float, lung: float) -> Mask:
    """With the ground glass around a solid core, where there is a rim of it; else the core."""
    glass = opened((part.hu > (lung + GLASS_CORE_HU) / 2) & allowed, at, part.spacing_mm, max(0.5 * radius, 1.5))
    if glass is None:
        return solid
    rim = glass & ~near(solid, part.spacing_mm, RIM_FROM_MM + 0.8 * part.spacing_mm[1] * part.zoom[0])
    hazy = part.hu[rim]
    fair = RIM_VOLUMES[0] * solid.sum() < glass.sum() < RIM_VOLUMES[1] * solid.sum()
    return glass if fair and hazy.size and np.mean((hazy > max(-720.0, lung + 110)) & (hazy < -330)) > 0.75 else solid


def _described(volume: Volume, part: Crop, whole: Mask, solid: Mask, edge: float, lung: float) -> Blob | None:
    """Everything that is measured of a grown region. None where it fills its box: then it is no blob."""
    sections = whole.sum(axis=(1, 2))
    key = int(sections.argmax())
    long, short = axes(whole[key], part.spacing_mm[1:])
    if long > LARGEST_MM or _cut(whole, part, volume):
        return None
    where = np.argwhere(whole)
    centre = where.mean(axis=0)
    low, high = part.voxel(tuple(where.min(axis=0))), part.voxel(tuple(where.max(axis=0)))  # type: ignore[arg-type]
    box = box_around(whole, (1, 1, 1))
    assert box is not None  # a grown region holds its core
    own, hu = whole[box], part.hu[box]
    inner = depth_mm(own, part.spacing_mm)
    core = hu[own & (inner >= 0.5 * inner.max())]
    core = core[core > edge] if (core > edge).any() else core
    roundness, fullness = _shape(where, part.spacing_mm)
    middle = part.voxel(tuple(float(each) for each in centre))  # type: ignore[arg-type]
    level, kind = (float(core.mean()), "solid")
    if whole is not solid:
        kind = "part-solid"
    elif level < GLASS_BELOW_HU:
        kind = "ground-glass"
    elif level > CALCIFIED_HU:
        kind = "calcified"
    return Blob(
        centre_lps_mm=volume.lps_mm(middle),
        low=tuple(max(0, round(each)) for each in low),  # type: ignore[arg-type]
        high=tuple(min(n - 1, round(each)) for each, n in zip(high, volume.hu.shape, strict=True)),  # type: ignore[arg-type]
        key=part.start[0] + key,
        long_mm=long,
        short_mm=short,
        ml=float(whole.sum() * np.prod(part.spacing_mm)) / 1000,
        hu_mean=float(hu[own & (inner >= min(1.2, 0.5 * inner.max()))].mean()),
        kind=kind,
        solid_mm=float(np.mean(axes(solid[int(solid.sum(axis=(1, 2)).argmax())], part.spacing_mm[1:]))),
        roundness=roundness,
        joined=_joined(part, whole, edge),
        cavity=bool(np.mean(hu[own] < CAVITY[0]) > CAVITY[1]),
        fullness=fullness,
    )


def _joined(part: Crop, whole: Mask, edge: float) -> float:
    """Share of the shell around a region, 1.5 to 3 mm off, that is as dense: pleura, vessels, mediastinum."""
    shell = near(whole, part.spacing_mm, max(3.0, 1.01 * min(part.spacing_mm) + 1.2)) & ~near(whole, part.spacing_mm, 1.2)
    return float(np.mean(part.hu[shell] > edge)) if shell.any() else 1.0


def _shape(where: NDArray[np.intp], spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
    """(shortest by longest principal axis, volume by that of the ellipsoid of the same axes), with what a voxel itself adds."""
    places = where * np.array(spacing_mm)
    spread = np.cov(places.T) if len(places) > 1 else np.zeros((3, 3))
    lengths = np.sqrt(np.maximum(np.linalg.eigvalsh(spread + np.diag(np.square(spacing_mm) / 12)), 1e-6) * 5)
    ellipsoid = 4 / 3 * np.pi * float(np.prod(lengths))
    return float(lengths[0] / lengths[2]), min(1.0, float(len(where) * np.prod(spacing_mm)) / ellipsoid)


def _cut(whole: Mask, part: Crop, volume: Volume) -> bool:
    """Whether a region runs out of its box where the volume goes on."""
    sides = [whole[:, 0].any(), whole[:, -1].any(), whole[:, :, 0].any(), whole[:, :, -1].any()]
    sides += [whole[0].any() and part.start[0] > 0, whole[-1].any() and part.start[0] + len(part.hu) < len(volume.hu)]
    return any(sides)


def same(blob: Blob, other: Blob) -> bool:
    """One found twice: their centres lie within half of the larger one."""
    return holds(blob, other.centre_lps_mm) or holds(other, blob.centre_lps_mm)


def holds(blob: Blob, lps_mm: tuple[float, float, float]) -> bool:
    """Whether a point lies within half of its length from its centre, or as near as makes no difference."""
    return float(np.hypot.reduce(np.subtract(blob.centre_lps_mm, lps_mm))) < max(NEAR_MM, 0.5 * blob.long_mm)
