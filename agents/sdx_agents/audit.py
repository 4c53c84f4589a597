"""The record that cannot be changed unseen: JSON lines, each with the hash of the one before. Start at AuditLog.append().

A line is `{"seq", "prev_hash", "t_utc", "kind", "payload", "hash"}`; `hash` is the SHA-256 of the line's bytes without it. append() returns when the line is on the disk, so what was acknowledged survives kill -9 and, as far as the
disk keeps its word, loss of power. The chain shows any change but the cutting off of its end: compare the last hash with
a copy kept elsewhere for that.
"""

import errno
import fcntl
import hashlib
import json
import mmap
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

FIRST = "0" * 64
"""`prev_hash` of the first record."""


class AuditError(RuntimeError):
    """The log cannot be written; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, as read back."""

    seq: int
    prev_hash: str
    hash: str
    t_utc: str
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verify() found."""

    path: str
    ok: bool
    records: int
    """Good records before the first bad line, or in all."""
    last_hash: str
    bad_file: str = ""
    bad_line: int = 0
    """1-based line in `bad_file`; 0 when all is well."""
    reason: str = ""


class AuditLog:
    """Appends to one file; one process at a time, any number of threads.

    Opening repairs the one damage that a crash can do: an unfinished last line goes to `<path>.torn` and the chain goes on.

    Args:
        path: the file; its folder is made.
        rotate_bytes: when the file is larger, it is put aside as `<stem>.<first seq><suffix>` and a new one goes on with the chain.

    Raises:
        AuditError: another process has the file, or its last line was altered.
    """

    def __init__(self, path: Path, rotate_bytes: int | None = None) -> None:
        self.path = Path(path)
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._on_disk = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_hash(self) -> str:
        """Hash of the newest record: keep a copy elsewhere to be able to show that nothing was cut off."""
        return self._last_hash

    def append(self, kind: str, payload: Mapping[str, Any]) -> int:
        """Write one record and return its seq once it is on the disk. Threads that wait together share one fsync.

        Raises:
            AuditError: the log is closed.
            TypeError: the payload is not JSON.
            OSError: the disk is full or gone; nothing was acknowledged.
        """
        with self._lock:
            if self._file.closed:
                raise AuditError(f"the audit log {self.path} is closed")
            seq = self._next
            line, digest = sealed(seq, self._last_hash, _now(), kind, payload)
            self._write(line)
            self._next, self._last_hash = seq + 1, digest
            file = self._file
        with self._flushing:
            if self._on_disk <= seq:
                with self._lock:
                    upto = self._next
                    file = self._file
                os.fsync(file.fileno())
                self._on_disk = upto
        self._rotate()
        return seq

    def close(self) -> None:
        """Let the file go. Safe to call twice."""
        with self._flushing, self._lock:
            self._file.close()

    def _write(self, line: bytes) -> None:
        """The whole line, or nothing: what a full disk took of it is cut off again."""
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "disk full, the record was not written", str(self.path))
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise

    def _open(self) -> None:
        fresh = not self.path.exists()
        self._file = self.path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise AuditError(f"the audit log {self.path} is being written by another process: stop it, or choose another file") from error
        try:
            self._next, self._last_hash = self._recover()
        except AuditError:
            self._file.close()
            raise
        self._on_disk = self._next
        if fresh:
            _sync_folder(self.path.parent)

    def _recover(self) -> tuple[int, str]:
        """(next seq, last hash); the unfinished line after the last good one is moved aside."""
        end, last = _last_line(self.path)
        size = self.path.stat().st_size
        if size > end:
            with self.path.open("rb") as file, self.path.with_name(self.path.name + ".torn").open("ab") as torn:
                file.seek(end)
                torn.write(file.read() + b"\n")
                os.fsync(torn.fileno())
            os.ftruncate(self._file.fileno(), end)
            os.fsync(self._file.fileno())
        if last is None:
            earlier = _parts(self.path)[:-1]
            last = _last_line(earlier[-1])[1] if earlier else None
        if last is None:
            return 0, FIRST
        record = read_line(last)
        if isinstance(record, str):
            raise AuditError(f"the last line of {self.path} was altered ({record}): move the file aside and keep it as evidence")
        return record.seq + 1, record.hash

    def _rotate(self) -> None:
        if self._rotate_bytes is None:
            return
        with self._flushing, self._lock:
            if self._file.closed or os.fstat(self._file.fileno()).st_size < self._rotate_bytes:
                return
            os.fsync(self._file.fileno())
            record = read_line(next(_lines(self.path))[1])
            seq = record.seq if isinstance(record, Record) else 0
            self.path.rename(self.path.with_name(f"{self.path.stem}.{seq:010d}{self.path.suffix}"))
            self._file.close()
            self._open()


def sealed(seq: int, prev_hash: str, t_utc: str, kind: str, payload: Mapping[str, Any]) -> tuple[bytes, str]:
    """(the line with its end, its hash). ASCII: no text from outside, lone surrogates included, can break it."""
    body = json.dumps(
        {"seq": seq, "prev_hash": prev_hash, "t_utc": t_utc, "kind": kind, "payload": payload}, separators=(",", ":")
    ).encode()
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + _seal(digest) + b"\n", digest


def read_line(line: bytes) -> Record | str:
    """The record, or what is wrong with the line by itself. The hash is of the bytes as they stand, so nothing is read into them."""
    try:
        value = json.loads(line)
        record = Record(**value)
    except (ValueError, TypeError, RecursionError) as error:
        return f"not a record: {error}"
    seal = _seal(record.hash)
    if not line.endswith(seal) or hashlib.sha256(line[: -len(seal)] + b"}").hexdigest() != record.hash:
        return "its hash does not fit its content"
    return record


def _seal(digest: str) -> bytes:
    return f',"hash":"{digest}"}}'.encode()


def records(path: Path) -> Iterator[Record]:
    """All records in order, parts put aside included. AuditError at the first line that is not one."""
    for file, number, line, _ in _all_lines(path):
        record = read_line(line)
        if isinstance(record, str):
            raise AuditError(f"{file} line {number}: {record}")
        yield record


def tail(path: Path, count: int) -> list[Record]:
    """The newest good records of the present file, oldest first; quick however long the file is."""
    if not path.exists() or path.stat().st_size == 0:
        return []
    found: list[Record] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n")
        while end > 0 and len(found) < count:
            start = content.rfind(b"\n", 0, end) + 1
            record = read_line(content[start:end])
            if isinstance(record, Record):
                found.append(record)
            end = start - 1
    return found[::-1]


def verify(path: Path) -> ChainReport:
    """Walk the whole chain and name the first bad line. FileNotFoundError if there is no such log."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no audit log at {path}")
    expected, prev = 0, FIRST
    for file, number, line, complete in _all_lines(Path(path)):
        record = read_line(line) if complete else "the line is unfinished"
        if isinstance(record, Record) and (record.seq, record.prev_hash) != (expected, prev):
            record = (
                f"it does not follow on: seq {record.seq} after {expected - 1}"
                if record.seq != expected
                else "it does not follow on: other prev_hash"
            )
        if isinstance(record, str):
            return ChainReport(str(path), False, expected, prev, str(file), number, record)
        expected, prev = expected + 1, record.hash
    return ChainReport(str(path), True, expected, prev)


def _parts(path: Path) -> list[Path]:
    """The files of one log, oldest first."""
    aside = sorted(path.parent.glob(f"{path.stem}.{'[0-9]' * 10}{path.suffix}"))
    return [*aside, path]


def _all_lines(path: Path) -> Iterator[tuple[Path, int, bytes, bool]]:
    """(file, line number, line without its end, whether it has an end)."""
    for part in _parts(path):
        for number, line, complete in _lines(part):
            yield part, number, line, complete


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip(b"\n"), line.endswith(b"\n")


def _last_line(path: Path) -> tuple[int, bytes | None]:
    """(where the last finished line ends, that line). What follows it was torn by a crash."""
    if path.stat().st_size == 0:
        return 0, None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n")
        return (0, None) if end < 0 else (end + 1, content[content.rfind(b"\n", 0, end) + 1 : end])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
