"""The last step: an order leaves for the equipment once, or not at all, whatever is killed in between."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from sdx_domains.contract import Closed, Domain, Order


class Actuator(Protocol):
    """Where orders leave: a guard, a ROS 2 topic, a Modbus writer."""

    def send(self, order: Order) -> str:
        """Hand the order over and return a receipt. Raises when it surely did not leave."""
        ...


class Outcome(Closed):
    """What became of an order."""

    kind: Literal["sent", "sent_before", "not_approved", "expired", "unsafe_now", "failed", "no_order"]
    """"sent_before": it had left in an earlier life of this turn and was not sent again."""
    order_id: str = ""
    receipt: str = ""
    reason: str = ""


class SentOrders:
    """Ids of orders that left, on the disk before they leave: at most once, across processes and lives.

    A kill between the note and the equipment loses the order: it is not sent again, and the equipment falls back when
    the order before it expires. That is the safe side. The newest KEPT are remembered.
    """

    KEPT = 1000

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = self._opened(path)

    def _opened(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        database.execute("PRAGMA journal_mode=WAL")  # one fsync for each note, not three
        database.execute("PRAGMA synchronous=FULL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS sent (order_id TEXT PRIMARY KEY, t_utc TEXT NOT NULL, issued_s REAL NOT NULL, receipt TEXT)"
        )
        return database

    def close(self) -> None:
        self._db.close()

    def claim(self, order_id: str, issued_s: float = 0.0) -> bool:
        """True for exactly one caller ever, who may send; durable when it returns. `issued_s` is of the plant's clock."""
        now = datetime.now(UTC).isoformat()
        first, _ = self._do("INSERT OR IGNORE INTO sent VALUES (?, ?, ?, NULL)", order_id, now, issued_s)
        self._do("DELETE FROM sent WHERE rowid <= (SELECT max(rowid) FROM sent) - ?", self.KEPT)
        return first == 1

    def keep(self, order_id: str, receipt: str) -> None:
        """Note the receipt of a claimed order."""
        self._do("UPDATE sent SET receipt = ? WHERE order_id = ?", receipt, order_id)

    def release(self, order_id: str) -> None:
        """Give a claim back: the order surely did not leave."""
        self._do("DELETE FROM sent WHERE order_id = ? AND receipt IS NULL", order_id)

    def receipt(self, order_id: str) -> str | None:
        """None if it never left; "" if it was claimed and nobody knows what came of it."""
        _, rows = self._do("SELECT receipt FROM sent WHERE order_id = ?", order_id)
        return rows[0][0] or "" if rows else None

    def begin_anew(self, now_s: float) -> None:
        """Forget all where the plant's clock went back: a simulated plant that began anew gives the same orders again."""
        self._do("DELETE FROM sent WHERE (SELECT max(issued_s) FROM sent) > ?", now_s + 1.0)

    def _do(self, statement: str, *values: Any) -> tuple[int, list[Any]]:
        """(rows changed, rows found)."""
        with self._lock:
            cursor = self._db.execute(statement, values)
            return cursor.rowcount, cursor.fetchall()


def carry_out(domain: Domain, order: Order, fresh: Callable[[], Any], actuator: Actuator, sent: SentOrders) -> Outcome:
    """Send the order if it is in time and still safe from here; once. Never raises because of the actuator."""
    earlier = sent.receipt(order.id)
    if earlier is not None:
        return Outcome(
            kind="sent_before", order_id=order.id, receipt=earlier, reason="" if earlier else "no receipt: it may not have arrived"
        )
    picture = fresh()
    if order.expired(picture.t_s):
        return Outcome(kind="expired", order_id=order.id, reason=f"it is {picture.t_s - order.issued_s:.1f} s old")
    verdict = domain.check(picture, order)
    if verdict.kind not in ("accept", "override") and order.source != "fallback":
        return Outcome(kind="unsafe_now", order_id=order.id, reason="; ".join(verdict.reasons) or verdict.kind)
    if not sent.claim(order.id, order.issued_s):
        return Outcome(kind="sent_before", order_id=order.id, reason="another process is sending it")
    try:
        receipt = actuator.send(order)
    except Exception as error:  # noqa: BLE001 - whatever the equipment's driver raises
        sent.release(order.id)
        return Outcome(kind="failed", order_id=order.id, reason=f"{type(error).__name__}: {error}")
    sent.keep(order.id, receipt)
    return Outcome(kind="sent", order_id=order.id, receipt=receipt)
