"""Who decides for the agent node: the domain's planner, or a model behind the checkpointed graph."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sdx_domains.contract import Language, Passage, Picture, Proposal

if TYPE_CHECKING:  # heavy, and not needed where the planner decides
    from sdx_agents.actuation import Outcome
    from sdx_agents.decision import Decision
    from sdx_agents.durable import DurableAgent


@dataclass(frozen=True, slots=True)
class Decided:
    """What of a decision the node passes on."""

    options: Sequence[Any]
    proposal: Proposal
    passages: Sequence[Passage] = ()
    documents: Sequence[Passage] = ()
    model: str = ""
    latency_s: float = 0.0
    note: str = ""
    failed: Literal["", "timeout", "engine", "answer"] = ""
    told: bool = False
    """It is out, or must not go out; the node need not publish it."""
    repeated: bool = False
    """Its order left in an earlier life."""
    checkpoints: str | None = None
    """Why turns would not survive a kill; "" when they would; None when none are kept."""


Decide = Callable[[Any, Language], Decided]
"""Picture in, decision out. May take long and may raise."""


def planner(domain: Any) -> Decide:
    """The domain's own deterministic choice as a proposal: the run without a model."""

    def decide(picture: Any, language: Language) -> Decided:
        began_s = time.monotonic()
        options = domain.options(picture)
        return Decided(options, domain.planned(picture, options), model="planner", latency_s=time.monotonic() - began_s)

    return decide


def of_agent(agent: "DurableAgent") -> Decide:
    """Decisions of a model behind the graph, which hands them to the guard itself."""

    def decide(picture: Any, language: Language) -> Decided:
        taken = agent.take(picture, language)
        return replace(_after(_decided(taken.decision), taken.outcome), checkpoints=agent.trouble)

    return decide


def handed_by(hand_over: Callable[[Picture, Decided], str]) -> "Callable[[Decision], str]":
    """How the graph's last step gives a decision to the guard: as a proposal, usable or not. The guard has the last word."""

    def give(decision: "Decision") -> str:
        return f"{hand_over(decision.picture, _decided(decision))}, {decision.verdict.kind}"

    return give


def _decided(made: "Decision") -> Decided:
    verdict = made.verdict
    note = made.failure or ("" if verdict.kind == "accept" else f"{verdict.kind}: {'; '.join(verdict.reasons)}")
    return Decided(made.options, made.proposal, made.passages, made.documents, made.model, made.latency_s, note, made.answer.failure_kind)


def _after(decided: Decided, outcome: "Outcome") -> Decided:
    """A decision that the last look held back is shown all the same, as one that the guard must not hold."""
    match outcome.kind:
        case "sent":
            return replace(decided, told=True)
        case "sent_before":
            return replace(decided, told=True, repeated=True, note="the same order was handed over before")
        case "expired":
            return replace(decided, failed="timeout", note=f"too late: {outcome.reason}")
        case "unsafe_now":
            return replace(decided, failed="answer", note=f"no longer safe: {outcome.reason}")
        case _:
            return replace(decided, told=True, note=f"not handed over: {outcome.reason or outcome.kind}")
