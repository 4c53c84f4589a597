"""A phantom as a DICOM series, with an identity that is plainly invented, and on request with what goes wrong in real ones.

    python -m sdx_domains.medicine.phantom.write 900000001 folder      # 1.25 mm slices of 512 x 512

Start at write_dicom().
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.phantom.render import Phantom, render
from sdx_domains.medicine.phantom.scene import scene

INTERCEPT = -1024
TRUE_SPACING_MM = (1.25, 0.75, 0.75)
MATRIX = 512


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a patient who does not exist."""

    name: str = "PHANTOM^CHEST"
    patient_id: str = "PHANTOM-1"
    birth_date: str = "19600101"
    accession: str = "A1"
    institution: str = "Imaginary Hospital"
    physician: str = "NOBODY^DR"
    study_date: str = "20260102"


@dataclass(frozen=True, slots=True)
class Oddities:
    """What differs from a plain series; slices are counted from the feet."""

    modality: str = "CT"
    tilt_deg: float = 0.0
    """Of the gantry: planes lean, positions go straight along the table."""
    missing: tuple[int, ...] = ()
    twice: tuple[int, ...] = ()
    """Written a second time, under another SOPInstanceUID."""
    head_first_numbers: bool = False
    """InstanceNumber and file names go from head to feet."""
    localizer: bool = False
    """A picture more, of type LOCALIZER."""


def write_dicom(phantom: Phantom, folder: Path, identity: Identity | None = None, oddities: Oddities | None = None) -> Path:
    """CT Image Storage, Explicit VR Little Endian, a file each slice; the folder appears when it is whole. UIDs follow from seed and identity.

    Raises FileExistsError where the folder is there already.
    """
    who, odd = identity or Identity(), oddities or Oddities()
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; name a new folder")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    count = len(phantom.volume.z_mm)
    kept = [index for index in range(count) if index not in odd.missing]
    for index, copy in [*((index, 0) for index in kept), *((index, 1) for index in odd.twice)]:
        number = (count - index if odd.head_first_numbers else index + 1) + copy * count
        _slice(phantom, index, number, copy, who, odd).save_as(part / f"{number:05d}.dcm", enforce_file_format=True)
    if odd.localizer:
        _localizer(phantom, who, odd).save_as(part / "00000.dcm", enforce_file_format=True)
    part.rename(folder)
    return folder


def _slice(phantom: Phantom, index: int, number: int, copy: int, who: Identity, odd: Oddities) -> Any:
    volume = phantom.volume
    lean = np.radians(odd.tilt_deg)
    made = _dataset(phantom, who, odd, f"slice {index} {copy}", ["ORIGINAL", "PRIMARY", "AXIAL"])
    x0, y0, _ = volume.origin_lps_mm
    z = float(volume.z_mm[index])
    made.InstanceNumber = number
    made.ImagePositionPatient = [_number(value) for value in (x0, y0 * np.cos(lean), z - y0 * np.sin(lean))]
    made.ImageOrientationPatient = [1, 0, 0, 0, _number(np.cos(lean)), _number(-np.sin(lean))]
    made.SliceLocation = _number(z)
    made.GantryDetectorTilt = _number(odd.tilt_deg)
    _pixels(made, volume.hu[index], volume.spacing_mm[1:])
    return made


def _localizer(phantom: Phantom, who: Identity, odd: Oddities) -> Any:
    """The patient from the front."""
    volume = phantom.volume
    made = _dataset(phantom, who, odd, "localizer", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    made.InstanceNumber = 0
    made.ImagePositionPatient = [_number(volume.origin_lps_mm[0]), 0, _number(float(volume.z_mm[-1]))]
    made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    _pixels(made, volume.hu[::-1].mean(axis=1).astype(np.int16), (volume.spacing_mm[0], volume.spacing_mm[2]))
    return made


def _dataset(phantom: Phantom, who: Identity, odd: Oddities, name: str, kind: list[str]) -> Any:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

    def uid(*parts: str) -> str:
        return generate_uid(entropy_srcs=["sdx phantom", str(phantom.scene.seed), who.patient_id, who.accession, *parts])

    series = f"{phantom.volume.spacing_mm} {odd}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage if odd.modality == "MR" else CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(series, name)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = uid("study"), uid(series), uid("frame")
    made.ImageType, made.Modality, made.SyntheticData = kind, odd.modality, "YES"
    made.PatientName, made.PatientID, made.PatientBirthDate = who.name, who.patient_id, who.birth_date
    made.PatientSex, made.PatientAge = phantom.scene.sex, f"{phantom.scene.age_years:03d}Y"
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = who.study_date
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = "120000"
    made.AccessionNumber, made.ReferringPhysicianName, made.InstitutionName = who.accession, who.physician, who.institution
    made.StudyID, made.SeriesNumber, made.AcquisitionNumber = "1", 2, 1
    made.StudyDescription, made.SeriesDescription = "Chest CT (procedural phantom)", f"Chest {phantom.scene.taking.kernel}"
    made.Manufacturer, made.ManufacturerModelName, made.BodyPartExamined = "SDx", "Procedural phantom", "CHEST"
    made.PatientPosition, made.PositionReferenceIndicator = "HFS", ""
    made.KVP, made.ConvolutionKernel = (
        _number(phantom.scene.taking.kvp),
        {"lung": "B70f", "soft": "B40f"}.get(phantom.scene.taking.kernel, ""),
    )
    made.SliceThickness = _number(phantom.facts.thickness_mm or phantom.volume.spacing_mm[0])
    if phantom.scene.taking.contrast:
        made.ContrastBolusAgent = "iodine"
    return made


def _pixels(made: Any, hu: NDArray[np.int16], spacing_mm: tuple[float, ...]) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = hu.shape
    made.PixelSpacing = [_number(value) for value in spacing_mm]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = INTERCEPT, 1, "HU"
    made.WindowCenter, made.WindowWidth = 40, 400
    made.PixelData = np.clip(hu.astype(np.int32) - INTERCEPT, 0, 4095).astype("<u2").tobytes()


def _number(value: float) -> float:
    """At most the 16 characters of a DICOM decimal string."""
    return round(float(value), 6)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", help="comma-separated label keys, instead of chance; empty: a normal chest")
    parser.add_argument(
        "--reports", action="store_true", help="FOLDER.en.txt and FOLDER.ko.txt beside it: the reports that are right for it"
    )
    args = parser.parse_args(argv)
    wanted = None if args.labels is None else [key for key in args.labels.split(",") if key]
    if args.folder.exists():
        parser.error(f"{args.folder} is there already; name a new folder")
    try:
        patient = scene(args.seed, wanted)
    except ValueError as error:
        parser.error(str(error))
    phantom = render(patient, TRUE_SPACING_MM, (MATRIX, MATRIX), keep_masks=False)
    print(
        f"{write_dicom(phantom, args.folder)}: {phantom.facts.slices} slices; {', '.join(each.label for each in phantom.truth) or 'normal'}"
    )
    if args.reports:
        from sdx_domains.medicine.phantom.pairs import paired

        both = paired(phantom)
        for report in (both.en, both.ko):
            text = f"{report.findings_text()}\n\n{report.impression_text()}\n"
            args.folder.with_name(f"{args.folder.name}.{report.language}.txt").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
