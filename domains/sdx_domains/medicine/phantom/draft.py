"""A patient while diseases are being put in: what there is to draw on, and where there is room. Start at Draft."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.phantom.anatomy import FIELDS
from sdx_domains.medicine.phantom.body import Body
from sdx_domains.medicine.phantom.grow import depths
from sdx_domains.medicine.phantom.organs import Organs, spread
from sdx_domains.medicine.phantom.shapes import Row

ZONES = {"lower": (0.04, 0.28), "mid": (0.38, 0.62), "upper": (0.71, 0.93)}
"""Shares of the lung's height, away from the borders of the thirds."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One object that can be pointed at."""

    label: str
    core: Row
    """The shape whose size is its size."""
    descriptors: tuple[str, ...] = ()


@dataclass(slots=True)
class Draft:
    """A patient while diseases are being added: what is drawn before, into and over the lungs' vessels."""

    body: Body
    organs: Organs
    rng: np.random.Generator
    extents: NDArray[np.float64]
    """(2, 4) of extent.lung_extents."""
    under: list[Row] = field(default_factory=list)
    """Before all vessels: opacities, through which they are still seen, and nodes, which leave windpipe and aorta open."""
    within: list[Row] = field(default_factory=list)
    """After vessels and airways, before the pleura."""
    over: list[Row] = field(default_factory=list)
    """After everything: calcium, metal, the mediastinum."""
    amounts: NDArray[np.float64] = field(default_factory=lambda: np.zeros((FIELDS, 2, 3)))
    pleura: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 4)))
    """(side, [fluid mm, share of the height it reaches, air mm, mm of pressed lung])."""
    thick_walls: dict[int, float] = field(default_factory=dict)
    lesions: list[Lesion] = field(default_factory=list)
    descriptors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    taken: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    """Places and radii that are used."""


def either(draft: Draft, bilateral: float = 0.3) -> tuple[str, ...]:
    """Sides that a disease takes."""
    if draft.rng.random() < bilateral:
        return ("right", "left")
    return ("right",) if draft.rng.random() < 0.5 else ("left",)


def site(draft: Draft, side: str, radius: float, depth: float, zone: str = "") -> NDArray[np.float64] | None:
    """A free point in a lung, `depth` mm under the pleura, in a zone; None where there is no room."""
    zone = zone or str(draft.rng.choice(list(ZONES)))
    row = draft.extents[1 if side == "left" else 0]
    low, high = (row[0] + share * (row[1] - row[0]) for share in ZONES[zone])
    span = draft.body.apex_z - draft.body.base_z
    points = spread(draft.body, draft.rng, side, 24, depth, (low - draft.body.base_z) / span, (high - draft.body.base_z) / span)
    for point in points:
        if all(np.linalg.norm(point - other) > radius + reach + 4 for other, reach in draft.taken) and not _in_pleura(
            draft, side, point, radius
        ):
            draft.taken.append((point, radius))
            return point
    return None


def _in_pleura(draft: Draft, side: str, point: NDArray[np.float64], radius: float) -> bool:
    """Roughly: where fluid or air of the pleura would cover it."""
    fluid, share, air, pressed = draft.pleura[1 if side == "left" else 0]
    body = draft.body
    deep = depths(body, point[None])[0] - radius
    low = body.base_z + share * (body.apex_z - body.base_z)
    return (fluid > 0 and point[1] > -0.3 * body.half_depth and point[2] < low and deep < fluid + pressed + 3) or (
        air > 0 and deep < 1.2 * air + 3
    )
