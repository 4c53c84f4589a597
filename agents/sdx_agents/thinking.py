"""The read-only half of the graph: from a picture to a verdict, on record. See graph.py for the whole."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypedDict

from langgraph.channels import UntrackedValue
from langgraph.graph import START, StateGraph

from sdx_agents.approval import ApprovalRule, never, request_for
from sdx_agents.audit import AuditLog
from sdx_agents.decision import Answered, Concluded, Decision, conclude, payload, prompt_hash, read
from sdx_agents.documents import Recaller
from sdx_domains.contract import Domain, Passage
from sdx_serving.client import ChatClient, DeadlineExceeded

log = logging.getLogger(__name__)

_RESERVE_S = 0.15
"""Kept of the deadline for assurance and record."""
_WORTH_A_RETRY_S = 0.3
"""With less time left, a failed request is not made again."""

Update = dict[str, Any]


class Turn(TypedDict):
    """State of one turn. The first block is never checkpointed; the second is JSON."""

    picture: Annotated[Any, UntrackedValue]
    language: Annotated[Any, UntrackedValue]
    inputs: Annotated[Any, UntrackedValue]
    began: Annotated[float, UntrackedValue]
    ends: Annotated[float, UntrackedValue]
    options: Annotated[Any, UntrackedValue]
    passages: Annotated[Any, UntrackedValue]
    documents: Annotated[Any, UntrackedValue]
    prompt_sha256: Annotated[str, UntrackedValue]
    answer: Annotated[Any, UntrackedValue]
    concluded: Annotated[Any, UntrackedValue]
    decision: Annotated[Any, UntrackedValue]

    order: dict[str, Any] | None
    request: dict[str, Any] | None
    audit_seq: int | None
    approval: dict[str, Any]
    outcome: dict[str, Any]


@dataclass(frozen=True)
class Thinking:
    """The read-only half."""

    domain: Domain
    chat: ChatClient
    audit: AuditLog | None = None
    approval: ApprovalRule = field(default_factory=never)
    max_tokens: int = 600
    documents: Recaller | None = None
    """Asked for the user's documents: shown and recorded, in no prompt."""

    def perceive(self, turn: Turn) -> Update:
        if turn["picture"].domain != self.domain.name:
            raise ValueError(f"a picture of domain {turn['picture'].domain!r} was given to an agent of {self.domain.name!r}")
        return {}

    def list_options(self, turn: Turn) -> Update:
        return {"options": tuple(self.domain.options(turn["picture"]))}

    def recall(self, turn: Turn) -> Update:
        return {"passages": tuple(self.domain.recall(turn["picture"])), "documents": self._of_documents(turn)}

    def _of_documents(self, turn: Turn) -> tuple[Passage, ...]:
        if self.documents is None:
            return ()
        try:
            return tuple(self.documents(self.domain.looks_for(turn["picture"], turn["language"])))
        except Exception:  # a decision does not end because of a document
            log.exception("documents were not looked up")
            return ()

    def propose(self, turn: Turn) -> Update:
        """Ask the model, twice if the first answer is of no use and there is time. Never raises."""
        picture, options = turn["picture"], turn["options"]
        try:
            messages = self.domain.messages(picture, options, turn["passages"], turn["language"])
            schema = self.domain.answer_schema(picture, options)
        except Exception as error:  # noqa: BLE001 - no prompt means no answer, and the fallback decides
            return {"prompt_sha256": "", "answer": Answered(failure=f"no prompt could be made: {error!r}", failure_kind="engine")}
        answer = self._ask(turn, messages, schema, Answered())
        if answer.failure_kind in ("engine", "answer") and turn["ends"] - time.monotonic() > _WORTH_A_RETRY_S + _RESERVE_S:
            answer = self._ask(turn, messages, schema, answer)
        return {"prompt_sha256": prompt_hash(messages, schema), "answer": answer}

    def _ask(self, turn: Turn, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], before: Answered) -> Answered:
        """One request. A second one after an unreadable answer is warmer: the greedy answer would be the same."""
        began, attempts = time.monotonic(), before.attempts + 1
        try:
            said = self.chat.complete(
                messages,
                schema=schema,
                max_tokens=self.max_tokens,
                temperature=0.5 if before.failure_kind == "answer" else 0.0,
                deadline_s=max(0.0, turn["ends"] - began - _RESERVE_S),
            )
        except DeadlineExceeded as error:
            return replace(before, attempts=attempts, failure=str(error), failure_kind="timeout")
        except Exception as error:  # noqa: BLE001 - no fault of an engine or its client stops the agent
            return replace(before, attempts=attempts, failure=str(error) or type(error).__name__, failure_kind="engine")
        proposal = read(self.domain, turn["picture"], turn["options"], said.text)
        failure = proposal if isinstance(proposal, str) else ""
        return Answered(
            text=said.text,
            model=said.model,
            model_sha256=said.model_sha256,
            latency_s=before.latency_s + time.monotonic() - began,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            attempts=attempts,
            finish_reason=said.finish_reason,
            failure=failure,
            failure_kind="answer" if failure else "",
        )

    def assure(self, turn: Turn) -> Update:
        return {"concluded": conclude(self.domain, turn["picture"], turn["options"], turn["answer"])}

    def note(self, turn: Turn) -> Update:
        """Write the decision down, and hand the acting half what it needs as JSON."""
        concluded: Concluded = turn["concluded"]
        decision = Decision(
            turn["picture"],
            turn["options"],
            turn["passages"],
            turn["language"],
            turn["prompt_sha256"],
            turn["answer"],
            concluded,
            time.monotonic() - turn["began"],
            documents=turn["documents"],
        )
        if self.audit is not None:
            decision = replace(decision, audit_seq=self.audit.append("decision", payload(decision, turn.get("inputs"))))
        order, request = concluded.order, None
        if order is not None and self.approval.asks(concluded.proposal, concluded.verdict):
            request = request_for(order, concluded.proposal, concluded.verdict, decision.picture.t_s, self.approval.valid_for_s)
        return {
            "decision": decision,
            "audit_seq": decision.audit_seq,
            "order": order.model_dump(mode="json") if order else None,
            "request": request.model_dump(mode="json") if request else None,
        }

    def graph(self) -> "StateGraph[Turn]":
        """perceive to note, with the end left open."""
        graph = StateGraph(Turn)
        steps = {
            "perceive": self.perceive,
            "list_options": self.list_options,
            "recall": self.recall,
            "propose": self.propose,
            "assure": self.assure,
            "note": self.note,
        }
        for name, step in steps.items():
            graph.add_node(name, step)
        graph.add_edge(START, "perceive")
        for before, after in zip(list(steps), list(steps)[1:], strict=False):
            graph.add_edge(before, after)
        return graph
