"""The images that results point to: their UIDs and geometry, the way they were stored, pseudonyms. Start at image()."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.out.instances import made_uid, needs_dicom
from sdx_domains.medicine.volume import Series, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GEOMETRY = (
    "SOPClassUID", "Modality", "Rows", "Columns", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames",
    "PositionReferenceIndicator", "PatientPosition", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation",
)  # fmt: skip
"""Of an image, nothing of whom it shows."""
RESAMPLED = ("tilted", "sideways")
"""Words of a correction after which voxels are no longer the images' pixels (ingest/turn.py)."""


def as_acquired(series: Series) -> bool:
    """Are the voxels the images' own pixels, so that an outline may be drawn on an image?"""
    return not any(word in correction for correction in series.facts.corrections for word in RESAMPLED)


def orientation(header: "Dataset") -> list[float]:
    """Six direction cosines of rows and columns; a multi-frame file has them in its functional groups. ValueError without any."""
    if "ImageOrientationPatient" in header:
        return [float(value) for value in header.ImageOrientationPatient]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in header.get(name, []):
            for item in group.get("PlaneOrientationSequence", []):
                return [float(value) for value in item.ImageOrientationPatient]
    raise ValueError("the images tell no ImageOrientationPatient: regions cannot be drawn on them")


def pseudonymous(series: Series) -> Series:
    """The same series with pseudonymous UIDs and no identity: for results that leave the hospital. Volumes without DICOM stay as they are."""
    if series.header is None:
        return series
    from pydicom.dataset import Dataset

    header = Dataset()
    for name in GEOMETRY:
        if name in series.header:
            setattr(header, name, series.header[name].value)
    facts = series.facts
    header.StudyInstanceUID, header.SeriesInstanceUID = facts.study_uid, facts.series_uid
    header.PatientID = made_uid("patient", facts.study_uid)
    header.ImageOrientationPatient = orientation(series.header)
    header.FrameOfReferenceUID = made_uid("frame of reference", facts.series_uid)
    header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", "Built anew from geometry alone; pseudonymous UIDs"
    key = _key_of(series)
    header.SOPInstanceUID = facts.slice_uids[key]
    if "ImagePositionPatient" in series.header:
        header.ImagePositionPatient = series.header.ImagePositionPatient
    return replace(series, header=header, sop_uids=facts.slice_uids)


def _key_of(series: Series) -> int:
    """Which slice the header is of."""
    uid = str(series.header.get("SOPInstanceUID", ""))
    return series.sop_uids.index(uid) if uid in series.sop_uids else 0


def image(series: Series, index: int) -> "Dataset":
    """A slice as results refer to it: UIDs, geometry, no identity, no pixels."""
    from pydicom.dataset import Dataset

    header, found = needs_dicom(series), Dataset()
    for name in GEOMETRY:
        if name in header:
            setattr(found, name, header[name].value)
    found.StudyInstanceUID, found.SeriesInstanceUID = header.StudyInstanceUID, header.SeriesInstanceUID
    found.SOPInstanceUID = series.sop_uids[index]
    _complete(found, series)
    if "FrameOfReferenceUID" in header:
        found.FrameOfReferenceUID = header.FrameOfReferenceUID
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        setattr(found, name, "")
    found.InstanceNumber = index + 1
    if "ImagePositionPatient" in header:
        found.ImagePositionPatient = [f"{value:.10g}" for value in _position(series, index)]
    return found


def _complete(found: "Dataset", series: Series) -> None:
    """What an old or a multi-frame header leaves out stands in the facts."""
    header, (gap, row, column) = series.header, series.volume.spacing_mm
    found.ImageOrientationPatient = [f"{value:.10g}" for value in orientation(header)]
    if found.get("PixelSpacing") is None:
        found.PixelSpacing = [f"{value:.10g}" for value in ((column, row) if _turns(header)[2] else (row, column))]
    if found.get("SliceThickness") is None:
        found.SliceThickness = f"{series.facts.thickness_mm or gap:.10g}"
    if "ImagePositionPatient" not in header:
        found.ImagePositionPatient = [f"{value:.10g}" for value in series.volume.lps_mm((0, 0, 0))]


def _position(series: Series, index: int) -> NDArray[np.float64]:
    """ImagePositionPatient of a slice: the header's, moved along the normal."""
    header, z_mm = series.header, series.volume.z_mm
    row, column = np.array(orientation(header)[:3]), np.array(orientation(header)[3:])
    normal = np.cross(row, column)
    normal *= np.sign(normal[2]) or 1.0
    return np.array(header.ImagePositionPatient, float) + normal * (z_mm[index] - z_mm[_key_of(series)])


def as_stored(header: "Dataset", plane: NDArray[Any]) -> NDArray[Any]:
    """A plane of the volume (rows to the back, columns to the left) turned the way the images were stored."""
    rows_flipped, columns_flipped, swapped = _turns(header)
    turned = plane[:: -1 if rows_flipped else 1, :: -1 if columns_flipped else 1]
    return np.ascontiguousarray(turned.T if swapped else turned)


def pixel(header: "Dataset", volume: Volume, x_mm: float, y_mm: float) -> tuple[float, float]:
    """(column, row) of a point in the stored image, as PS3.3 C.18.6.1 counts: 0.5, 0.5 is the centre of the first pixel."""
    x0, y0, _ = volume.origin_lps_mm
    _, rows, columns = volume.hu.shape
    row, column = (y_mm - y0) / volume.spacing_mm[1], (x_mm - x0) / volume.spacing_mm[2]
    row, column = min(max(row, 0.0), rows - 1.0), min(max(column, 0.0), columns - 1.0)
    rows_flipped, columns_flipped, swapped = _turns(header)
    row, column = rows - 1 - row if rows_flipped else row, columns - 1 - column if columns_flipped else column
    return (row + 0.5, column + 0.5) if swapped else (column + 0.5, row + 0.5)


def _turns(header: "Dataset") -> tuple[bool, bool, bool]:
    """(rows flipped, columns flipped, rows and columns swapped) of the stored images against the volume."""
    row, column = orientation(header)[:3], orientation(header)[3:]
    if abs(row[0]) >= abs(row[1]):  # along a stored row x changes: as in the volume
        return column[1] < 0, row[0] < 0, False
    return row[1] < 0, column[0] < 0, True
