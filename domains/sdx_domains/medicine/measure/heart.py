"""The heart by its outline against the lungs: how wide it is, and how thick the fluid around it. Start at heart()."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.anatomy import LEFT, RIGHT, Anatomy, once
from sdx_domains.medicine.measure.image import ndimage

TALL_MM = 75.0
"""Of the heart above the dome of the diaphragm, at most."""
OVER_DOME_MM = 10.0
"""The tip of the dome would be taken for the heart."""
LUNG_EDGE_HU = -430.0
FAT_EDGE_HU = -40.0
FLUID_HU = (-12.0, 25.0)
"""Simple fluid, with what noise leaves after averaging; blood lies at 30 and above (knowledge FD-1, FD-16)."""
RAYS = 72
RAY_MM = 0.7
DEEPEST_MM = 45.0


@dataclass(frozen=True, slots=True)
class Heart:
    """Lengths in mm, LPS."""

    first: int
    last: int
    """Slices of the reduced grid in which it is seen against lung on both sides."""
    centre_lps_mm: tuple[float, float, float]
    right_x_mm: float
    left_x_mm: float
    chest_width_mm: float

    @property
    def ratio(self) -> float:
        """Cardiothoracic: greatest width of the heart by greatest inner width of the chest (Danzer 1919)."""
        return (self.left_x_mm - self.right_x_mm) / self.chest_width_mm


def heart(anatomy: Anatomy) -> Heart | None:
    """None where a lung is missing or no level shows the heart between both."""
    return once(anatomy, "heart", lambda: _heart(anatomy))


def _heart(anatomy: Anatomy) -> Heart | None:
    grid = anatomy.grid
    if not anatomy.complete:
        return None
    first = int(np.searchsorted(grid.z_mm, grid.z_mm[anatomy.dome] + OVER_DOME_MM))
    top = float(grid.z_mm[first]) + TALL_MM
    if anatomy.airways.any():
        top = min(top, float(grid.z_mm[np.flatnonzero(anatomy.airways.any(axis=(1, 2)))[0]]))
    last = max(first + 1, int(np.searchsorted(grid.z_mm, top)))
    rows = _rows(anatomy)
    edges = [_edges(anatomy.chest[level, rows]) for level in range(first, min(last + 1, len(grid.hu)))]
    seen = [(first + n, edge) for n, edge in enumerate(edges) if edge is not None]
    if len(seen) < 2:
        return None
    right = min(edge[0] for _, edge in seen)
    left = max(edge[1] for _, edge in seen)
    columns = np.flatnonzero(anatomy.chest.any(axis=(0, 1)))
    x = grid.origin_lps_mm[0] + grid.spacing_mm[2] * np.array([right, left])
    y = grid.origin_lps_mm[1] + grid.spacing_mm[1] * (rows.start + rows.stop - 1) / 2
    widest = seen[int(np.argmax([edge[1] - edge[0] for _, edge in seen]))][0]
    return Heart(
        first=seen[0][0],
        last=seen[-1][0],
        centre_lps_mm=(float(x.mean()), float(y), float(grid.z_mm[widest])),
        right_x_mm=float(x[0]),
        left_x_mm=float(x[1]),
        chest_width_mm=float((columns[-1] - columns[0] + 1) * grid.spacing_mm[2]),
    )


def _rows(anatomy: Anatomy) -> slice:
    """Rows of the grid in which heart lies: neither behind the breastbone nor beside the spine."""
    grid = anatomy.grid
    found = np.flatnonzero((anatomy.chest > 0).any(axis=(0, 2)))
    deep = (anatomy.spine_y_mm - grid.origin_lps_mm[1]) / grid.spacing_mm[1] - found[0]
    return slice(int(found[0] + 0.22 * deep), max(int(found[0] + 0.68 * deep), found[0] + 2))


def _edges(plane: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Columns of the heart's right and left border: the farthest, one row in twenty left out as a vessel's."""
    right, left = plane == RIGHT, plane == LEFT
    rows = right.any(axis=1) & left.any(axis=1)
    if rows.sum() < 4:
        return None
    inner_right = plane.shape[1] - 1 - right[rows][:, ::-1].argmax(axis=1)
    inner_left = left[rows].argmax(axis=1)
    return float(np.percentile(inner_right, 5)) + 0.5, float(np.percentile(inner_left, 95)) - 0.5


def pericardial_mm(anatomy: Anatomy, of: Heart) -> tuple[float, int]:
    """(mm of fluid between lung and the heart's fat or muscle, by the thickest third of rays; the slice of the grid that shows most)."""
    return once(anatomy, "pericardium", lambda: _pericardial_mm(anatomy, of))


def _pericardial_mm(anatomy: Anatomy, of: Heart) -> tuple[float, int]:
    grid = anatomy.grid
    low, high = max(of.first - 1, 0), min(of.last + 2, len(grid.hu))
    soft = ndimage.uniform_filter1d(grid.hu[low:high], size=3 if grid.spacing_mm[0] < 4 else 1, axis=0)
    thick = np.array([_ring(anatomy, of, soft[level - low], level) for level in range(of.first, of.last + 1)])
    by_level = ndimage.median_filter(thick, size=min(3, len(thick)))
    best = int(by_level.argmax())
    return float(by_level[best]), of.first + best


def _ring(anatomy: Anatomy, of: Heart, plane: NDArray[np.float32], level: int) -> float:
    """Thickness of fluid in one slice, by rays from the heart's centre that end in lung; 0 where fewer than two fifths of them show it."""
    grid = anatomy.grid
    y = (of.centre_lps_mm[1] - grid.origin_lps_mm[1]) / grid.spacing_mm[1]
    x = (of.centre_lps_mm[0] - grid.origin_lps_mm[0]) / grid.spacing_mm[2]
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    far = np.arange(0, 1.1 * (of.left_x_mm - of.right_x_mm), RAY_MM)
    places = np.stack([y + np.outer(np.sin(angle), far) / grid.spacing_mm[1], x + np.outer(np.cos(angle), far) / grid.spacing_mm[2]])
    profile = ndimage.map_coordinates(plane, places, order=1, cval=-1000.0)
    into = np.clip(np.rint(places), 0, np.array(plane.shape)[:, None, None] - 1).astype(int)
    lung = anatomy.lungs[level][into[0], into[1]] > 0
    found = [_depth(row, int(mask.argmax())) for row, mask in zip(profile, lung, strict=True) if mask.any()]
    if len(found) < RAYS // 6:
        return 0.0
    widest = np.sort(found)[-max(2, len(found) // 3) :]
    return float(np.median(widest)) if np.mean(np.array(found) > 0) > 0.4 else 0.0


def _depth(profile: NDArray[np.float32], lung: int) -> float:
    """mm of fluid just inside the lung's edge at sample `lung`; 0 for fat or muscle."""
    edge = lung
    while edge > 0 and profile[edge] < LUNG_EDGE_HU:
        edge -= 1
    inner = edge
    least = edge - int(DEEPEST_MM / RAY_MM)
    margin = int(2.5 / RAY_MM)
    while inner > max(least, 0) and (inner > edge - margin or FAT_EDGE_HU < profile[inner] < FLUID_HU[1] + 3):
        inner -= 1
    core = profile[inner + margin : edge - margin + 1]
    depth = (edge - inner) * RAY_MM
    if len(core) < 2:
        return 0.0
    low, high = np.percentile(core, [20, 80])
    return depth if low >= FLUID_HU[0] and high <= FLUID_HU[1] else 0.0
