"""A small lop-sided chest made of ellipses, and ways to write it: DICOM of any kind of brokenness, with a planted identity."""

import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian

from sdx_domains.medicine.ingest.quiet import quiet

SLICES, SIZE, SPACING, STEP = 40, 96, 3.5, 6.0
MARK = (30, 34, 30)
"""(slice, row, column) of a bright nodule: in the right lung, in front, near the head."""
PHI = ("HONG^GILDONG", "990101-1234567", "19510203", "SECRET HOSPITAL", "010-1234-5678")
Change = Callable[[int, FileDataset], FileDataset | None]


@cache
def chest(slices: int = SLICES, size: int = SIZE, lungs: bool = True) -> NDArray[np.int16]:
    """HU, oriented as a Volume is: the right lung is the larger one, the mark lies in it."""
    row, column = np.mgrid[0:size, 0:size] * (SIZE / size)
    hu = np.full((slices, size, size), -1000, dtype=np.int16)
    hu[:, _ellipse(row, column, 48, 48, 34, 44)] = 40
    for level in range(slices):
        high = level / (slices - 1)
        tall = np.clip(np.sin(np.pi * (high - 0.08) / 0.84), 0.0, None) if 0.08 < high < 0.92 else 0.0
        if lungs and tall > 0.2:
            hu[level, _ellipse(row, column, 46, 28, 26 * tall, 15 * tall)] = -850
            hu[level, _ellipse(row, column, 46, 69, 24 * tall, 12 * tall)] = -850
        hu[level, _ellipse(row, column, 74, 48, 6, 6)] = 300
    if lungs and (slices, size) == (SLICES, SIZE):
        hu[MARK] = 60
    noise = np.random.default_rng(7).integers(-8, 9, hu.shape)
    hu = (hu + noise).astype(np.int16)
    hu.flags.writeable = False
    return hu


def _ellipse(row: Any, column: Any, y: float, x: float, height: float, width: float) -> Any:
    return ((row - y) / height) ** 2 + ((column - x) / width) ** 2 <= 1.0


def dataset(plane: NDArray[np.int16], index: int, z_mm: float, series: int = 1) -> FileDataset:
    """One CT slice, values stored unsigned with intercept -1024, a person's identity in every usual place."""
    made = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    meta = made.file_meta
    meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = f"1.2.826.0.1.{series}.{index + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.PatientName, made.PatientID, made.PatientBirthDate = PHI[0], PHI[1], PHI[2]
    made.InstitutionName, made.PatientComments = PHI[3], f"call {PHI[4]}"
    made.StudyDescription = made.SeriesDescription = f"{PHI[0]} chest"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.826.0.2", f"1.2.826.0.3.{series}", "1.2.826.0.4"
    made.PatientAge, made.PatientSex, made.StudyDate = "063Y", "M", "20240506"
    made.Modality, made.Manufacturer, made.ConvolutionKernel, made.KVP = "CT", "SIEMENS", "B40f", 120
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SeriesNumber, made.InstanceNumber, made.AcquisitionNumber = series, 1000 - index, 1
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-168, -168, z_mm]
    made.PixelSpacing, made.SliceThickness = [SPACING, SPACING], 3
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
    made.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
    return made


def datasets(hu: NDArray[np.int16], series: int = 1, step: float = STEP) -> list[FileDataset]:
    """From feet to head, z from 0."""
    return [dataset(plane, index, index * step, series) for index, plane in enumerate(hu)]


def content(made: FileDataset) -> bytes:
    held = io.BytesIO()
    if made.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        dcmwrite(held, made, little_endian=False, implicit_vr=False, force_encoding=True)
    else:
        made.save_as(held, enforce_file_format=True)
    return held.getvalue()


def write(folder: Path, made: Sequence[FileDataset], change: Change = lambda index, each: each) -> Path:
    """Under names and in an order that say nothing of the position, in a folder named after the patient. A change of None leaves a slice out."""
    inner = folder / PHI[0].replace("^", "_") / "a b"
    inner.mkdir(parents=True, exist_ok=True)
    for index, each in enumerate(made):
        with quiet(), disable_value_validation():
            changed = change(index, each)
            if changed is not None:
                name = f"{PHI[0]}.{(index * 7919) % 1009}.{changed.SeriesNumber}"
                (inner / name).write_bytes(content(changed))
    return folder


def written(folder: Path, **tags: Any) -> Path:
    """The chest, each slice with these tags; a value of None deletes the tag."""

    def change(index: int, made: Dataset) -> Dataset:
        for keyword, value in tags.items():
            if value is None:
                delattr(made, keyword)
            else:
                setattr(made, keyword, value)
        return made

    return write(folder, datasets(chest()), change)


def pseudonym(uid: str) -> str:
    """A stand-in for the vault's: not the UID, the same each time."""
    return f"2.25.{int.from_bytes(uid.encode(), 'big') % 10**20}"
