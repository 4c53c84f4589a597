"""What a library holds: sources, documents, chunks and their vectors, in one SQLite file. The indexes of words and of vectors follow it.

A chunk is "writing" until both indexes have it, "live" when it may be found, "gone" until both have forgotten it. Start at Catalogue.
"""

import errno
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np

from sdx_rag.document import Place
from sdx_rag.passages import Chunk, Language

VERSION = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, kind TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS excluded (source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE, path TEXT NOT NULL,
  PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE, path TEXT NOT NULL, name TEXT NOT NULL,
  reason TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL REFERENCES sources, path TEXT NOT NULL,
  name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL,
  title TEXT NOT NULL, pages INTEGER, notes TEXT NOT NULL, UNIQUE (source, path));
CREATE TABLE IF NOT EXISTS chunks (id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL CHECK (state IN ('writing', 'live', 'gone')),
  document INTEGER, ordinal INTEGER NOT NULL, address TEXT NOT NULL, headings TEXT NOT NULL, language TEXT NOT NULL,
  page INTEGER, box TEXT, source TEXT NOT NULL, text TEXT NOT NULL, key BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_of_document ON chunks (document, ordinal);
CREATE INDEX IF NOT EXISTS chunks_unsettled ON chunks (state) WHERE state != 'live';
CREATE INDEX IF NOT EXISTS chunks_by_key ON chunks (key);
CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL);
"""
_CHUNK = "chunks.id, chunks.text, chunks.headings, chunks.address, chunks.language, chunks.page, chunks.box, chunks.source, chunks.ordinal"
SourceKind = Literal["folder", "file", "builtin"]


class CatalogueBroken(RuntimeError):
    """The file is no catalogue, or of another version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was added: a file, a folder, or the shipped knowledge."""

    id: int
    path: str
    """Absolute; "builtin" for the shipped knowledge."""
    kind: SourceKind


@dataclass(frozen=True, slots=True)
class Stored:
    """A document in the library."""

    id: int
    source: int
    path: str
    """Inside its source, "/" between parts."""
    name: str
    sha256: str
    size: int
    mtime_ns: int
    seen_ns: int
    """When the file was last looked at: one that was written at the same moment may have changed since without a sign."""
    title: str
    pages: int | None
    notes: tuple[str, ...]
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read. It is not tried again until it changes."""

    source: int
    path: str
    name: str
    reason: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Held:
    """A chunk with its id and whose it is."""

    id: int
    chunk: Chunk
    title: str
    document: str
    """Name."""


@dataclass(frozen=True, slots=True)
class Change:
    """A new version of a document: what of the old one stays and what is new."""

    document: Stored
    """Its id is that of the old version, or 0."""
    kept: tuple[tuple[int, Chunk], ...]
    """Same words, maybe at another place."""
    new: tuple[Chunk, ...]
    gone: tuple[int, ...]


class Catalogue:
    """The file. Raises CatalogueBroken; OSError (disk full, no permission) tells its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = RLock()
        with told(path):
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "mmap_size=268435456"):
            self._db.execute(f"PRAGMA {pragma}")
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'vectors'"):
            with self.transaction():
                for statement in _TABLES.split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO facts VALUES ('version', ?)", (VERSION,))
        if (found := self.fact("version")) != VERSION:
            raise CatalogueBroken(f"{self.path}: of version {found}, this SDx reads {VERSION}: move it away, and add the documents again")

    def close(self) -> None:
        with self._mutex:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and durable at its end."""
        with self._mutex, told(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        with self._mutex, told(self.path):
            return self._db.execute(statement, values).fetchall()

    def fact(self, name: str) -> str:
        """ "" where it was never set."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def set_fact(self, name: str, value: str) -> None:
        self._rows("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))

    @property
    def generation(self) -> int:
        """Grows with every change of what may be found."""
        return int(self.fact("generation") or 0)

    def _changed(self) -> None:
        self.set_fact("generation", str(self.generation + 1))

    # Sources, documents, failures

    def sources(self) -> list[Source]:
        return [Source(*row) for row in self._rows("SELECT id, path, kind FROM sources ORDER BY id")]

    def add_source(self, path: str, kind: SourceKind) -> Source:
        self._rows("INSERT OR IGNORE INTO sources (path, kind) VALUES (?, ?)", (path, kind))
        return next(source for source in self.sources() if source.path == path)

    def remove_source(self, id: int) -> None:
        """Only when its documents are gone."""
        self._rows("DELETE FROM sources WHERE id = ?", (id,))

    def exclude(self, source: int, path: str, out: bool = True) -> None:
        """A file of a source that was removed by name stays away until it is added by name."""
        wanted = "INSERT OR IGNORE INTO excluded VALUES (?, ?)" if out else "DELETE FROM excluded WHERE source = ? AND path = ?"
        self._rows(wanted, (source, path))

    def excluded(self, source: int) -> set[str]:
        return {path for (path,) in self._rows("SELECT path FROM excluded WHERE source = ?", (source,))}

    def documents(self, source: int | None = None) -> list[Stored]:
        """By name."""
        rows = self._rows(
            "SELECT documents.*, (SELECT COUNT(*) FROM chunks WHERE document = documents.id AND state = 'live') FROM documents"
            " WHERE :source IS NULL OR source = :source ORDER BY name",
            {"source": source},
        )
        return [Stored(*row[:10], notes=tuple(json.loads(row[10])), chunks=row[11]) for row in rows]

    def seen(self, document: int, size: int, mtime_ns: int, seen_ns: int) -> None:
        """The file was touched, and its bytes are the same."""
        self._rows("UPDATE documents SET size = ?, mtime_ns = ?, seen_ns = ? WHERE id = ?", (size, mtime_ns, seen_ns, document))

    def failures(self, source: int | None = None) -> list[Failure]:
        rows = self._rows("SELECT * FROM failures WHERE :source IS NULL OR source = :source ORDER BY name", {"source": source})
        return [Failure(*row) for row in rows]

    def failed(self, failure: Failure) -> None:
        values = (failure.source, failure.path, failure.name, failure.reason, failure.size, failure.mtime_ns)
        self._rows("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget_failure(self, source: int, path: str) -> None:
        self._rows("DELETE FROM failures WHERE source = ? AND path = ?", (source, path))

    # Chunks

    def begin(self, titled: Iterable[tuple[str, Chunk]]) -> list[int]:
        """New chunks, "writing", each with its document's title. Their ids, in order."""
        with self.transaction():
            return [self._insert(title, chunk) for title, chunk in titled]

    def _insert(self, title: str, chunk: Chunk) -> int:
        place, box = chunk.place, json.dumps(chunk.place.box) if chunk.place.box else None
        id = self._db.execute(
            "INSERT INTO chunks (state, ordinal, address, headings, language, page, box, source, text, key)"
            " VALUES ('writing', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (chunk.ordinal, chunk.address, json.dumps(chunk.headings, ensure_ascii=False), chunk.language, place.page, box,
             chunk.source, chunk.text, key(chunk, title)),
        ).lastrowid  # fmt: skip
        assert id is not None
        return id

    def publish(self, changes: Sequence[Change], ids: Sequence[Sequence[int]]) -> None:
        """In one transaction: the new versions are live, the old ones gone. `ids` of each change's new chunks, from begin()."""
        with self.transaction():
            for change, new in zip(changes, ids, strict=True):
                document = self._put(change.document)
                self._db.execute("DELETE FROM failures WHERE source = ? AND path = ?", (change.document.source, change.document.path))
                self._state(change.gone, "gone")
                for id in new:
                    self._db.execute("UPDATE chunks SET state = 'live', document = ? WHERE id = ?", (document, id))
                for id, chunk in change.kept:
                    box = json.dumps(chunk.place.box) if chunk.place.box else None
                    self._db.execute(
                        "UPDATE chunks SET ordinal = ?, page = ?, box = ? WHERE id = ?", (chunk.ordinal, chunk.place.page, box, id)
                    )
            self._changed()

    def _put(self, document: Stored) -> int:
        values = (document.source, document.path, document.name, document.sha256, document.size, document.mtime_ns, document.seen_ns,
                  document.title, document.pages, json.dumps(document.notes, ensure_ascii=False))  # fmt: skip
        columns = "source, path, name, sha256, size, mtime_ns, seen_ns, title, pages, notes"
        row = self._db.execute(
            f"INSERT INTO documents ({columns}) VALUES ({', '.join('?' * 10)}) ON CONFLICT (source, path) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))
            + " RETURNING id",
            values,
        ).fetchone()
        return int(row[0])

    def remove_documents(self, ids: Iterable[int]) -> None:
        """Their chunks are "gone"."""
        with self.transaction():
            for id in ids:
                self._db.execute("UPDATE chunks SET state = 'gone' WHERE document = ?", (id,))
                self._db.execute("DELETE FROM documents WHERE id = ?", (id,))
            self._changed()

    def _state(self, ids: Iterable[int], state: str) -> None:
        self._db.executemany("UPDATE chunks SET state = ? WHERE id = ?", ((state, id) for id in ids))

    def unsettled(self) -> list[int]:
        """Chunks that are "writing" or "gone": whoever wrote them is done or was killed."""
        return [id for (id,) in self._rows("SELECT id FROM chunks WHERE state != 'live'")]

    def drop(self, ids: Collection[int]) -> None:
        """After both indexes have forgotten them. Vectors that no chunk needs go too."""
        with self.transaction():
            keys = {row[0] for id in ids for row in self._db.execute("SELECT key FROM chunks WHERE id = ?", (id,))}
            self._db.executemany("DELETE FROM chunks WHERE id = ?", ((id,) for id in ids))
            self._db.executemany(
                "DELETE FROM vectors WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM chunks WHERE key = ?1)", ((key,) for key in keys)
            )

    def live(self, ids: Collection[int], language: Language | None = None, documents: Collection[str] | None = None) -> dict[int, Held]:
        """Those of the ids that may be found, in this language and these documents (names)."""
        marks = ", ".join("?" * len(ids))
        rows = self._rows(
            f"SELECT {_CHUNK}, documents.title, documents.name FROM chunks JOIN documents ON documents.id = chunks.document"
            f" WHERE chunks.id IN ({marks}) AND state = 'live'" + (" AND language = ?" if language else ""),
            (*ids, *([language] if language else [])),
        )
        return {held.id: held for row in rows if (held := _held(row)) and (documents is None or held.document in documents)}

    def fitting(self, ids: Collection[int], language: Language | None = None) -> set[int]:
        """Those of the ids that are live and in this language."""
        return {id for (id,) in self._rows(
            "SELECT id FROM chunks WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'live' AND (:language IS NULL OR language = :language)",
            {"ids": json.dumps([*ids]), "language": language},
        )}  # fmt: skip

    def chunks_of(self, document: int) -> list[tuple[int, bytes]]:
        """Ids and keys of a document's live chunks, in order."""
        return [(row[0], row[1]) for row in self._rows(
            "SELECT id, key FROM chunks WHERE document = ? AND state = 'live' ORDER BY ordinal, id", (document,)
        )]  # fmt: skip

    def live_ids(self, documents: Collection[str] | None = None) -> set[int]:
        if documents is None:
            return {id for (id,) in self._rows("SELECT id FROM chunks WHERE state = 'live'")}
        named = "SELECT id FROM documents WHERE name IN (SELECT value FROM json_each(?))"
        return {
            id for (id,) in self._rows(f"SELECT id FROM chunks WHERE state = 'live' AND document IN ({named})", (json.dumps([*documents]),))
        }

    def count(self) -> int:
        """Live chunks."""
        return int(self._rows("SELECT COUNT(*) FROM chunks WHERE state = 'live'")[0][0])

    # Vectors: kept here as well, so that a lost or damaged index of vectors costs no embedding

    def put_vectors(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        with self.transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO vectors (key, vector) VALUES (?, ?)",
                ((key, row.astype(np.float32).tobytes()) for key, row in zip(keys, vectors, strict=True)),
            )

    def with_vector(self, keys: Collection[bytes]) -> set[bytes]:
        """Those of the keys whose vector is here."""
        return {key for key in keys if self._rows("SELECT 1 FROM vectors WHERE key = ?", (key,))}

    def clear_vectors(self) -> None:
        self._rows("DELETE FROM vectors")

    def vectors(self, ids: Collection[int]) -> tuple[list[int], np.ndarray]:
        """Of those chunks that have one."""
        rows = self._rows(
            "SELECT chunks.id, vector FROM chunks JOIN vectors USING (key) WHERE chunks.id IN (SELECT value FROM json_each(?)) ORDER BY chunks.id",
            (json.dumps([*ids]),),
        )
        return _matrix(rows)

    def newer_vectors(self, after: tuple[int, int]) -> tuple[list[int], np.ndarray]:
        """Of live chunks that were added after a newest() of before."""
        rows = self._rows(
            "SELECT chunks.id, vector FROM chunks JOIN vectors USING (key) WHERE chunks.id > ?1 AND state = 'live'"
            " UNION SELECT chunks.id, vector FROM vectors JOIN chunks USING (key) WHERE vectors.id > ?2 AND state = 'live'",
            after,
        )
        return _matrix(rows)

    def newest(self) -> tuple[int, int]:
        """The highest id of a chunk and of a vector."""
        row = self._rows("SELECT (SELECT COALESCE(MAX(id), 0) FROM chunks), (SELECT COALESCE(MAX(id), 0) FROM vectors)")[0]
        return int(row[0]), int(row[1])

    def lacking(self, languages: Collection[Language]) -> int:
        """How many live chunks in these languages have no vector."""
        return int(self._rows(
            "SELECT COUNT(*) FROM chunks WHERE state = 'live' AND language IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = chunks.key)", (json.dumps([*languages]),)
        )[0][0])  # fmt: skip

    def without_vector(self, languages: Collection[Language], count: int) -> list[Held]:
        """Live chunks in these languages that have none, at most `count`."""
        return [_held(row) for row in self._rows(
            f"SELECT {_CHUNK}, documents.title, documents.name FROM chunks JOIN documents ON documents.id = chunks.document WHERE state = 'live'"
            " AND language IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = chunks.key)"
            " ORDER BY chunks.id LIMIT ?", (json.dumps([*languages]), count)
        )]  # fmt: skip


def key(chunk: Chunk, title: str) -> bytes:
    """Same key, same words in both indexes."""
    parts = (title, chunk.headings, chunk.address, chunk.language, chunk.source, chunk.text)
    return sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()


@contextmanager
def told(path: Path) -> Iterator[None]:
    """SQLite's errors, as what a user can mend."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text:
            raise OSError(errno.ENOSPC, "the disk is full; what was written before is whole", str(path)) from error
        if "readonly" in text or "unable to open" in text:
            raise PermissionError(errno.EACCES, "this folder cannot be written or does not exist", str(path.parent)) from error
        if "malformed" in text or "not a database" in text:
            raise CatalogueBroken(
                f"{path}: damaged ({text}): move {path.parent} away, then add the documents again; your own files are not touched"
            ) from error
        raise OSError(errno.EIO, text, str(path)) from error


def _held(row: tuple[Any, ...]) -> Held:
    id, text, headings, address, language, page, box, source, ordinal, title, name = row
    place = Place(page, tuple(json.loads(box)) if box else None)
    return Held(id, Chunk(text, tuple(json.loads(headings)), address, language, place, source, ordinal), title, name)


def _matrix(rows: Sequence[tuple[int, bytes]]) -> tuple[list[int], np.ndarray]:
    if not rows:
        return [], np.zeros((0, 0), dtype=np.float32)
    return [id for id, _ in rows], np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32).reshape(len(rows), -1)
