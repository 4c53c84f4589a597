"""Where the planes of a series lie: their order along the body, the spacing from positions, gaps, and whether they are axial or sheared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.ingest.headers import Plane
from sdx_domains.medicine.ingest.rules import Refused, limits

Shear = Literal["none", "shift", "tilt"]
"""shift: axial planes that drift sideways; tilt: planes of a tilted gantry, stacked along the table."""


@dataclass(frozen=True, slots=True)
class Lie:
    """How a stack of planes lies in the patient."""

    row: NDArray[np.float64]
    """Direction in which the column index grows, LPS unit vector."""
    column: NDArray[np.float64]
    """Direction in which the row index grows."""
    normal: NDArray[np.float64]
    """Across the planes, towards the head."""
    shear: Shear
    off_axis_deg: float
    """Largest angle between an axis of the planes and the patient's nearest one."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What the positions along the body say."""

    spacing_mm: float
    missing_mm: tuple[float, ...]
    """Positions at which a slice should be and is not."""
    uneven: tuple[float, float] | None
    """Smallest and largest gap, where they differ without a slice missing."""


def along(planes: Sequence[Plane]) -> NDArray[np.float64]:
    """Position of each plane along the common normal, mm; grows towards the head."""
    return positions(planes) @ _axes(planes)[2]


def positions(planes: Sequence[Plane]) -> NDArray[np.float64]:
    """(planes, 3) LPS mm."""
    return np.array([plane.position for plane in planes], dtype=np.float64)


def lie(planes: Sequence[Plane]) -> Lie:
    """Of planes in order from feet to head, two at least. Refused: not axial, or sheared in a way that cannot be put right."""
    row, column, normal = _axes(planes)
    at = positions(planes)
    step = at[-1] - at[0]
    if np.linalg.norm(step) < limits().duplicate_mm:
        raise Refused("spacing", f"All {len(at)} slices lie at one position (ImagePositionPatient): export the series again.")
    skew = _angle(step, normal)
    tilt = _angle(normal, np.array([0.0, 0.0, 1.0]))
    stated = abs(planes[len(planes) // 2].tilt)
    held = limits()
    if skew > held.shear_deg:
        return Lie(row, column, normal, _sheared(row, step, tilt), max(_off_axis(row), tilt))
    off = max(_off_axis(row), _off_axis(column), tilt)
    if off > held.axial_deg:
        raise Refused(
            "orientation",
            f"ImageOrientationPatient is {off:.1f} degrees off the axial plane (at most {held.axial_deg:.0f}): "
            "give the axial series, not a reformat.",
        )
    if stated > held.tilt_ignored_deg and abs(stated - tilt) > held.tilt_ignored_deg:
        raise Refused(
            "tilt",
            f"GantryDetectorTilt is {stated:.1f} degrees but the positions show none: geometry unknown. Reconstruct without tilt.",
        )
    return Lie(row, column, normal, "none", off)


def gaps(z_mm: NDArray[np.float64]) -> Gaps:
    """Of ascending positions. Refused where so many slices are missing that it is a fragment."""
    held = limits()
    steps = np.diff(z_mm)
    spacing = float(np.median(steps))
    missing: list[float] = []
    for start, step in zip(z_mm[:-1], steps, strict=True):
        if step > held.gap_missing * spacing:
            count = max(round(step / spacing) - 1, 1)
            missing += [float(start + step * (index + 1) / (count + 1)) for index in range(count)]
    if len(missing) > held.missing_max * (len(missing) + len(z_mm)):
        raise Refused(
            "missing slices",
            f"{len(missing)} of {len(missing) + len(z_mm)} slices are missing (first at z = {missing[0]:.1f} mm): transfer the series again.",
        )
    whole = steps[steps <= held.gap_missing * spacing]
    allowed = max(held.gap_irregular * spacing, held.gap_irregular_mm)
    uneven = bool(np.any(np.abs(whole - spacing) > allowed))
    return Gaps(spacing, tuple(missing), (float(whole.min()), float(whole.max())) if uneven else None)


def _axes(planes: Sequence[Plane]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row and column direction and the normal towards the head. Refused: they are no right-angled unit vectors."""
    cosines = planes[0].orientation
    assert cosines is not None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(row @ column) > 0.01:
        raise Refused("orientation", "ImageOrientationPatient is not two unit vectors at right angles: export the series again.")
    normal = np.cross(row, column)
    return row, column, normal if normal[2] >= 0 else -normal


def _sheared(row: NDArray[np.float64], step: NDArray[np.float64], tilt: float) -> Shear:
    held = limits()
    if tilt <= held.tilt_ignored_deg and _off_axis(row) <= held.axial_deg and _angle(step, np.array([0.0, 0.0, 1.0])) <= held.tilt_max_deg:
        return "shift"
    along_table = _angle(step, np.array([0.0, 0.0, 1.0])) <= 1.0
    if along_table and tilt <= held.tilt_max_deg and _angle_to_line(row, np.array([1.0, 0.0, 0.0])) <= held.tilt_ignored_deg:
        return "tilt"
    raise Refused("tilt", f"The planes are tilted by {tilt:.1f} degrees and not stacked along the table: reconstruct the series axially.")


def _angle(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _angle_to_line(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    angle = _angle(a, b)
    return min(angle, 180.0 - angle)


def _off_axis(direction: NDArray[np.float64]) -> float:
    """Angle to the nearest of the patient's x and y axes, degrees."""
    return min(_angle_to_line(direction, np.array([1.0, 0.0, 0.0])), _angle_to_line(direction, np.array([0.0, 1.0, 0.0])))
