"""An agent whose decisions are handed on once, whatever is killed in between. Start at DurableAgent.take().

Its turns run through the checkpointed graph: `turns.sqlite` holds the turn in progress, `sent.sqlite` the orders that left.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from sdx_agents.actuation import Outcome
from sdx_agents.approval import never
from sdx_agents.audit import AuditLog
from sdx_agents.decision import Decision
from sdx_agents.disk_loss import LastingSaver, LastingSentOrders
from sdx_agents.documents import Recaller
from sdx_agents.graph import Acting, Turns, build_graph
from sdx_domains.contract import Domain, Language, Order
from sdx_serving.client import ChatClient

log = logging.getLogger(__name__)

HandOver = Callable[[Decision], str]
"""Gives a decision to the guard and returns a receipt. Raises when it surely did not leave."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A whole turn."""

    decision: Decision
    outcome: Outcome
    """What became of the decision's order."""


class DurableAgent:
    """Decides, and hands each decision to a guard, at most once per order; a restart ends what a kill interrupted.

    Nobody is asked for approval here: the guard that gets the decisions asks, as it must be able to with this agent dead.
    For equipment without a guard, see Turns and its approval rules.

    Args:
        folder: of turns.sqlite and sent.sqlite. A disk that fails is told in `trouble`; the turns go on without it.
        fresh: the newest picture, against which an order is checked again before it leaves. Any thread.
        hand_over: called in the thread that called take().
        documents: asked for the user's documents about each situation; None: for none.
    """

    def __init__(
        self,
        domain: Domain,
        chat: ChatClient,
        audit: AuditLog | None,
        folder: Path,
        fresh: Callable[[], Any],
        hand_over: HandOver,
        deadline_s: float = 5.0,
        documents: Recaller | None = None,
    ) -> None:
        self._saver = LastingSaver(folder / "turns.sqlite")
        self._sent = LastingSentOrders(folder / "sent.sqlite")
        self._bearer = _Bearer(hand_over)
        acting = Acting(domain, fresh, self._bearer, self._sent, audit)
        graph = build_graph(domain, chat, audit, self._saver, never(), acting, documents=documents)
        self._turns = Turns(graph, deadline_s, self._bearer.take_up)
        self._resumed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._saver.close()
        self._sent.close()

    @property
    def trouble(self) -> str:
        """Why turns would not survive a kill now; "" when they would."""
        return self._saver.trouble or self._sent.trouble

    def take(self, picture: Any, language: Language = "en") -> Taken:
        """One turn. Before the first, what a kill interrupted is ended: that needs `fresh`, which needs a picture."""
        if not self._resumed:
            self._resumed = True
            self.resume()
        self._sent.begin_anew(picture.t_s)
        turn_id = uuid4().hex
        try:
            outcome = self._turns.begin(picture, turn_id, language)
        finally:  # a turn that failed is over too: only a kill leaves one to be resumed
            self._saver.delete_thread(turn_id)
            decision = self._bearer.lay_down()
        assert isinstance(outcome, Outcome) and decision is not None  # the rule is never(), and begin() tells the decision
        return Taken(decision, outcome)

    def resume(self) -> list[Outcome]:
        """End the turns that a kill interrupted: each gets its record. Nothing is handed over, as the decision itself died."""
        outcomes: list[Outcome] = []
        for turn_id in self._saver.turn_ids():
            try:
                outcome = self._turns.resume(turn_id)
            except Exception:
                log.exception("turn %s cannot be resumed and is dropped", turn_id)
            else:
                assert isinstance(outcome, Outcome)
                outcomes.append(outcome)
                log.warning("turn %s was interrupted; its order %s: %s %s", turn_id, outcome.order_id, outcome.kind, outcome.reason)
            self._saver.delete_thread(turn_id)
        return outcomes


class _Bearer:
    """The graph's actuator: carries the decision that an order belongs to."""

    def __init__(self, hand_over: HandOver) -> None:
        self._hand_over = hand_over
        self._decision: Decision | None = None

    def take_up(self, decision: Decision) -> None:
        self._decision = decision

    def lay_down(self) -> Decision | None:
        decision, self._decision = self._decision, None
        return decision

    def send(self, order: Order) -> str:
        decision = self._decision
        if decision is None or decision.order is None or decision.order.id != order.id:
            raise LookupError("its decision died with the process that made it; the next one follows from a newer picture")
        return self._hand_over(decision)
