"""Where a mask lies, in the words of a report: side, third, lobe, slices, box. Start at placed()."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Laterality, Lobe, Slices, Zone
from sdx_domains.medicine.labels import Label
from sdx_domains.medicine.measure.anatomy import Anatomy
from sdx_domains.medicine.volume import StudyFacts

SIDE_SHARE = 0.08
"""A side that holds less of it is not named."""
MAIN_SHARE = 0.6
"""A third or lobe that holds so much of it is where it is; else it is diffuse, or in several."""
ZONES: tuple[Zone, ...] = ("lower", "mid", "upper")


@dataclass(frozen=True, slots=True)
class Place:
    """Of one finding; fields as of Finding."""

    laterality: Laterality
    zone: Zone
    lobe: Lobe
    slices: Slices
    centroid_lps_mm: tuple[float, float, float]
    bbox_lps_mm: tuple[float, float, float, float, float, float]


def placed(
    mask: NDArray[np.bool_],
    label: Label,
    anatomy: Anatomy,
    facts: StudyFacts,
    weight: NDArray[np.float32] | None = None,
    shown: NDArray[np.float32] | None = None,
) -> Place:
    """`mask` on the reduced grid, not empty.

    weight: how much of it lies in each cell (the encoder's map); None: as much in each. shown: how well each cell shows it; the key slice
    is where most of that lies. None: as `weight`.
    """
    grid = anatomy.grid
    where = np.argwhere(mask)
    amount = np.ones(len(where)) if weight is None else np.maximum(weight[mask], 1e-6).astype(float)
    centre = grid.lps_mm(tuple(np.average(where, axis=0, weights=amount)))  # type: ignore[arg-type]
    low, high = grid.lps_mm(tuple(where.min(axis=0) - 0.5)), grid.lps_mm(tuple(where.max(axis=0) + 0.5))  # type: ignore[arg-type]
    points = np.stack([grid.origin_lps_mm[0] + where[:, 2] * grid.spacing_mm[2], grid.z_mm[where[:, 0]]], axis=1)
    right = points[:, 0] < anatomy.midline_x_mm
    by_level = np.bincount(where[:, 0], weights=amount if shown is None else shown[mask], minlength=len(mask))
    return Place(
        laterality=_laterality(amount[right].sum() / amount.sum())
        if label.sided
        else "midline"
        if label.region == "mediastinum"
        else "n/a",
        zone=_zone(points[:, 1].astype(np.float64), right, amount, anatomy) if label.zoned else "n/a",
        lobe=_lobe(where, amount, anatomy) if label.zoned else "n/a",
        slices=slices(int(where[:, 0].min()), int(where[:, 0].max()), int(by_level.argmax()), anatomy, facts),
        centroid_lps_mm=_three(centre),
        bbox_lps_mm=(*_three(low), *_three(high)),
    )


def slices(first: int, last: int, key: int, anatomy: Anatomy, facts: StudyFacts) -> Slices:
    """Slices of the volume for slices of the reduced grid."""
    depth = anatomy.grid.steps[0]
    most = facts.slices - 1
    at = min(key * depth + depth // 2, most)
    return Slices(first=min(first * depth, at), last=max(min((last + 1) * depth - 1, most), at), key=at, key_uid=facts.slice_uids[at])


def _laterality(right: float) -> Laterality:
    return "right" if right > 1 - SIDE_SHARE else "left" if right < SIDE_SHARE else "bilateral"


def _zone(z_mm: NDArray[np.float64], right: NDArray[np.bool_], amount: NDArray[np.float64], anatomy: Anatomy) -> Zone:
    """The third of the own lung's height that holds most of it."""
    low, high = (np.where(right, anatomy.heights_mm[0][end], anatomy.heights_mm[1][end]) for end in (0, 1))
    third = np.clip(((z_mm - low) / np.maximum(high - low, 1.0) * 3).astype(int), 0, 2)
    share = np.bincount(third, weights=amount, minlength=3) / amount.sum()
    return ZONES[int(share.argmax())] if share.max() >= MAIN_SHARE else "diffuse"


def _lobe(where: NDArray[np.intp], amount: NDArray[np.float64], anatomy: Anatomy) -> Lobe:
    """The lobe that holds most of it, by a sample of its cells."""
    step = max(1, len(where) // 200)
    share: dict[Lobe, float] = {}
    for cell, weight in zip(where[::step], amount[::step], strict=True):
        lobe = anatomy.lobe(anatomy.grid.lps_mm((float(cell[0]), float(cell[1]), float(cell[2]))))
        share[lobe] = share.get(lobe, 0.0) + float(weight)
    main = max(share, key=lambda each: share[each])
    return main if share[main] >= MAIN_SHARE * sum(share.values()) else "several"


def _three(values: tuple[float, float, float]) -> tuple[float, float, float]:
    return round(float(values[0]), 1), round(float(values[1]), 1), round(float(values[2]), 1)
