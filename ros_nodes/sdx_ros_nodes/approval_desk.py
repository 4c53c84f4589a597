"""The order that waits for a human: at most one, bound to its id, for a limited time."""

from dataclasses import dataclass

from sdx_domains.contract import Verdict
from sdx_ros_nodes.events import Pending


@dataclass(frozen=True, slots=True)
class Waiting:
    """A verified order, the proposal it came from, and until when (plant time) it may be approved."""

    verdict: Verdict
    proposal_id: str
    expires_s: float


class ApprovalDesk:
    """Pure state: the guard node publishes `shown` when a method returns True, and holds what take() gives."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._waiting: Waiting | None = None
        self.shown = Pending()

    def ask(self, verdict: Verdict, proposal_id: str, now_s: float) -> None:
        """Put an order before the human, instead of the one that was there.

        Raises:
            ValueError: the verdict has no order.
        """
        if verdict.order is None:
            raise ValueError(f"a verdict of kind {verdict.kind} has no order to approve")
        expires_s = min(now_s + self._wait_s, verdict.order.issued_s + verdict.order.valid_for_s)
        self._waiting = Waiting(verdict, proposal_id, expires_s)
        self.shown = Pending(order=verdict.order, verdict=verdict, proposal_id=proposal_id, expires_s=expires_s)

    def take(self, order_id: str, now_s: float) -> Waiting:
        """The order that was approved, removed from the desk.

        Raises:
            ValueError: this approval reaches nothing; says why.
        """
        waiting = self._bound(order_id)
        if now_s > waiting.expires_s:
            self.clear("expired")
            raise ValueError(f"order {order_id!r} was waiting until {waiting.expires_s:.0f} s; it is {now_s:.0f} s")
        self.clear("approved")
        return waiting

    def refuse(self, order_id: str) -> None:
        """Take the order off the desk.

        Raises:
            ValueError: it is not the one that waits.
        """
        self._bound(order_id)
        self.clear("refused")

    def _bound(self, order_id: str) -> Waiting:
        waiting = self._waiting
        if waiting is None or waiting.verdict.order is None:
            raise ValueError(f"no order is waiting; {order_id!r} was carried out, replaced, or is over")
        if waiting.verdict.order.id != order_id:
            raise ValueError(f"order {order_id!r} is not the one that waits now ({waiting.verdict.order.id!r})")
        return waiting

    def expire(self, now_s: float) -> bool:
        """True when the waiting order has just run out of time."""
        if self._waiting is None or now_s <= self._waiting.expires_s:
            return False
        self.clear("expired")
        return True

    def clear(self, outcome: str) -> bool:
        """Nothing waits any more; True when something did."""
        had = self._waiting is not None
        self._waiting = None
        if had:
            self.shown = Pending(outcome=outcome)
        return had
