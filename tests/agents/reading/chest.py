"""A small study that is no mirror image of itself: a nodule on the patient's right, a pneumothorax on the left, more below than above."""

from typing import Any

import numpy as np

from sdx_domains.medicine.findings import Finding, Size, Slices
from sdx_domains.medicine.picture import Measurements, MedicinePicture, Prior, Saw, Statement
from sdx_domains.medicine.volume import Series, StudyFacts, Volume

SLICES, ROWS, COLUMNS = 24, 64, 80
SPACING = (5.0, 4.0, 4.0)
NODULE = (8, 30, 20)
"""(slice, row, column): a column below the middle lies on the patient's right."""

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


def volume() -> Volume:
    z, y, x = np.mgrid[:SLICES, :ROWS, :COLUMNS]
    hu = np.full((SLICES, ROWS, COLUMNS), -1000, np.int16)
    hu[((y - 32) / 26.0) ** 2 + ((x - 40) / 36.0) ** 2 < 1] = 40
    for middle in (23, 57):
        hu[((y - 32) / 18.0) ** 2 + ((x - middle) / 13.0) ** 2 < 1] = -850
    hu[((z - NODULE[0]) * 5) ** 2 + ((y - NODULE[1]) * 4) ** 2 + ((x - NODULE[2]) * 4) ** 2 < 10**2] = 35
    hu[(y < 22) & (hu == -850) & (x > 50)] = -1000
    hu[:2, 5:9, 36:44] = 900
    return Volume(hu, SPACING, (-160.0, -128.0, -60.0), -60.0 + 5.0 * np.arange(SLICES))


def facts(number: int = 1, **more: Any) -> StudyFacts:
    uids = tuple(f"2.25.{number}00{at:03d}" for at in range(SLICES))
    known: dict[str, Any] = {
        "study_uid": f"2.25.{number}1", "series_uid": f"2.25.{number}2", "slice_uids": uids, "slices": SLICES, "spacing_mm": SPACING,
        "thickness_mm": 5.0, "age_years": 64, "sex": "F", "source": "phantom", "warnings": ("5.0 mm slices: small nodules may be missed",),
    }  # fmt: skip
    return StudyFacts.model_validate(known | more)


def finding(number: int, label: str, side: str, at: tuple[int, int, int], half_mm: float, uid: str = "", **more: Any) -> Finding:
    x, y, z = volume().lps_mm(at)
    known: dict[str, Any] = {
        "id": f"F{number}", "label": label, "laterality": side, "zone": "lower", "lobe": "RLL" if side == "right" else "LLL",
        "slices": Slices(first=at[0] - 2, last=at[0] + 2, key=at[0], key_uid=uid or facts().slice_uids[at[0]]), "centroid_lps_mm": (x, y, z),
        "bbox_lps_mm": (x - half_mm, y - half_mm, z - half_mm, x + half_mm, y + half_mm, z + half_mm), "probability": 0.9, "found_by": "both",
    }  # fmt: skip
    return Finding.model_validate(known | more)


def findings(critical: bool = True, number: int = 1) -> tuple[Finding, ...]:
    uids = facts(number).slice_uids
    nodule = finding(
        1, "nodule", "right", NODULE, 10.0, uids[8], size=Size(long_mm=20.0, short_mm=18.0, volume_ml=3.9), descriptors=("solid",)
    )
    emphysema = finding(2, "emphysema", "left", (16, 30, 57), 30.0, uids[16], probability=0.6, found_by="encoder")
    air = finding(3, "pneumothorax", "left", (12, 18, 57), 24.0, uids[12], zone="n/a", lobe="n/a", measure={"pneumothorax_ml": 40.0})
    return (nodule, emphysema, air) if critical else (nodule, emphysema)


def study(
    number: int = 1, critical: bool = True, prior: Prior | None = None, **more: Any
) -> tuple[Series, MedicinePicture, tuple[Statement, ...]]:
    """(series, picture, what a machine would state: the first two yes and uncertain, the third yes)."""
    known, found = facts(number, **more), findings(critical, number)
    saw = Saw(
        handle="h",
        model="sdx-test",
        model_sha256="a" * 64,
        probability={each.label: each.probability for each in found},
        unlike_training=0.2,
    )
    picture = MedicinePicture(t_s=0.0, study=known, measured=Measurements(emphysema_index_pct=7.0), saw=saw, findings=found, prior=prior)
    stated = tuple(Statement(finding=each, present="uncertain" if each.label == "emphysema" else "yes") for each in found)
    return Series(volume(), known), picture, stated


def with_header(series: Series) -> Series:
    """The series as if it had come as DICOM, of a patient with a name."""
    from dataclasses import replace

    from pydicom.dataset import Dataset
    from pydicom.uid import CTImageStorage

    header, real = Dataset(), tuple(f"1.2.3.{at + 1}" for at in range(SLICES))
    header.SOPClassUID, header.Modality, header.Rows, header.Columns = CTImageStorage, "CT", ROWS, COLUMNS
    header.PixelSpacing, header.SliceThickness = [SPACING[1], SPACING[2]], SPACING[0]
    header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-160.0, -128.0, -60.0]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = "1.2.3", "1.2.3.0", real[0]
    header.FrameOfReferenceUID, header.PatientName, header.PatientID = "1.2.4", "Hong^Gildong", "900101"
    return replace(series, header=header, sop_uids=real)
