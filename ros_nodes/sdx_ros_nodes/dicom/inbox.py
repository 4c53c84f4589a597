"""Where received instances lie until they are read: a folder for each study and series, each file whole or absent. Start at Inbox.

Names are the vault's pseudonyms; the files themselves hold what the scanner sent and are readable by their owner alone.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sdx_domains.medicine.privacy.files import PART, make_folder, write_whole

UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
"""Of at most 64 characters (PS3.5 chapter 9); leading zeros are met in the field and let pass."""
MARK = ".handed"
COMPARED_BYTES = 1 << 20

Arrival = Literal["new", "same", "replaced"]


@dataclass(frozen=True, slots=True)
class Uids:
    """Which instance it is; real, so kept out of every repr."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    instance: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("study", "series", "instance"):
            value = getattr(self, name)
            if len(value) > 64 or not UID.fullmatch(value):
                raise ValueError(f"its {name} UID is {'missing' if not value else 'no UID: digits and dots, at most 64'}")


@dataclass(frozen=True, slots=True)
class Received:
    """A series that seems whole."""

    study: str
    series: str
    """Pseudonyms."""
    folder: Path
    instances: int


class Inbox:
    """One folder, mode 700. Any number of threads may put; what a killed process left half written is removed at the start.

    Args:
        pseudonym: real UID -> the name under which it lies; Vault.pseudonym.
    """

    def __init__(self, folder: Path, pseudonym: Callable[[str], str]) -> None:
        make_folder(folder)
        folder.chmod(0o700)
        self.folder, self._pseudonym = folder, pseudonym
        for part in folder.glob(f"*/*/.*{PART}"):
            part.unlink(missing_ok=True)

    def put(self, uids: Uids, parts: Sequence[bytes | memoryview]) -> tuple[Path, Arrival]:
        """Keep one instance, on disk when this returns; the same again changes nothing, another content replaces it. OSError: it is not kept.

        Returns:
            The series' folder, and what was done.
        """
        folder = self.folder / self._pseudonym(uids.study) / self._pseudonym(uids.series)
        target = folder / f"{self._pseudonym(uids.instance)}.dcm"
        there = target.exists()
        if there and _same(target, parts):
            return folder, "same"
        write_whole(target, lambda file: file.writelines(parts))
        return folder, "replaced" if there else "new"

    def free_mb(self) -> float:
        return shutil.disk_usage(self.folder).free / 1e6

    def received(self, folder: Path) -> Received:
        return Received(folder.parent.name, folder.name, folder, len(_instances(folder)))

    def pending(self) -> Iterator[Path]:
        """Folders of series that were not handed on as they are now."""
        for folder in sorted(self.folder.glob("*/*")):
            if folder.is_dir() and _instances(folder) and not self.handed(folder):
                yield folder

    def handed(self, folder: Path) -> bool:
        mark = folder / MARK
        return mark.exists() and mark.read_text(encoding="ascii") == _state(folder)

    def mark(self, folder: Path, state: str) -> None:
        """The series was handed on as it was in `state`; not again before it changes."""
        write_whole(folder / MARK, lambda file: file.write(state.encode("ascii")))

    def state(self, folder: Path) -> str:
        """Changes with every instance that comes or is replaced."""
        return _state(folder)


def _instances(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"))


def _state(folder: Path) -> str:
    lines = (f"{path.name} {found.st_size} {found.st_mtime_ns}" for path in _instances(folder) for found in [path.stat()])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _same(path: Path, parts: Sequence[bytes | memoryview]) -> bool:
    if path.stat().st_size != sum(len(part) for part in parts):
        return False
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return all(
            file.read(len(piece)) == piece
            for part in parts
            for start in range(0, len(part), COMPARED_BYTES)
            for piece in [part[start : start + COMPARED_BYTES]]
        )
