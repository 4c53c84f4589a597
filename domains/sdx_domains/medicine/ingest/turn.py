"""Decoded planes turned into the one orientation of a Volume; a sheared stack put straight first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.ingest.geometry import Lie, along, gaps, positions
from sdx_domains.medicine.ingest.headers import Plane
from sdx_domains.medicine.ingest.rules import Refused, limits
from sdx_domains.medicine.volume import PADDING_HU, Volume


def turned(hu: NDArray[np.int16], planes: Sequence[Plane], lie: Lie) -> tuple[Volume, tuple[str, ...]]:
    """The volume, and what was put right, a sentence each. Planes from feet to head; `hu` is used up."""
    spacing = planes[0].spacing
    assert spacing is not None
    said: list[str] = []
    at = positions(planes)
    if lie.shear == "shift":
        said.append(_shift_back(hu, at, lie, spacing))
    origin = at[0] if lie.shear != "shift" else _shifted_origin(at, lie)
    hu, column, origin, spacing = _flipped(hu, lie, origin, spacing, said)
    z = at[:, 2] if lie.shear != "none" else at[0, 2] + along(planes) - along(planes)[0]
    step = float(np.median(np.diff(z)))
    if lie.shear == "tilt":
        said.append(_straighten(hu, z, column, spacing[0]))
        middle = hu.shape[1] // 2 * spacing[0]
        z = z + middle * column[2]
        spacing = (spacing[0] * float(column[1]), spacing[1])
    elif lie.off_axis_deg > 0.1:
        said.append(f"The planes are {lie.off_axis_deg:.1f} degrees off axial and are taken as axial.")
    x0, y0 = float(origin[0]), float(origin[1])
    return Volume(hu, (step, spacing[0], spacing[1]), (x0, y0, float(z[0])), np.ascontiguousarray(z)), tuple(said)


def toward(hu: NDArray[np.int16], transpose: bool, flip_rows: bool, flip_columns: bool) -> NDArray[np.int16]:
    """In-plane turns, without a second copy of the volume: slice by slice where the shape stays."""
    if transpose:
        hu = np.ascontiguousarray(hu.transpose(0, 2, 1))
    if flip_rows or flip_columns:
        rows, columns = (-1 if flip_rows else 1), (-1 if flip_columns else 1)
        for plane in hu:
            plane[:] = plane[::rows, ::columns].copy()
    return hu


def _flipped(
    hu: NDArray[np.int16], lie: Lie, origin: NDArray[np.float64], spacing: Sequence[float], said: list[str]
) -> tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Rows to run from front to back, columns from the patient's right to left."""
    row, column, gap = lie.row, lie.column, (spacing[0], spacing[1])
    transpose = abs(row[0]) < abs(row[1])
    if transpose:
        row, column, gap = column, row, (gap[1], gap[0])
    rows, columns = (hu.shape[2], hu.shape[1]) if transpose else (hu.shape[1], hu.shape[2])
    flip_rows, flip_columns = bool(column[1] < 0), bool(row[0] < 0)
    if flip_rows:
        origin, column = origin + column * gap[0] * (rows - 1), -column
    if flip_columns:
        origin = origin + row * gap[1] * (columns - 1)
    if transpose or flip_rows or flip_columns:
        said.append("Slices were turned so that the patient's right is on the left and the front is up.")
    return toward(hu, transpose, flip_rows, flip_columns), column, origin, gap


def _shifted_origin(at: NDArray[np.float64], lie: Lie) -> NDArray[np.float64]:
    """Where slice 0 begins once every slice is moved to the middle one's place in the plane."""
    middle = at[len(at) // 2]
    return middle + lie.normal * float((at[0] - middle) @ lie.normal)


def _shift_back(hu: NDArray[np.int16], at: NDArray[np.float64], lie: Lie, spacing: Sequence[float]) -> str:
    """Moves each slice in its plane to where the middle one lies; linear interpolation."""
    from scipy import ndimage

    drift = at - at[len(at) // 2]
    rows, columns = drift @ lie.column / spacing[0], drift @ lie.row / spacing[1]
    if max(np.abs(rows).max() / hu.shape[1], np.abs(columns).max() / hu.shape[2]) > 0.25:
        raise Refused(
            "tilt", "Slices lie more than a quarter of the picture beside each other (ImagePositionPatient): reconstruct the series."
        )
    for plane, row, column in zip(hu, rows, columns, strict=True):
        if max(abs(row), abs(column)) > 0.01:
            plane[:] = np.rint(ndimage.shift(plane.astype(np.float32), (row, column), order=1, cval=PADDING_HU))
    return f"Slices drift sideways by up to {max(np.abs(drift @ lie.row).max(), np.abs(drift @ lie.column).max()):.1f} mm: moved back."


def _straighten(hu: NDArray[np.int16], z: NDArray[np.float64], column: NDArray[np.float64], gap: float) -> str:
    """A tilted gantry's rows each lie at their own height: every row is interpolated along the table to the height of the middle one."""
    if gaps(z).missing_mm:
        raise Refused("tilt", "The gantry was tilted and slices are missing: cannot be put straight. Transfer the series again.")
    index = np.arange(len(z), dtype=np.float64)
    for row in range(hu.shape[1]):
        source = np.interp(z - (row - hu.shape[1] // 2) * gap * column[2], z, index, left=-1.0, right=-1.0)
        below = np.clip(np.floor(source).astype(int), 0, len(z) - 1)
        above = np.minimum(below + 1, len(z) - 1)
        share = (source - below)[:, None]
        values = np.rint(hu[below, row] * (1.0 - share) + hu[above, row] * share)
        values[source < 0] = PADDING_HU
        hu[:, row] = values
    degrees = np.degrees(np.arcsin(abs(column[2])))
    return f"The gantry was tilted by {degrees:.1f} degrees: rows were interpolated along the table to axial slices."


def thinned(planes: tuple[Plane, ...]) -> tuple[tuple[Plane, ...], str]:
    """Every second, third, .. slice where all of them would not fit in memory, and the sentence that says so."""
    every = -(-len(planes) * planes[0].rows * planes[0].columns // limits().voxels)
    if every <= 1:
        return planes, ""
    ordinal = {2: "2nd", 3: "3rd"}.get(every, f"{every}th")
    return planes[::every], f"Every {ordinal} of {len(planes)} slices was read: more would not fit in memory."
