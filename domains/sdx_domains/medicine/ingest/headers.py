"""One image plane as its DICOM header describes it: a CT slice, or a frame of an Enhanced CT. Numbers are checked here, once."""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, BinaryIO

from sdx_domains.medicine.ingest.files import MB, Entry
from sdx_domains.medicine.ingest.rules import Refused, limits

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
}
DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory: the DICOMDIR of a disc."""
DEFLATED = "1.2.840.10008.1.2.1.99"
_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "PatientName",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ConvolutionKernel",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContentTime",
    "TemporalPositionIdentifier",
    "InstanceNumber",
    "SeriesNumber",
    "GantryDetectorTilt",
    "LossyImageCompression",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


class NotDicom(Exception):
    """A file that is something else, or the directory of a disc: passed over and counted."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane, nothing decoded yet. Its repr shows nothing that came from the file but its size."""

    entry: Entry
    frame: int
    """Counts from 0."""
    frames: int
    sop_uid: str = field(repr=False)
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    patient: tuple[str, str] = field(repr=False)
    sop_class: str
    modality: str = field(repr=False)
    image_type: tuple[str, ...] = field(repr=False)
    rows: int
    columns: int
    position: tuple[float, ...] | None
    """(x, y, z) of the first voxel's centre, LPS mm."""
    orientation: tuple[float, ...] | None
    """Direction of a row, then of a column, LPS."""
    spacing: tuple[float, ...] | None
    """Between rows, between columns, mm."""
    slope: float | None
    intercept: float | None
    rescale_type: str = field(repr=False)
    samples: int
    photometric: str = field(repr=False)
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None
    """Range of stored values that mean "outside the picture"."""
    syntax: str
    """Transfer syntax UID."""
    offset: int
    """Where the pixel bytes begin; -1: there are none."""
    length: int
    """Of the pixel bytes; -1: encapsulated."""
    little_endian: bool
    kernel: str = field(repr=False)
    acquisition: tuple[str, ...] = field(repr=False)
    """What tells acquisitions apart: number, temporal position, times."""
    instance: int
    series_number: int | None
    thickness: float | None
    tilt: float
    lossy: bool

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def cut_short(self) -> bool:
        """The file ends before its pixels do."""
        end = self.offset + (self.frame + 1) * self.frame_bytes
        return self.offset < 0 or (self.length >= 0 and (end > self.entry.size or (self.frame + 1) * self.frame_bytes > self.length))


def planes(entry: Entry) -> list[Plane]:
    """Of one file. NotDicom; Refused where it is DICOM but its header cannot be used."""
    if entry.size > limits().file_mb * MB:
        raise Refused("size", f"{entry} has {entry.size / MB:.0f} MB, more than {limits().file_mb}: not read.")
    try:
        with entry.open() as file:
            dataset = _dataset(entry, file)
            offset, length = _pixels(file, dataset)
        if _text(dataset.file_meta, "MediaStorageSOPClassUID") == DIRECTORY:
            raise NotDicom
        first = _plane(entry, dataset, offset, length)
        if not first.modality or (first.sop_class in CT_CLASSES and offset < 0 and first.rows == 0):
            raise Refused("input", f"{entry} ends within its header, or has no Modality: transfer it again.")
        return [first] if first.frames == 1 and "PerFrameFunctionalGroupsSequence" not in dataset else list(_frames(first, dataset))
    except (Refused, NotDicom):
        raise
    except (OSError, zipfile.BadZipFile, zlib.error):
        raise Refused("input", f"{entry} cannot be read: transfer it again.") from None
    except Exception:  # noqa: BLE001 -- a hostile header can raise nearly anything in a parser; its words may quote the header
        raise Refused("input", f"{entry} has a broken DICOM header: export it again.") from None


def _dataset(entry: Entry, file: BinaryIO) -> Any:
    """The tags that are needed, read up to the pixels."""
    from pydicom import dcmread

    head = file.read(4096)
    file.seek(0)
    part_10 = head[128:132] == b"DICM"
    if not part_10 and head[:4] not in (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x08\x00\x16\x00"):
        raise NotDicom
    if DEFLATED.encode() in head:
        raise Refused("pixels", f"{entry} has the deflated transfer syntax, which is not read: export it as Explicit VR Little Endian.")
    return dcmread(file, force=not part_10, stop_before_pixels=True, specific_tags=_tags())


@cache
def _tags() -> list[Any]:
    from pydicom.datadict import tag_for_keyword

    return [tag_for_keyword(keyword) for keyword in _KEYWORDS]


def _pixels(file: BinaryIO, dataset: Any) -> tuple[int, int]:
    """Offset and length of the value of PixelData, at which the reading of tags has stopped."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    start = file.tell()
    head = file.read(12)
    if len(head) < 12 or struct.unpack(f"{order}HH", head[:4]) != (0x7FE0, 0x0010):
        return -1, 0
    length = struct.unpack(f"{order}I", head[4:8] if implicit else head[8:12])[0]
    return start + (8 if implicit else 12), -1 if length == 0xFFFFFFFF else length


def _plane(entry: Entry, dataset: Any, offset: int, length: int) -> Plane:
    meta = dataset.file_meta
    rows, columns = _integer(dataset, "Rows", 0), _integer(dataset, "Columns", 0)
    stored = _integer(dataset, "BitsStored", 16)
    return Plane(
        entry=entry,
        frame=0,
        frames=_integer(dataset, "NumberOfFrames", 1),
        sop_uid=_text(dataset, "SOPInstanceUID") or _text(meta, "MediaStorageSOPInstanceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        patient=(_text(dataset, "PatientID"), _text(dataset, "PatientName")),
        sop_class=_text(dataset, "SOPClassUID") or _text(meta, "MediaStorageSOPClassUID"),
        modality=_text(dataset, "Modality"),
        image_type=_texts(dataset, "ImageType"),
        rows=rows,
        columns=columns,
        position=_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        spacing=_numbers(dataset, "PixelSpacing", 2),
        slope=_number(dataset, "RescaleSlope"),
        intercept=_number(dataset, "RescaleIntercept"),
        rescale_type=_text(dataset, "RescaleType"),
        samples=_integer(dataset, "SamplesPerPixel", 1),
        photometric=_text(dataset, "PhotometricInterpretation"),
        bits_allocated=_integer(dataset, "BitsAllocated", 0),
        bits_stored=stored,
        high_bit=_integer(dataset, "HighBit", stored - 1),
        signed=_integer(dataset, "PixelRepresentation", 0) == 1,
        padding=_padding(dataset),
        syntax=_text(meta, "TransferSyntaxUID") or "1.2.840.10008.1.2",
        offset=offset,
        length=length,
        little_endian=bool(dataset.original_encoding[1]),
        kernel=(_texts(dataset, "ConvolutionKernel") or ("",))[0],
        acquisition=tuple(_text(dataset, each) for each in ("AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime")),
        instance=_integer(dataset, "InstanceNumber", 0),
        series_number=_integer(dataset, "SeriesNumber", 0) if _text(dataset, "SeriesNumber") else None,
        thickness=_number(dataset, "SliceThickness"),
        tilt=_number(dataset, "GantryDetectorTilt") or 0.0,
        lossy=_text(dataset, "LossyImageCompression") == "01",
    )


def _frames(first: Plane, dataset: Any) -> Iterator[Plane]:
    """The frames of a multi-frame image: each with its own position and rescaling, from its functional groups (PS3.3 C.7.6.16)."""
    own: Sequence[Any] = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    if first.frames > limits().frames:
        raise Refused("size", f"{first.entry} has {first.frames} frames, more than {limits().frames}: not read.")
    if len(own) != first.frames:
        raise Refused("input", f"{first.entry} has {first.frames} frames but describes {len(own)}: export the series again.")
    for index, group in enumerate(own):

        def macro(name: str, group: Any = group) -> Any:
            for each in (group, shared):
                if each is not None and each.get(name):
                    return each.get(name)[0]
            return {}

        measures, value = macro("PixelMeasuresSequence"), macro("PixelValueTransformationSequence")
        content = macro("FrameContentSequence")
        kernel = _texts(macro("CTReconstructionSequence"), "ConvolutionKernel")
        yield replace(
            first,
            frame=index,
            image_type=_texts(macro("CTImageFrameTypeSequence"), "FrameType") or first.image_type,
            position=_numbers(macro("PlanePositionSequence"), "ImagePositionPatient", 3),
            orientation=_numbers(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
            spacing=_numbers(measures, "PixelSpacing", 2),
            thickness=_number(measures, "SliceThickness"),
            slope=_number(value, "RescaleSlope"),
            intercept=_number(value, "RescaleIntercept"),
            rescale_type=_text(value, "RescaleType"),
            kernel=(kernel or (first.kernel,))[0],
            tilt=_number(macro("CTAcquisitionDetailsSequence"), "GantryDetectorTilt") or first.tilt,
            acquisition=tuple(_text(content, each) for each in ("FrameAcquisitionNumber", "TemporalPositionIndex", "StackID")),
            instance=index,
        )


def _padding(dataset: Any) -> tuple[int, int] | None:
    """PixelPaddingValue, and PixelPaddingRangeLimit where there is one (PS3.3 C.7.5.1.1.2), in ascending order."""
    if not _text(dataset, "PixelPaddingValue"):
        return None
    value = _integer(dataset, "PixelPaddingValue", 0)
    limit = _integer(dataset, "PixelPaddingRangeLimit", value)
    return min(value, limit), max(value, limit)


def _value(dataset: Any, keyword: str) -> Any:
    """None where the tag is absent, empty or unreadable."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001 -- pydicom converts on access and raises what the converter raises
        return None


def _text(dataset: Any, keyword: str) -> str:
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip().strip("\0")


def _texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return ()
    return (str(value).strip(),) if isinstance(value, str | int | float) else tuple(str(each).strip() for each in value)


def _number(dataset: Any, keyword: str) -> float | None:
    found = _numbers(dataset, keyword, 1)
    return found[0] if found else None


def _numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """As many finite numbers as asked for, or None."""
    try:
        found = tuple(float(each) for each in _texts(dataset, keyword))
    except ValueError:
        return None
    return found if len(found) == count and all(math.isfinite(each) and abs(each) < 1e6 for each in found) else None


def _integer(dataset: Any, keyword: str, otherwise: int) -> int:
    found = _number(dataset, keyword)
    return otherwise if found is None else int(found)
