"""Records for a collector that may be away: kept on the disk, sent in order, at least once, when it is there. Start at Journal.

Each record has an id that stays the same when it is sent again ("<journal>-<number>"), and each batch names its first and last as
Idempotency-Key: a collector that keeps the ids it has seen has each record once.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson

from sdx_serving.gateway.tables import open_tables

log = logging.getLogger("sdx.gateway")
_TABLES = """
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value);
"""
_BATCH, _BATCH_BYTES = 100, 2**20
_PAUSE_S, _PAUSE_MAX_S = 0.5, 60.0


class Journal:
    """Records in one SQLite file.

    Args:
        most_bytes: kept at most; beyond it the oldest are dropped, counted, and the count is told to the collector.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._db = open_tables(path, _TABLES)
        self._db.execute("INSERT OR IGNORE INTO facts VALUES ('id', ?), ('dropped', 0)", (uuid.uuid4().hex,))
        self.id = str(self._fact("id"))
        self._most_bytes = most_bytes
        self._bytes = int(self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM records").fetchone()[0])
        self.last_error = ""
        self.news = asyncio.Event()

    @property
    def dropped(self) -> int:
        """Since the journal was begun."""
        return int(self._fact("dropped"))

    @property
    def waiting(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM records").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """Kept when this returns, also over kill -9."""
        body = orjson.dumps(record)
        self._db.execute("INSERT INTO records (bytes, body) VALUES (?, ?)", (len(body), body))
        self._bytes += len(body)
        if self._bytes > self._most_bytes:
            self._drop()
        self.news.set()

    def batch(self) -> list[tuple[int, bytes]]:
        """The oldest records, with their numbers."""
        rows = self._db.execute("SELECT seq, body FROM records ORDER BY seq LIMIT ?", (_BATCH,)).fetchall()
        size, taken = 0, 0
        for taken, (_, body) in enumerate(rows, 1):  # noqa: B007
            size += len(body)
            if size > _BATCH_BYTES:
                break
        return rows[:taken]

    def delivered(self, last: int) -> None:
        """All up to this number have arrived."""
        row = self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM records WHERE seq<=?", (last,)).fetchone()
        self._db.execute("DELETE FROM records WHERE seq<=?", (last,))
        self._bytes -= int(row[0])

    def _fact(self, name: str) -> Any:
        return self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()[0]

    def _drop(self) -> None:
        lost = 0
        with self._db:
            self._db.execute("BEGIN")
            while self._bytes > self._most_bytes and (
                row := self._db.execute("SELECT seq, bytes FROM records ORDER BY seq LIMIT 1").fetchone()
            ):
                self._db.execute("DELETE FROM records WHERE seq=?", (row[0],))
                self._bytes -= int(row[1])
                lost += 1
            self._db.execute("UPDATE facts SET value=value+? WHERE name='dropped'", (lost,))
        log.warning("the journal is full: %d of the oldest records were dropped, %d in all", lost, self.dropped)


async def deliver(journal: Journal, url: str, key: str, http: httpx.AsyncClient) -> None:
    """Send what is there, for ever; a collector that is away is asked again after a growing pause."""
    pause_s = _PAUSE_S
    while True:
        batch = journal.batch()
        if not batch:
            journal.news.clear()
            await journal.news.wait()
            continue
        journal.last_error = await _send(journal, batch, url, key, http)
        if not journal.last_error:
            journal.delivered(batch[-1][0])
            pause_s = _PAUSE_S
            continue
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


async def _send(journal: Journal, batch: list[tuple[int, bytes]], url: str, key: str, http: httpx.AsyncClient) -> str:
    """What went wrong; "" if all have arrived."""
    records = [{"id": f"{journal.id}-{seq}", **orjson.loads(body)} for seq, body in batch]
    headers = {"content-type": "application/json", "idempotency-key": f"{journal.id}-{batch[0][0]}-{batch[-1][0]}"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    body = orjson.dumps({"journal": journal.id, "dropped": journal.dropped, "records": records})
    try:
        reply = await http.post(url, content=body, headers=headers, timeout=30.0)
    except httpx.HTTPError as error:
        return f"the collector does not answer ({error or type(error).__name__})"
    return "" if reply.is_success else f"the collector answered HTTP {reply.status_code}"
