"""Small CT instances for tests: 16 x 16 pixels that differ from slice to slice."""

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.410.200067.77"


def ct_files(folder: Path, count: int, series: int = 1, sop_class: str = CTImageStorage) -> list[Path]:
    """Written to `folder`; study 1, series `series`, slices 1 to count."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{series}-{number:03d}.dcm" for number in range(1, count + 1)]
    for number, path in enumerate(paths, 1):
        ct_instance(series, number, sop_class).save_as(path, enforce_file_format=True)
    return paths


def ct_instance(series: int, number: int, sop_class: str = CTImageStorage) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = sop_class, f"{ROOT}.1.{series}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = f"{ROOT}.1", f"{ROOT}.1.{series}", "CT"
    made.PatientName, made.PatientID, made.AccessionNumber = "Vaszary^Norhee", "88442277", "A5530021"
    made.InstanceNumber, made.ImagePositionPatient = number, [0.0, 0.0, float(number)]
    made.Rows = made.Columns = 16
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 16, 16, 15, 1, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = np.full((16, 16), number, np.int16).tobytes()
    return made
