"""The spine as one LangGraph: perceive, options, recall, propose, assure, note, approve, act, record. Start at Agent.decide().

The half up to `note` is read-only: its values live in memory, are never checkpointed, and a killed turn is simply
taken again. The half from `approve` on is JSON in the checkpoint, written around each step.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from sdx_agents.actuation import Actuator, Outcome, SentOrders, carry_out
from sdx_agents.approval import Approval, ApprovalRequest, ApprovalRule, settle
from sdx_agents.audit import AuditLog
from sdx_agents.decision import Decision
from sdx_agents.documents import Recaller
from sdx_agents.thinking import Thinking, Turn, Update
from sdx_domains.contract import Domain, Language, Order
from sdx_serving.client import ChatClient


@dataclass(frozen=True)
class Acting:
    """The half with side effects. Each step may be run again from its top after a kill."""

    domain: Domain
    fresh: Callable[[], Any]
    """The picture as it is now."""
    actuator: Actuator
    sent: SentOrders
    audit: AuditLog | None = None

    def approve(self, turn: Turn) -> Update:
        """The gate: asks at most once, has no side effect, and binds the answer to the order that was shown."""
        shown = turn.get("request")
        if shown is None:
            return {"approval": Approval(kind="not_needed").model_dump(mode="json")}
        answer = interrupt(shown)
        return {"approval": settle(ApprovalRequest.model_validate(shown), answer, self.fresh().t_s).model_dump(mode="json")}

    def act(self, turn: Turn) -> Update:
        raw, approval = turn.get("order"), Approval.model_validate(turn["approval"])
        if raw is None:
            outcome = Outcome(kind="no_order")
        elif not approval.lets_out:
            outcome = Outcome(kind="not_approved", order_id=Order.model_validate(raw).id, reason=f"{approval.kind}: {approval.reason}")
        else:
            outcome = carry_out(self.domain, Order.model_validate(raw), self.fresh, self.actuator, self.sent)
        return {"outcome": outcome.model_dump(mode="json")}

    def record(self, turn: Turn) -> Update:
        """Write down what became of the order."""
        if self.audit is not None:
            self.audit.append("action", {name: turn.get(name) for name in ("audit_seq", "order", "approval", "outcome")})
        return {}


def build_graph(
    domain: Domain,
    chat: ChatClient,
    audit: AuditLog | None,
    checkpointer: BaseCheckpointSaver[Any],
    approval: ApprovalRule,
    acting: Acting,
    max_tokens: int = 600,
    documents: Recaller | None = None,
) -> "CompiledStateGraph[Turn]":
    """The whole spine, from picture to equipment; see Turns for how it is run."""
    graph = Thinking(domain, chat, audit, approval, max_tokens, documents).graph()
    graph.add_node("approve", acting.approve)
    graph.add_node("act", acting.act)
    graph.add_node("record", acting.record)
    graph.add_edge("note", "approve")
    graph.add_edge("approve", "act")
    graph.add_edge("act", "record")
    graph.add_edge("record", END)
    return graph.compile(checkpointer=checkpointer)


class Agent:
    """Decides; does not act. Never raises because of a model: every failure of one ends in the domain's fallback.

    Args:
        audit: where decisions are recorded; None keeps no record.
        deadline_s: from picture to verdict.
        max_tokens: of the model's answer.
        documents: asked for the user's documents about each situation; None: for none.
    """

    def __init__(
        self,
        domain: Domain,
        chat: ChatClient,
        audit: AuditLog | None = None,
        deadline_s: float = 5.0,
        max_tokens: int = 600,
        documents: Recaller | None = None,
    ) -> None:
        self.domain, self.chat, self.deadline_s = domain, chat, deadline_s
        graph = Thinking(domain, chat, audit, max_tokens=max_tokens, documents=documents).graph()
        graph.add_edge("note", END)
        self._graph = graph.compile()

    def decide(
        self, picture: Any, language: Language = "en", deadline_s: float | None = None, inputs: Mapping[str, Any] | None = None
    ) -> Decision:
        """One turn from picture to verdict.

        Args:
            inputs: where the picture came from (file and offset, topic), kept in the audit record.
        """
        return self._graph.invoke(_first(picture, language, deadline_s or self.deadline_s, inputs))["decision"]


class Turns:
    """Decides and acts, with approval where the rule asks for it; survives a kill at any point without acting twice."""

    def __init__(
        self, graph: "CompiledStateGraph[Turn]", deadline_s: float = 5.0, decided: Callable[[Decision], None] = lambda decision: None
    ) -> None:
        """`decided` is told each decision before anything is done about it; after a kill it is not told again."""
        self._graph, self._deadline_s, self._decided = graph, deadline_s, decided

    def begin(self, picture: Any, turn_id: str, language: Language = "en") -> ApprovalRequest | Outcome:
        """Decide, then act or ask. The read-only half writes one checkpoint, at its end."""
        first = _first(picture, language, self._deadline_s, None)
        made = self._graph.invoke(first, _named(turn_id), durability="exit", interrupt_before=["approve"])
        self._decided(made["decision"])
        return self._go_on(turn_id, None)

    def answer(self, turn_id: str, answer: Any) -> ApprovalRequest | Outcome:
        """Give the human's answer. LookupError if this turn waits for none."""
        if self.waiting(turn_id) is None:
            raise LookupError(f"turn {turn_id!r} waits for no approval")
        return self._go_on(turn_id, Command(resume=answer))

    def resume(self, turn_id: str) -> ApprovalRequest | Outcome:
        """Go on after a kill, from where the disk says it was. LookupError if nothing was begun."""
        asked = self.waiting(turn_id)
        if asked is not None:
            return asked
        return self._go_on(turn_id, None)

    def waiting(self, turn_id: str) -> ApprovalRequest | None:
        """What this turn asks a human, if anything."""
        asked = self._graph.get_state(_named(turn_id)).interrupts
        return ApprovalRequest.model_validate(asked[0].value) if asked else None

    def _go_on(self, turn_id: str, what: Any) -> ApprovalRequest | Outcome:
        state = self._graph.get_state(_named(turn_id))
        if not state.created_at:
            raise LookupError(f"no turn {turn_id!r} was begun")
        if state.next:
            self._graph.invoke(what, _named(turn_id), durability="sync")
        asked = self.waiting(turn_id)
        if asked is not None:
            return asked
        return Outcome.model_validate(self._graph.get_state(_named(turn_id)).values["outcome"])


def _named(turn_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": turn_id}}


def _first(picture: Any, language: Language, deadline_s: float, inputs: Mapping[str, Any] | None) -> Turn:
    now = time.monotonic()
    return cast(Turn, {"picture": picture, "language": language, "inputs": inputs, "began": now, "ends": now + deadline_s})
