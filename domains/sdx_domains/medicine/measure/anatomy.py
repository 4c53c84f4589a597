"""Where the parts of the chest are, found by density and shape alone: body, windpipe, lungs, room inside the ribs. Start at segment()."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Lobe
from sdx_domains.medicine.measure.airways import windpipe
from sdx_domains.medicine.measure.cage import inside_ribs
from sdx_domains.medicine.measure.image import ndimage
from sdx_domains.medicine.measure.reduced import Reduced, reduced
from sdx_domains.medicine.volume import Volume

AIR_BELOW_HU = -400
"""Between aerated lung and soft tissue (Hu, Hoffman and Reinhardt 2001: optimal thresholds of patients lie at -450 to -350)."""
BODY_ABOVE_HU = -350
LEAST_LUNG_ML = 40.0
LEAST_SECTION_MM2 = 400.0
"""Of a lung in a slice that counts for its height: slivers of the recess beside the diaphragm do not."""
GAS_HU = -930.0
"""Most of a piece without lung tissue lies below: gas of the gut, or of a pneumothorax."""
RIGHT, LEFT = 1, 2
ML_TO_BE_A_LUNG = 120.0

T = TypeVar("T")
Side = Literal["right", "left"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Masks on the reduced grid. Sides are the patient's; RIGHT 1, LEFT 2."""

    grid: Reduced
    body: Mask
    airways: Mask
    """Windpipe and main bronchi."""
    lungs: NDArray[np.uint8]
    """Aerated lung, with air around it; vessels are left out."""
    chest: NDArray[np.uint8]
    """Both halves of the chest: lung with its vessels, and what is opaque in it as far as shape tells; not the mediastinum."""
    inside: Mask
    """All that lies inside the ribs, between the heights of the lungs."""
    dome: int
    """Lowest slice of the grid above the diaphragm."""
    midline_x_mm: float
    spine_y_mm: float
    """Front of the spine."""
    heights_mm: tuple[tuple[float, float], tuple[float, float]]
    """Lowest and highest z of the right and the left lung."""
    complete: bool
    """Two lungs were found."""
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was measured in it once: see once()."""

    @property
    def mediastinum(self) -> Mask:
        """Between the halves of the chest, in front of the spine: heart, great vessels, nodes, and what is opaque beside them."""
        y = self.grid.origin_lps_mm[1] + np.arange(self.grid.hu.shape[1]) * self.grid.spacing_mm[1]
        between = np.maximum.accumulate(self.chest == RIGHT, axis=2)
        between &= np.flip(np.maximum.accumulate(np.flip(self.chest == LEFT, 2), axis=2), 2)
        return between & self.inside & (self.chest == 0) & (y < self.spine_y_mm)[None, :, None]

    def side(self, lps_mm: tuple[float, float, float]) -> Side:
        """By the half of the chest that the point lies in, else by the sign of x against the midline."""
        here = self.chest[self.grid.cell(lps_mm)]
        if here:
            return "right" if here == RIGHT else "left"
        return "right" if lps_mm[0] < self.midline_x_mm else "left"

    def height(self, lps_mm: tuple[float, float, float]) -> float:
        """0 at the base, 1 at the apex of the lung on this side; beyond them for what lies beyond."""
        low, high = self.heights_mm[0 if self.side(lps_mm) == "right" else 1]
        return (lps_mm[2] - low) / max(high - low, 1.0)

    def lobe(self, lps_mm: tuple[float, float, float]) -> Lobe:
        """By position: an oblique fissure from the back of the upper third to the front of the base, a horizontal one at mid height.

        No fissure is looked for, so the lobe is an estimate near them (mean course of fissures: Aziz, Ashizawa, Nagaoki and Hayashi 2004).
        """
        right = self.side(lps_mm) == "right"
        front, back = once(self, f"front and back {right}", lambda: self._front_and_back(RIGHT if right else LEFT))
        behind = (lps_mm[1] - front) / max(back - front, 1.0)
        height = self.height(lps_mm)
        if height < 0.05 + 0.65 * behind:
            return "RLL" if right else "LLL"
        if right:
            return "RML" if height < 0.5 else "RUL"
        return "LUL"

    def _front_and_back(self, side: int) -> tuple[float, float]:
        """y of a half of the chest; of the whole picture where there is none."""
        rows = np.flatnonzero((self.chest == side).any(axis=(0, 2)))
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, self.chest.shape[1] - 1)
        return tuple(self.grid.origin_lps_mm[1] + row * self.grid.spacing_mm[1] for row in (first, last))  # type: ignore[return-value]


def once(anatomy: Anatomy, name: str, work: Callable[[], T]) -> T:
    """The result of `work`, worked out at the first call for this anatomy: measurements and candidates ask for the same things."""
    if name not in anatomy.kept:
        anatomy.kept[name] = work()
    return anatomy.kept[name]


def segment(volume: Volume) -> Anatomy:
    """Works on 1 to 8 mm slices, with or without table and arms. Never raises: where there is no lung, the masks are empty."""
    grid = reduced(volume)
    air = grid.hu < AIR_BELOW_HU
    outside = _outside(air)
    body = _body(grid, outside)
    inner = air & ~outside & _surrounded(body, 3)
    airways = windpipe(inner, grid)
    lungs = _sides(_lungs(inner & ~airways, grid), grid)
    middle = _midline(lungs, airways, body, grid)
    inside, spine_y = inside_ribs(lungs > 0, grid, middle)
    inside &= _surrounded(body, 4)
    chest = _closed(lungs, inside)
    above = _dome(chest, inside)
    chest[above:] = _beyond(chest[above:], lungs[above:], inside[above:])
    heights = (_heights(lungs == RIGHT, grid), _heights(lungs == LEFT, grid))
    both = tuple(each for each in heights if each is not None)
    whole = (min(each[0] for each in both), max(each[1] for each in both)) if both else (float(grid.z_mm[0]), float(grid.z_mm[-1]))
    return Anatomy(
        grid=grid,
        body=body,
        airways=airways,
        lungs=lungs,
        chest=chest,
        inside=inside,
        dome=above,
        midline_x_mm=middle,
        spine_y_mm=spine_y,
        heights_mm=(heights[0] or whole, heights[1] or whole),
        complete=len(both) == 2,
    )


def _outside(air: Mask) -> Mask:
    """Air that reaches the sides of the picture."""
    pieces, count = ndimage.label(air)
    touches = np.zeros(count + 1, dtype=bool)
    touches[np.unique(pieces[:, [0, -1]])] = True
    touches[np.unique(pieces[:, :, [0, -1]])] = True
    touches[0] = False
    return touches[pieces]


def _body(grid: Reduced, outside: Mask) -> Mask:
    """The largest thing that is no air, without the table: thin things are worn off before it is chosen and grown back after."""
    dense = (grid.hu > BODY_ABOVE_HU) & ~outside
    flat = np.zeros((1, 3, 3), dtype=bool)
    flat[0, 1], flat[0, :, 1] = True, True
    worn = ndimage.binary_erosion(dense, flat, iterations=2)
    pieces, count = ndimage.label(worn)
    if not count:
        return dense
    largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    return ndimage.binary_dilation(largest, flat, iterations=3, mask=dense)


def _surrounded(body: Mask, least: int) -> Mask:
    """Cells with body on at least so many of their four sides in the plane: a lung's thin front wall may be missing."""
    sides = np.zeros(body.shape, dtype=np.uint8)
    for axis in (1, 2):
        sides += np.maximum.accumulate(body, axis=axis)
        sides += np.flip(np.maximum.accumulate(np.flip(body, axis), axis=axis), axis)
    return sides >= least


def _lungs(inner: Mask, grid: Reduced) -> Mask:
    """Pieces of air that are large, and are not gas of the gut: gas without tissue that lies low."""
    pieces, count = ndimage.label(inner)
    if not count:
        return inner
    here = np.flatnonzero(inner)
    piece = pieces.ravel()[here] - 1
    cells = np.bincount(piece, minlength=count)
    ml = cells * grid.cell_ml
    gas = np.bincount(piece, weights=grid.hu.ravel()[here] < GAS_HU, minlength=count) / cells
    level = np.bincount(piece, weights=here // inner[0].size, minlength=count) / cells
    main = int(ml.argmax())
    shown = np.flatnonzero((pieces == main + 1).any(axis=(1, 2)))
    gut = (gas > 0.5) & (level < shown[0] + 0.35 * len(shown)) & (np.arange(count) != main)
    keep = np.concatenate([[False], (ml >= max(LEAST_LUNG_ML, 0.01 * ml[main])) & ~gut])
    return keep[pieces]


def _sides(lungs: Mask, grid: Reduced) -> NDArray[np.uint8]:
    """RIGHT and LEFT; lungs that touch in front or behind are worn off until they part, and each cell goes to the nearer part."""
    out = np.zeros(lungs.shape, dtype=np.uint8)
    columns = np.flatnonzero(lungs.any(axis=(0, 1)))
    if not len(columns):
        return out
    worn, middle = lungs, (columns[0] + columns[-1]) / 2
    for _ in range(5):
        pieces, count = ndimage.label(worn)
        numbers = np.arange(1, count + 1)
        if not count:
            break
        ml = ndimage.sum_labels(worn, pieces, numbers) * grid.cell_ml
        centre = np.array([each[2] for each in ndimage.center_of_mass(worn, pieces, numbers)])
        large = ml >= max(ML_TO_BE_A_LUNG, 0.12 * ml.max())
        right, left = large & (centre < middle), large & (centre >= middle)
        if right.any() and left.any() and not any(_spans(pieces == number, middle) for number in numbers[large]):
            part = np.concatenate([[0], np.where(centre < middle, RIGHT, LEFT)]).astype(np.uint8)[pieces]
            return _nearest(part, lungs)
        worn = ndimage.binary_erosion(worn)
    column = np.arange(lungs.shape[2])[None, None, :]
    out[lungs & (column < middle)] = RIGHT
    out[lungs & (column >= middle)] = LEFT
    return out


def _spans(piece: Mask, middle: float) -> bool:
    """Whether a piece has a good share of itself on both sides."""
    by_column = piece.sum(axis=(0, 1))
    left = by_column[int(middle) :].sum() / max(by_column.sum(), 1)
    return bool(0.2 < left < 0.8)


def _nearest(part: NDArray[np.uint8], lungs: Mask) -> NDArray[np.uint8]:
    """Each cell of `lungs` takes the value of the part that reaches it first through lung."""
    out = part.copy()
    for _ in range(6):
        grown = ndimage.grey_dilation(out, footprint=ndimage.generate_binary_structure(3, 1))
        out = np.where((out == 0) & lungs, grown, out)
    left_over = lungs & (out == 0)
    if left_over.any():
        right_x, left_x = (np.mean(np.nonzero(part == side)[2]) for side in (RIGHT, LEFT))
        nearer = np.abs(np.arange(lungs.shape[2]) - right_x) < np.abs(np.arange(lungs.shape[2]) - left_x)
        out = np.where(left_over, np.where(nearer, RIGHT, LEFT)[None, None, :], out).astype(np.uint8)
    return out


def _midline(lungs: NDArray[np.uint8], airways: Mask, body: Mask, grid: Reduced) -> float:
    """x between the inner halves of the lungs; by the windpipe where there is one lung, else by the body."""
    x = grid.origin_lps_mm[0] + np.arange(lungs.shape[2]) * grid.spacing_mm[2]
    right, left = (np.flatnonzero((lungs == side).any(axis=(0, 1))) for side in (RIGHT, LEFT))
    if len(right) and len(left):
        return float(x[right[0]] + x[left[-1]]) / 2
    columns = np.flatnonzero((airways if airways.any() else body).any(axis=(0, 1)))
    return float(x[columns].mean()) if len(columns) else float(x.mean())


def _closed(lungs: NDArray[np.uint8], inside: Mask) -> NDArray[np.uint8]:
    """Each lung with the vessels and small opacities in it: closed slice by slice, no further than the ribs."""
    out = np.zeros_like(lungs)
    disc = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.3
    for side in (RIGHT, LEFT):
        boxes = ndimage.find_objects((lungs == side).astype(np.uint8))
        if not boxes:
            continue
        part, own = out[boxes[0]], lungs[boxes[0]] == side
        room = (inside[boxes[0]] | own) & (part == 0)
        for level in np.flatnonzero(own.any(axis=(1, 2))):
            plane = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(own[level], 6), disc, iterations=2))
            part[level][plane[6:-6, 6:-6] & room[level]] = side
    return out


def _dome(chest: NDArray[np.uint8], inside: Mask) -> int:
    """Lowest slice from which on the front of the right side, where no fluid gathers, is mostly lung."""
    right = chest == RIGHT
    columns, rows = np.flatnonzero(right.any(axis=(0, 1))), np.flatnonzero(right.any(axis=(0, 2)))
    if not len(columns):
        return 0
    middle = slice(int(columns[0] + 0.25 * len(columns)), int(columns[0] + 0.65 * len(columns)) + 1)
    front = slice(int(rows[0]), int(rows[0] + 0.5 * len(rows)) + 1)
    room = inside[:, front, middle].sum(axis=(1, 2))
    filled = np.flatnonzero((right[:, front, middle].sum(axis=(1, 2)) > 0.72 * room) & (room > 0.3 * room.max()))
    return int(filled[0]) if len(filled) else int(np.flatnonzero(right.any(axis=(1, 2)))[0])


def _beyond(chest: NDArray[np.uint8], lungs: NDArray[np.uint8], inside: Mask) -> NDArray[np.uint8]:
    """What is opaque and lies further out than lung of the same row is chest too: a mass or consolidation on the chest wall."""
    out = chest.copy()
    further_right = np.flip(np.maximum.accumulate(np.flip(lungs == RIGHT, 2), axis=2), 2)
    further_left = np.maximum.accumulate(lungs == LEFT, axis=2)
    thick = np.ones((1, 4, 4), dtype=bool)  # thinner is a rim of chest wall
    for side, further in ((RIGHT, further_right), (LEFT, further_left)):
        out[ndimage.binary_opening(further & inside & (chest == 0), thick)] = side
    return out


def _heights(lung: Mask, grid: Reduced) -> tuple[float, float] | None:
    shown = np.flatnonzero(lung.sum(axis=(1, 2)) * grid.spacing_mm[1] * grid.spacing_mm[2] > LEAST_SECTION_MM2)
    if not len(shown):
        return None
    half = grid.spacing_mm[0] / 2
    return float(grid.z_mm[shown[0]]) - half, float(grid.z_mm[shown[-1]]) + half
