"""The human's yes or no: bound to one order by its hash, in time, and to nothing else. Pure: no clock, no side effects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from sdx_domains.contract import Closed, Order, Proposal, Verdict

NeedsHuman = Callable[[Proposal, Verdict], bool]


class ApprovalRequest(Closed):
    """What the human is shown. An answer must name the same order."""

    order_id: str
    order: Order
    reason: str
    """Of the proposal, in words."""
    verdict_kind: str
    verdict_reasons: tuple[str, ...]
    margins: dict[str, float]
    asked_s: float
    expires_s: float
    """Plant's clock; an answer after that is void."""


class ApprovalAnswer(Closed):
    """What the human said, about which order."""

    order_id: str
    approved: bool
    by: str = Field(min_length=1)
    """Who; kept in the audit log."""
    note: str = ""


class Approval(Closed):
    """What the answer came to. Only "approved" and "not_needed" let an order out."""

    kind: Literal["approved", "not_needed", "refused", "expired", "misrouted", "invalid"]
    by: str = ""
    reason: str = ""

    @property
    def lets_out(self) -> bool:
        return self.kind in ("approved", "not_needed")


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """When a human is asked, and for how long the answer counts.

    The fallback's orders are never asked about: doing nothing is not safer than they are.
    """

    needs_human: NeedsHuman
    valid_for_s: float = 60.0

    def asks(self, proposal: Proposal, verdict: Verdict) -> bool:
        """A human must say yes before this verdict's order leaves."""
        return verdict.kind in ("accept", "clip", "override") and self.needs_human(proposal, verdict)


def never() -> ApprovalRule:
    """No human is asked: a guard stands behind, or it is a simulation."""
    return ApprovalRule(lambda _proposal, _verdict: False)


def always(valid_for_s: float = 60.0) -> ApprovalRule:
    """A human is asked about every order of a model."""
    return ApprovalRule(lambda _proposal, _verdict: True, valid_for_s)


def when_unsure(confidence: float = 0.7, valid_for_s: float = 60.0) -> ApprovalRule:
    """A human is asked when the model asks for one, is less sure than `confidence`, or was corrected."""
    return ApprovalRule(
        lambda proposal, verdict: proposal.needs_human or proposal.confidence < confidence or verdict.kind == "clip", valid_for_s
    )


def request_for(order: Order, proposal: Proposal, verdict: Verdict, asked_s: float, valid_for_s: float) -> ApprovalRequest:
    """What to show about this order. It expires with the order at the latest."""
    return ApprovalRequest(
        order_id=order.id,
        order=order,
        reason=proposal.reason,
        verdict_kind=verdict.kind,
        verdict_reasons=verdict.reasons,
        margins=dict(verdict.margins),
        asked_s=asked_s,
        expires_s=min(asked_s + valid_for_s, order.issued_s + order.valid_for_s),
    )


def settle(request: ApprovalRequest, answer: Any, now_s: float) -> Approval:
    """What an answer, however malformed, means for this request. Anything but a clear yes to this very order is a no."""
    try:
        said = ApprovalAnswer.model_validate(answer)
    except ValidationError as error:
        return Approval(kind="invalid", reason=f"not an approval: {error.error_count()} faults, first: {error.errors()[0]['msg']}")
    if said.order_id != request.order_id:
        return Approval(kind="misrouted", by=said.by, reason=f"the answer is about order {said.order_id}, asked was {request.order_id}")
    if not said.approved:
        return Approval(kind="refused", by=said.by, reason=said.note or "refused")
    if not request.asked_s - 1.0 <= now_s <= request.expires_s:
        return Approval(kind="expired", by=said.by, reason=f"answered at {now_s:.1f} s, valid until {request.expires_s:.1f} s")
    return Approval(kind="approved", by=said.by, reason=said.note)
