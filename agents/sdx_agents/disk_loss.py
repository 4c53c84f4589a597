"""Checkpoints and sent orders of an agent that must go on deciding when their disk is full, gone or broken.

At the first error of the disk each goes on in memory, until the process ends, and `trouble` says why. What memory cannot
do is outlive the process: after a kill, nothing of such a turn is known.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from sdx_agents.actuation import SentOrders

T = TypeVar("T")
MEMORY = Path(":memory:")
WAL_PAGES = 64
"""Pages of 4 KiB that the write-ahead log holds before they go into the file."""
DISK_ERRORS = (sqlite3.Error, OSError)

log = logging.getLogger(__name__)


class LastingSaver(SqliteSaver):
    """Checkpoints in a file while the disk lasts, then in memory. Only plain JSON values are read back: no class is imported
    on the word of a file.

    A checkpoint outlives kill -9; loss of power may take the newest, and with it the turn. That an order leaves once does
    not hang on it: SentOrders has its own file and syncs every note.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        """Why it is no longer on the disk; "" while it is."""
        self._path = path
        self._switching = threading.RLock()
        try:
            super().__init__(_connected(path), serde=_plain_values())
        except DISK_ERRORS as error:
            super().__init__(_connected(MEMORY), serde=_plain_values())
            self._lose(error)
        self.turn_ids()  # a file that is no database shows at the start, not in the first turn

    def close(self) -> None:
        self.conn.close()

    def turn_ids(self) -> list[str]:
        """Of all turns that have a checkpoint."""
        return self._lasting(lambda: list(self._turn_ids()))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._lasting(lambda: SqliteSaver.get_tuple(self, config))

    def put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        return self._lasting(lambda: SqliteSaver.put(self, config, checkpoint, metadata, new_versions))

    def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        self._lasting(lambda: SqliteSaver.put_writes(self, config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        self._lasting(lambda: SqliteSaver.delete_thread(self, thread_id))

    def _turn_ids(self) -> Iterator[str]:
        with self.cursor() as cursor:
            for row in cursor.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY checkpoint_id"):
                yield row[0]

    def _lasting(self, work: Callable[[], T]) -> T:
        with self._switching:
            try:
                return work()
            except DISK_ERRORS as error:
                if self.trouble:
                    raise
                self._lose(error)
                return work()

    def _lose(self, error: Exception) -> None:
        self.trouble = _told(self._path, error)
        _let_go(self.conn)
        self.conn, self.is_setup = _connected(MEMORY), False


class LastingSentOrders(SentOrders):
    """Orders that left, in a file while the disk lasts, then in memory."""

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        """Why it is no longer on the disk; "" while it is."""
        self._path = path
        try:
            super().__init__(path)
        except DISK_ERRORS as error:
            super().__init__(MEMORY)
            self.trouble = _told(path, error)

    def _do(self, statement: str, *values: Any) -> tuple[int, list[Any]]:
        try:
            return super()._do(statement, *values)
        except DISK_ERRORS as error:
            if self.trouble:
                raise
            self.trouble = _told(self._path, error)
            _let_go(self._db)
            self._db = self._opened(MEMORY)
            return super()._do(statement, *values)


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _plain_values() -> JsonPlusSerializer:
    return JsonPlusSerializer(allowed_msgpack_modules=None)


def _let_go(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.close()


def _told(path: Path, error: Exception) -> str:
    told = f"{path} cannot be used ({error}): turns go on in memory; make room or move the file away, then restart the agent"
    log.error("%s", told)
    return told
