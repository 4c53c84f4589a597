"""Is it a chest, and are the lungs whole? By the share of each slice that is aerated lung, on a coarse grid."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.ingest.rules import Refused, limits
from sdx_domains.medicine.volume import Coverage, Volume


@dataclass(frozen=True, slots=True)
class Lungs:
    """Per looked-at slice, feet to head."""

    z_mm: NDArray[np.float64]
    area_cm2: NDArray[np.float64]
    share: NDArray[np.float64]
    """Of the body's area, 0..1."""


def lungs(volume: Volume) -> Lungs:
    """Slices at least grid_mm apart, the first and last among them."""
    from scipy import ndimage

    held = limits()
    every = max(1, int(held.grid_mm / max(volume.spacing_mm[0], 0.05)))
    chosen = np.unique(np.concatenate([np.arange(0, len(volume.hu), every), [len(volume.hu) - 1]]))
    step = tuple(max(1, round(held.grid_mm / each)) for each in volume.spacing_mm[1:])
    cell_cm2 = step[0] * volume.spacing_mm[1] * step[1] * volume.spacing_mm[2] / 100
    small = volume.hu[chosen, :: step[0], :: step[1]]
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    air = small < held.air_hu
    pieces, count = _labelled(air, in_plane)
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        outside[edge] = True
    outside[0] = False
    core = _means(small, np.where(ndimage.binary_erosion(air, in_plane), pieces, 0), count)
    large = (np.bincount(pieces.ravel()) * cell_cm2 >= held.lung_piece_cm2) & ~outside
    sure = large & (core >= held.lung_hu[0]) & (core <= held.lung_hu[1])
    thin = large & np.isnan(core) & (_means(small, pieces, count) >= held.lung_hu[0])
    area = _joined(sure[pieces], thin[pieces], cell_cm2).sum((1, 2)) * cell_cm2
    body = (~outside[pieces]).sum((1, 2)) * cell_cm2
    return Lungs(volume.z_mm[chosen], area, area / np.maximum(body, cell_cm2))


def must_be_chest(seen: Lungs) -> None:
    """Refused: too little lung over too short a way, as in an abdomen, a head or an empty volume."""
    held = limits()
    extent = chest_extent_mm(seen)
    if extent < held.lung_extent_mm:
        raise Refused(
            "body part",
            f"Not a chest: lung fills at least {held.lung_share:.0%} of the body over {extent:.0f} mm only "
            f"(a chest: {held.lung_extent_mm:.0f} mm or more; most in one slice: {seen.share.max():.0%}). Give a chest CT.",
        )


def chest_extent_mm(seen: Lungs) -> float:
    """Length along the body over which lung fills its share of the slice."""
    wide = seen.share >= limits().lung_share
    step = np.gradient(seen.z_mm) if len(seen.z_mm) > 1 else np.zeros(1)
    return float(step[wide].sum())


def coverage(seen: Lungs) -> Coverage:
    """Whether lung is cut by the first or last slice."""
    bottom, top = (seen.area_cm2[[0, -1]] > limits().cut_cm2).tolist()
    if bottom and top:
        return "lungs cut at both ends"
    return "lungs cut at bottom" if bottom else "lungs cut at top" if top else "complete"


def _joined(sure: NDArray[np.bool_], thin: NDArray[np.bool_], cell_cm2: float) -> NDArray[np.bool_]:
    """Sure lung, and thin pieces (a recess has no core) that join it from slice to slice; small bodies and lone thin pieces are bowel."""
    bodies, count = _labelled(sure | thin, np.ones((3, 3, 3), dtype=bool))
    keep = np.zeros(count + 1, dtype=bool)
    keep[bodies[sure]] = True
    return (keep & (np.bincount(bodies.ravel()) * cell_cm2 >= limits().lung_body_cm2))[bodies]


def _labelled(mask: NDArray[np.bool_], structure: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Pieces numbered from 1, and how many."""
    from scipy import ndimage

    pieces = np.zeros(mask.shape, dtype=np.int32)
    return pieces, int(cast(int, ndimage.label(mask, structure, output=pieces)))


def _means(values: NDArray[np.int16], pieces: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Mean value of each piece, piece 0 too; nan for one that is empty."""
    cells = np.bincount(pieces.ravel(), minlength=count + 1)
    total = np.bincount(pieces.ravel(), weights=values.ravel(), minlength=count + 1)
    return np.divide(total, cells, out=np.full(count + 1, np.nan), where=cells > 0)
