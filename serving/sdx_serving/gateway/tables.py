"""A file of the gateway's own: keys, usage, records on their way."""

import sqlite3
from pathlib import Path


def open_tables(path: Path, tables: str) -> sqlite3.Connection:
    """An SQLite file that only its owner reads, with these tables.

    WAL with NORMAL: a kill loses nothing; a power cut may lose the last moments, never the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    path.chmod(0o600)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(tables)
    return db
