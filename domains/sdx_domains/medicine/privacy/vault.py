"""The one place that knows who a study belongs to: a folder only its owner can read, that turns pseudonyms back into UIDs. Start at Vault."""

import hashlib
import hmac
import os
import secrets
import sqlite3
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from sdx_domains.medicine.privacy.quiet import unchecked

FILE = "vault.sqlite"
BULK_BYTES = 65_536
"""A longer binary value is no part of what results need, and is not kept."""
SHIFT_DAYS = (365, 3650)
"""Dates of a patient go back by a number of days between these two, the same for all of the patient's studies."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS salt (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS uids (pseudonym TEXT PRIMARY KEY, real TEXT NOT NULL, study TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS uids_of_study ON uids (study)",
    "CREATE TABLE IF NOT EXISTS series (study TEXT, series TEXT, header BLOB NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (study, series))",
)


class OpenVault(PermissionError):
    """Somebody else could read the vault; nothing is read or written until its owner closes it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Who a study belongs to, kept out of every repr."""

    header: Any = field(repr=False)
    """pydicom Dataset of one slice without pixels, as it was remembered."""
    real: Mapping[str, str] = field(repr=False)
    """Pseudonymous UID -> real UID, of everything remembered of the study."""


class Vault:
    """Folder of mode 700 with one SQLite file of mode 600; made when missing. Any process of the owner may use it at the same time.

    Raises:
        OpenVault: folder or file belongs to somebody else, is a link, or others may look into it.
        ValueError: the file is no vault or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / FILE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _closed(folder, stat.S_ISDIR, "700")
        if not os.path.lexists(self._file):
            with suppress(FileExistsError):  # another process was first
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _closed(self._file, stat.S_ISREG, "600")
        with self._open() as base:
            for statement in _TABLES:
                base.execute(statement)
            base.execute("INSERT OR IGNORE INTO salt VALUES (1, ?)", (secrets.token_bytes(32),))
        with self._open() as base:
            self._salt = bytes(base.execute("SELECT value FROM salt").fetchone()[0])

    def __repr__(self) -> str:
        return f"Vault({str(self._folder)!r})"

    def pseudonym(self, uid: str) -> str:
        """A valid UID below 2.25 (PS3.5 B.2) that stands for this one; the same one always, and no way back but through the vault."""
        return f"2.25.{uuid.UUID(bytes=self._hash('uid', uid)[:16], version=5).int}" if uid else ""

    def patient(self, patient_id: str) -> str:
        """A short name that stands for a patient."""
        return "P" + self._hash("patient", patient_id).hex()[:12].upper()

    def shift_days(self, patient_id: str) -> int:
        """By how many days this patient's dates are moved; negative: into the past."""
        low, high = SHIFT_DAYS
        return -(low + int.from_bytes(self._hash("days", patient_id)[:8]) % (high - low + 1))

    def remember(self, header: Any, uids: Iterable[str] = ()) -> str:
        """Keep a series' header and the real UIDs of its slices; again with the same UIDs changes nothing.

        Returns:
            The study's pseudonym, for recall().

        Raises:
            ValueError: the header has no StudyInstanceUID or SeriesInstanceUID.
        """
        real_study, real_series = str(header.get("StudyInstanceUID", "")), str(header.get("SeriesInstanceUID", ""))
        if not (real_study and real_series):
            raise ValueError("the header has no StudyInstanceUID or no SeriesInstanceUID: results could not be written back to it")
        study = self.pseudonym(real_study)
        known = {real_study, real_series, str(header.get("SOPInstanceUID", "")), str(header.get("FrameOfReferenceUID", "")), *uids} - {""}
        with self._open() as base:
            base.executemany("INSERT OR IGNORE INTO uids VALUES (?, ?, ?)", [(self.pseudonym(uid), uid, study) for uid in sorted(known)])
            turn = base.execute("SELECT coalesce(max(turn), 0) + 1 FROM series").fetchone()[0]
            base.execute("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)", (study, self.pseudonym(real_series), _packed(header), turn))
        return study

    def recall(self, study: str, series: str = "") -> Remembered:
        """What was remembered of a study, by pseudonym: the header of `series`, or of the last series that was remembered.

        Raises:
            KeyError: it was never remembered here.
        """
        with self._open() as base:
            found = base.execute(
                "SELECT header FROM series WHERE study = ? AND ? IN (series, '') ORDER BY turn DESC LIMIT 1", (study, series)
            ).fetchone()
            if found is None:
                raise KeyError(f"the vault in {self._folder} remembers no study {study}{' with series ' + series if series else ''}")
            real = dict(base.execute("SELECT pseudonym, real FROM uids WHERE study = ?", (study,)).fetchall())
        return Remembered(_unpacked(found[0]), real)

    def real(self, pseudonym: str) -> str:
        """The UID that a pseudonym stands for. KeyError: never remembered here."""
        with self._open() as base:
            found = base.execute("SELECT real FROM uids WHERE pseudonym = ?", (pseudonym,)).fetchone()
        if found is None:
            raise KeyError(f"the vault in {self._folder} knows no UID behind {pseudonym}")
        return str(found[0])

    def _hash(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self._salt, f"{purpose}\0{text}".encode(), hashlib.sha256)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when it ends (synchronous=FULL): a killed process leaves the last whole one."""
        base = sqlite3.connect(self._file, timeout=30.0)
        try:
            base.execute("PRAGMA synchronous = FULL")
            with base:
                base.execute("BEGIN IMMEDIATE")
                yield base
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._file} cannot be used as a vault ({error}): restore it from your backup, or move it away") from error
        finally:
            base.close()


def _closed(path: Path, kind: Callable[[int], bool], mode: str) -> None:
    """OpenVault unless `path` is ours, of that kind, and nobody else's to read."""
    found = path.lstat()
    if not kind(found.st_mode):
        raise OpenVault(f"vault {path} is a link or no {'folder' if mode == '700' else 'file'}: give a plain one of your own")
    if found.st_uid != os.getuid():
        raise OpenVault(f"vault {path} belongs to user {found.st_uid}, not to you ({os.getuid()}): give a folder of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise OpenVault(
            f"vault {path} has mode {stat.S_IMODE(found.st_mode):o}: others may look into it. Close it with: chmod {mode} '{path}'"
        )


def _packed(header: Any) -> bytes:
    """As a DICOM data set in explicit little endian, without pixels and long binary values."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset

    kept = deepcopy(header)
    for element in list(kept.iterall()):
        if element.VR.startswith("O") and element.value is not None and len(element.value) > BULK_BYTES and element.tag in kept:
            del kept[element.tag]
    kept.pop("PixelData", None)
    kept.file_meta = FileMetaDataset()
    target = BytesIO()
    with unchecked():
        dcmwrite(target, kept, implicit_vr=False, little_endian=True)
    return target.getvalue()


def _unpacked(packed: bytes) -> Any:
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with unchecked():
        header = dcmread(BytesIO(packed), force=True)
    header.file_meta = meta
    return header
