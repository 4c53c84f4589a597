"""The files of a folder or of a ZIP, as numbered entries that can be opened. Names are never repeated: they may name a person."""

import io
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sdx_domains.medicine.ingest.rules import Refused, limits

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `number` counts from 1 in the order of paths (of the archive, in a ZIP)."""

    number: int
    of: int
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)

    def __str__(self) -> str:
        return f"File {self.number} of {self.of} (by path)"


def entries(path: Path) -> list[Entry]:
    """All regular files below a folder, those of a ZIP, or the one file. Refused: nothing there, or an archive that is not safe."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise Refused("input", "No such file or folder: check the path.")
    if path.stat().st_size == 0:
        raise Refused("input", "The file is empty: transfer it again.")
    if zipfile.is_zipfile(path) and path.suffix.lower() != ".npz":
        return _of_archive(path)
    return [_of_file(path, 1, 1)]


def _of_folder(folder: Path) -> list[Entry]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [each for name in sorted(names) if stat.S_ISREG(_mode(each := Path(parent, name)))]
        if len(found) > limits().files:
            raise Refused("size", f"More than {limits().files} files: give the folder of one study.")
    if not found:
        raise Refused("input", "The folder has no files: check the path, or transfer the study again.")
    return [_of_file(each, number, len(found)) for number, each in enumerate(found, 1)]


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # a broken link
        return 0


def _of_file(path: Path, number: int, of: int) -> Entry:
    return Entry(number, of, path.stat().st_size, lambda: path.open("rb"))


def _of_archive(path: Path) -> list[Entry]:
    """Members are read into memory one at a time, up to their declared size, and never written to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise Refused("archive", "The ZIP is broken: transfer it again.") from None
    if not members:
        raise Refused("archive", "The ZIP has no files: check what was packed.")
    _check(members)
    return [Entry(number, len(members), each.file_size, _opener(path, each)) for number, each in enumerate(members, 1)]


def _check(members: list[zipfile.ZipInfo]) -> None:
    held = limits()
    if len(members) > held.files:
        raise Refused("archive", f"The ZIP has {len(members)} files, more than {held.files}: pack one study.")
    total_mb = sum(each.file_size for each in members) / MB
    if total_mb > held.archive_mb:
        raise Refused("archive", f"The ZIP would unpack to {total_mb:.0f} MB, more than {held.archive_mb}: not read (a ZIP bomb?).")
    for number, each in enumerate(members, 1):
        at = f"file {number} of {len(members)} in the ZIP"
        name = PurePosixPath(each.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise Refused("archive", f"The path of {at} leads out of the archive: not read. Pack the folder again.")
        if stat.S_ISLNK(each.external_attr >> 16):
            raise Refused("archive", f"A link instead of a file ({at}): not read. Pack the files themselves.")
        if each.flag_bits & 1:
            raise Refused("archive", "The ZIP is encrypted: unpack it first, or pack it without a password.")
        if each.file_size > held.file_mb * MB:
            raise Refused("archive", f"A file of {each.file_size / MB:.0f} MB ({at}), more than {held.file_mb}: not read.")
        if each.file_size > held.archive_ratio_from_mb * MB and each.file_size > held.archive_ratio * max(each.compress_size, 1):
            raise Refused(
                "archive", f"A file that unpacks to {each.file_size / max(each.compress_size, 1):.0f} times its size ({at}): a ZIP bomb."
            )


def _opener(path: Path, member: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            return io.BytesIO(stream.read(member.file_size))

    return opened
