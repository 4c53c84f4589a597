"""Packed files (DOCX is one) looked over before anything is unpacked: bombs, passwords and breaks are told. Start at checked()."""

import io
import zipfile
import zlib

from sdx_rag.document import Unreadable
from sdx_rag.readers.limits import Limits

_SMALL = 1_000_000  # bytes; what unpacks to less harms nobody, whatever its ratio
_PARTS = 10_000


def checked(data: bytes, wanted: str, limits: Limits) -> None:
    """Raises Unreadable unless it is a whole archive, within the limits, that holds the part `wanted`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            _sizes(parts, limits)
            if any(part.flag_bits & 1 for part in parts):
                raise Unreadable("encrypted: it needs a password; save it without one")
            if wanted not in archive.namelist():
                raise Unreadable(f"not what its suffix says: an archive without {wanted}")
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"broken: its archive cannot be opened ({error}); get a whole copy") from error
    except zlib.error as error:
        raise Unreadable(f"broken: its archive cannot be unpacked ({error}); get a whole copy") from error
    if broken:
        raise Unreadable(f"broken: its part {broken} does not match its checksum; get a whole copy")


def _sizes(parts: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Declared sizes, which zipfile holds parts to."""
    whole = sum(part.file_size for part in parts)
    if whole > limits.unpacked_bytes or len(parts) > _PARTS:
        raise Unreadable(
            f"too large: unpacks to {whole:,} bytes in {len(parts)} parts, the limit is {limits.unpacked_bytes:,} in {_PARTS:,}"
        )
    for part in parts:
        if part.file_size > max(_SMALL, limits.unpacked_ratio * part.compress_size):
            raise Unreadable(
                f"too large: its part {part.filename} unpacks to {part.file_size:,} bytes, more than {limits.unpacked_ratio} times its size:"
                " a bomb? Raise the limit unpacked_ratio if you trust it"
            )
