"""A CT volume in Hounsfield units, in one fixed orientation, and what may be said of the study it comes from.

Index order is (slice, row, column). Slices go from feet to head, rows from front (anterior) to back, columns from the
patient's right to left: DICOM's LPS axes, z up. So a finding with a small column lies on the patient's right.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sdx_domains.contract import Closed

PADDING_HU = -1024
"""What lies outside the reconstructed circle."""

Coverage = Literal["complete", "lungs cut at top", "lungs cut at bottom", "lungs cut at both ends"]
Kernel = Literal["soft", "lung", "unknown"]


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels as they were stored, turned but never resampled (but for a sheared series, which says so)."""

    hu: NDArray[np.int16]
    """(slices, rows, columns)."""
    spacing_mm: tuple[float, float, float]
    """Between voxel centres along slice, row, column; from positions, not from SliceThickness."""
    origin_lps_mm: tuple[float, float, float]
    """(x, y, z) of the centre of voxel (0, 0, 0)."""
    z_mm: NDArray[np.float64]
    """(slices,) position of each slice along the table, ascending; uneven where a slice is missing."""

    def lps_mm(self, index: tuple[float, float, float]) -> tuple[float, float, float]:
        """(x, y, z) of a voxel index (slice, row, column), fractions allowed."""
        z = float(np.interp(index[0], np.arange(len(self.z_mm)), self.z_mm))
        x0, y0, _ = self.origin_lps_mm
        return x0 + index[2] * self.spacing_mm[2], y0 + index[1] * self.spacing_mm[1], z

    def index(self, lps_mm: tuple[float, float, float]) -> tuple[int, int, int]:
        """Voxel (slice, row, column) nearest to a point, held inside the volume."""
        x0, y0, _ = self.origin_lps_mm
        row = round((lps_mm[1] - y0) / self.spacing_mm[1])
        column = round((lps_mm[0] - x0) / self.spacing_mm[2])
        slices, rows, columns = self.hu.shape
        nearest = int(np.abs(self.z_mm - lps_mm[2]).argmin())
        return min(max(nearest, 0), slices - 1), min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)


class StudyFacts(Closed):
    """What may be said, kept and logged of a study: nothing in here identifies a person."""

    study_uid: str
    """Pseudonymous: the real one is in the vault."""
    series_uid: str
    slice_uids: tuple[str, ...]
    """Pseudonymous SOPInstanceUID of each slice, feet to head; for volumes without DICOM "slice-1" and so on."""
    slices: int = Field(gt=0)
    spacing_mm: tuple[float, float, float]
    thickness_mm: float | None = None
    kernel: Kernel = "unknown"
    contrast: bool | None = None
    """None: not said."""
    coverage: Coverage = "complete"
    manufacturer: str = ""
    kvp: float | None = None
    age_years: int | None = Field(default=None, ge=0, le=120)
    """Needed by follow-up rules; above 89 it is given as 90."""
    sex: Literal["F", "M", "O", ""] = ""
    source: Literal["dicom", "nifti", "mha", "npz", "phantom"] = "dicom"
    synthetic: bool = False
    """Made by a program, not acquired: a phantom, or Synthetic Data (0008,001C) is YES."""
    corrections: tuple[str, ...] = ()
    """What was put right on the way in, a sentence each: sheared, slices turned, duplicate dropped."""
    warnings: tuple[str, ...] = ()
    """What a reader must know: missing slices with their z, cut lungs, wrong kernel, thick slices, out of the trained domain."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series, read: voxels, facts, and what results need to be written back. The last is kept out of every repr and log."""

    volume: Volume
    facts: StudyFacts
    header: Any = field(default=None, repr=False)
    """pydicom Dataset of one slice without pixels, real identity; None for volumes without DICOM."""
    sop_uids: tuple[str, ...] = field(default=(), repr=False)
    """Real SOPInstanceUID of each slice, in the order of the volume."""
    frames: tuple[int, ...] = ()
    """Frame number, from 1, of each slice in a multi-frame file, whose slices share a SOPInstanceUID; empty where each has a file."""
