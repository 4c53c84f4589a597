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
    the order before it expires. That is the safe side.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS sent (order_id TEXT PRIMARY KEY, t_utc TEXT NOT NULL, receipt TEXT)")

    def close(self) -> None:
        self._db.close()

    def claim(self, order_id: str) -> bool:
        """True for exactly one caller ever, who may send; durable when it returns."""
        with self._lock:
            now = datetime.now(UTC).isoformat()
            return self._db.execute("INSERT OR IGNORE INTO sent VALUES (?, ?, NULL)", (order_id, now)).rowcount == 1

    def keep(self, order_id: str, receipt: str) -> None:
        """Note the receipt of a claimed order."""
        with self._lock:
            self._db.execute("UPDATE sent SET receipt = ? WHERE order_id = ?", (receipt, order_id))

    def release(self, order_id: str) -> None:
        """Give a claim back: the order surely did not leave."""
        with self._lock:
            self._db.execute("DELETE FROM sent WHERE order_id = ? AND receipt IS NULL", (order_id,))

    def receipt(self, order_id: str) -> str | None:
        """None if it never left; "" if it was claimed and nobody knows what came of it."""
        with self._lock:
            row = self._db.execute("SELECT receipt FROM sent WHERE order_id = ?", (order_id,)).fetchone()
        return None if row is None else row[0] or ""


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
    if not sent.claim(order.id):
        return Outcome(kind="sent_before", order_id=order.id, reason="another process is sending it")
    try:
        receipt = actuator.send(order)
    except Exception as error:  # noqa: BLE001 - whatever the equipment's driver raises
        sent.release(order.id)
        return Outcome(kind="failed", order_id=order.id, reason=f"{type(error).__name__}: {error}")
    sent.keep(order.id, receipt)
    return Outcome(kind="sent", order_id=order.id, receipt=receipt)
