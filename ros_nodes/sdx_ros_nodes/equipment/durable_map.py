"""A small map on disk that a kill -9 or a power cut does not break: which OPIDs were seen or given, where openers stand."""

import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def open_sqlite(path: Path | None, schema: str, power_cuts: bool = True) -> sqlite3.Connection:
    """A database that no kill -9 breaks. A broken file is put aside as NAME.broken and a new one begun.

    Args:
        power_cuts: a commit returns when it is on the disk itself (slower); else a power cut may lose the last ones.
    """
    if path is None:
        return _prepared(":memory:", schema, power_cuts)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepared(str(path), schema, power_cuts)
    except sqlite3.DatabaseError as error:
        aside = path.with_name(path.name + ".broken")
        log.error("%s cannot be read (%s); put aside as %s, a new one is begun", path, error, aside.name)
        path.replace(aside)
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        return _prepared(str(path), schema, power_cuts)


def _prepared(name: str, schema: str, power_cuts: bool) -> sqlite3.Connection:
    database = sqlite3.connect(name, timeout=5.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={'FULL' if power_cuts else 'NORMAL'}")
        if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")
        database.executescript(schema)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


class DurableMap:
    """Text to JSON objects. `path` None: in memory only. `power_cuts`: see open_sqlite()."""

    def __init__(self, path: Path | None, power_cuts: bool = True) -> None:
        schema = "CREATE TABLE IF NOT EXISTS entry (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
        self._database = open_sqlite(path, schema, power_cuts)
        self._entries: dict[str, dict[str, Any]] = {
            name: json.loads(value) for name, value in self._database.execute("SELECT name, value FROM entry")
        }

    def get(self, name: str) -> dict[str, Any]:
        """What was put last; {} when nothing was."""
        return dict(self._entries.get(name, {}))

    def put(self, name: str, **values: Any) -> None:
        """Change some values of an entry; written when it returns."""
        entry = self._entries.setdefault(name, {}) | values
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (name, json.dumps(entry)))
        self._entries[name] = entry

    def close(self) -> None:
        self._database.close()
