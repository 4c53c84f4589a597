"""Stored pixel values to Hounsfield units, slice by slice into one array. Native pixels are read directly, compressed ones decoded."""

import contextlib
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.ingest.headers import Plane
from sdx_domains.medicine.ingest.quiet import same_locale
from sdx_domains.medicine.ingest.rules import Progress, Refused
from sdx_domains.medicine.volume import PADDING_HU

Decoder = Literal["native", "pydicom", "itk"]
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_ITK = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80")
DECODED = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
    "1.2.840.10008.1.2.5": "RLE Lossless",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
}
"""Transfer syntaxes that are read: those that keep every value (.91 may; a lossy one says so in LossyImageCompression)."""
_SOF = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading the pixels."""

    hu: NDArray[np.int16]
    """(kept planes, rows, columns) as stored in the files."""
    kept: tuple[int, ...]
    """Indices of the planes that could be decoded."""
    padded: bool
    rounded: bool
    """Values that were no whole Hounsfield units, or outside int16."""


@cache
def decoded_by(syntax: str) -> Decoder | None:
    """What decodes a transfer syntax on this machine; None: nothing that is installed."""
    if syntax in _NATIVE:
        return "native"
    from pydicom.pixels import get_decoder

    with contextlib.suppress(NotImplementedError):
        if get_decoder(syntax).is_available:
            return "pydicom"
    import importlib.util

    return "itk" if syntax in _ITK and importlib.util.find_spec("SimpleITK") else None


def load(planes: Sequence[Plane], progress: Progress) -> Loaded:
    """All planes into one array. Planes whose pixels are broken are left out; Refused when none is whole."""
    hu = np.empty((len(planes), planes[0].rows, planes[0].columns), dtype=np.int16)
    kept: list[int] = []
    padded = rounded = False
    reader = _Reader()
    for index, plane in enumerate(planes):
        with contextlib.suppress(_Broken):
            stored = reader.stored(plane)
            rounded |= _rescale(stored, plane, hu[len(kept)])
            padded |= _mask(stored, plane, hu[len(kept)])
            kept.append(index)
        progress(index + 1, len(planes))
    if not kept:
        raise Refused("pixels", f"No slice of {len(planes)} could be decoded ({DECODED[planes[0].syntax]}): transfer the series again.")
    return Loaded(hu[: len(kept)], tuple(kept), padded, rounded)


class _Broken(Exception):
    """Pixels that are cut short or do not decode."""


class _Reader:
    """Stored values of planes; holds the last compressed file, whose frames come one after the other."""

    def __init__(self) -> None:
        self._number = -1
        self._dataset: Any = None

    def stored(self, plane: Plane) -> NDArray[Any]:
        if plane.cut_short:
            raise _Broken
        how = decoded_by(plane.syntax)
        try:
            values = _native(plane) if how == "native" else self._pydicom(plane) if how == "pydicom" else _itk(plane)
        except Exception:  # noqa: BLE001 -- a decoder of hostile bytes can raise nearly anything
            raise _Broken from None
        if values.shape != (plane.rows, plane.columns):
            raise _Broken
        return values

    def _pydicom(self, plane: Plane) -> NDArray[Any]:
        from pydicom import dcmread
        from pydicom.encaps import get_frame
        from pydicom.pixels import get_decoder

        if self._number != plane.entry.number:
            with plane.entry.open() as file:
                self._dataset, self._number = dcmread(file, force=True), plane.entry.number
        frame = get_frame(self._dataset.PixelData, plane.frame, number_of_frames=plane.frames)
        if declared(frame) not in (None, (plane.rows, plane.columns)):
            raise _Broken
        decoder = get_decoder(plane.syntax)
        plugin = "pylibjpeg" if "pylibjpeg" in decoder.available_plugins else ""
        return decoder.as_array(self._dataset, index=plane.frame, raw=True, decoding_plugin=plugin)[0]


def declared(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) by the code stream's own header, so that a small file cannot ask for a huge image; None where it has none (RLE)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 256)
    if start >= 0 and len(frame) >= start + 24:
        right, bottom, left, top = struct.unpack(">IIII", frame[start + 8 : start + 24])
        return bottom - top, right - left
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 < len(frame):
        marker, length = frame[at + 1], struct.unpack(">H", frame[at + 2 : at + 4])[0]
        if marker in _SOF:
            return struct.unpack(">HH", frame[at + 5 : at + 9])
        at += 2 + length
    return None


def _native(plane: Plane) -> NDArray[Any]:
    """Uncompressed values, as stored; bits above BitsStored are cut off, the sign extended."""
    with plane.entry.open() as file:
        file.seek(plane.offset + plane.frame * plane.frame_bytes)
        raw = file.read(plane.frame_bytes)
    width = plane.bits_allocated // 8
    values = np.frombuffer(raw, dtype=np.dtype(f"{'<' if plane.little_endian else '>'}u{width}")).reshape(plane.rows, plane.columns)
    return _significant(values.astype(f"u{width}", copy=False), plane)


def _significant(values: NDArray[Any], plane: Plane) -> NDArray[Any]:
    spare = plane.bits_allocated - plane.bits_stored
    if plane.signed:
        signed = values.view(f"i{values.dtype.itemsize}")
        return (signed << spare) >> spare if spare else signed
    return values & ((1 << plane.bits_stored) - 1) if spare else values


def _itk(plane: Plane) -> NDArray[Any]:
    """Through SimpleITK, for what pydicom has no decoder of. It wants a file and gives rescaled values: turned back exactly."""
    import SimpleITK as sitk

    if plane.frames != 1:
        raise _Broken
    with plane.entry.open() as file:
        content = file.read()
    start = content.find(b"\xff\xd8", plane.offset)
    if start < 0 or declared(content[start:]) != (plane.rows, plane.columns):
        raise _Broken
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory(prefix="sdx-") as folder, same_locale():
        path = Path(folder, "slice.dcm")
        path.write_bytes(content)
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]
    assert plane.slope and plane.intercept is not None
    return np.rint((image.astype(np.float64) - plane.intercept) / plane.slope).astype(np.int32)


def _rescale(stored: NDArray[Any], plane: Plane, out: NDArray[np.int16]) -> bool:
    """slope * stored + intercept into `out`; True where that is no int16 exactly, and was rounded or clipped."""
    assert plane.slope is not None and plane.intercept is not None
    whole = plane.slope == int(plane.slope) and plane.intercept == int(plane.intercept)
    if not whole:
        values = np.rint(stored * plane.slope + plane.intercept)
    elif plane.slope == 1:
        values = stored.astype(np.int32) + int(plane.intercept)
    else:
        values = stored.astype(np.int64) * int(plane.slope) + int(plane.intercept)
    low, high = int(values.min()), int(values.max())
    beyond = low < -32768 or high > 32767
    out[:] = np.clip(values, -32768, 32767) if beyond else values
    return not whole or beyond


def _mask(stored: NDArray[Any], plane: Plane, out: NDArray[np.int16]) -> bool:
    """What PixelPaddingValue marks becomes PADDING_HU. Compared modulo 2**16: vendors write a signed value as an unsigned one."""
    if plane.padding is None:
        return False
    low, high = plane.padding
    if low == high:
        kind = np.iinfo(stored.dtype)
        value = next((each for each in (low, low - 65536, low + 65536) if kind.min <= each <= kind.max), None)
        outside = stored == value
    else:
        outside = (stored >= low) & (stored <= high)
    out[outside] = PADDING_HU
    return bool(outside.any())
