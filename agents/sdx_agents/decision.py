"""One decision: what the model was asked and said, and what assurance made of it. Everything in it can be replayed."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from sdx_domains.contract import Domain, Language, Order, Passage, Proposal, Verdict

FailureKind = Literal["", "timeout", "engine", "answer"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back from the model, or why nothing usable did."""

    text: str = ""
    model: str = ""
    model_sha256: str = ""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0
    finish_reason: str = ""
    """"length" when the answer was cut off at its token limit."""
    failure: str = ""
    """Why the answer cannot be used, one sentence; "" when it can."""
    failure_kind: FailureKind = ""
    """"timeout": no time left; "engine": no answer at all; "answer": the text is not a proposal."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What assurance made of an answer. The same answer on the same picture gives the same."""

    proposal: Proposal
    verdict: Verdict
    """Of the proposal. Kind "timeout" or "fallback", with the fallback's order, when there was no usable answer."""
    fallback: Verdict | None
    """Where the proposal was turned down: what is to be done instead."""

    @property
    def order(self) -> Order | None:
        """What is to be done: the verdict's order, else the fallback's."""
        if self.verdict.order is not None:
            return self.verdict.order
        return self.fallback.order if self.fallback else None


@dataclass(frozen=True, slots=True)
class Decision:
    """One turn from picture to verdict."""

    picture: Any
    options: Sequence[Any]
    passages: Sequence[Passage]
    language: Language
    prompt_sha256: str
    """Of messages and schema; "" when no prompt could be made."""
    answer: Answered
    concluded: Concluded
    latency_s: float
    """From picture to verdict."""
    documents: Sequence[Passage] = ()
    """Of the user's library: beside the decision, not among what it was made from."""
    audit_seq: int | None = None
    """Number of its audit record; None when no log is kept."""

    @property
    def proposal(self) -> Proposal:
        return self.concluded.proposal

    @property
    def verdict(self) -> Verdict:
        return self.concluded.verdict

    @property
    def order(self) -> Order | None:
        return self.concluded.order

    @property
    def model(self) -> str:
        return self.answer.model

    @property
    def model_sha256(self) -> str:
        return self.answer.model_sha256

    @property
    def failure(self) -> str:
        """Why the model's answer was not used; "" when it was."""
        return self.answer.failure


def read(domain: Domain, picture: Any, options: Sequence[Any], text: str) -> Proposal | str:
    """The proposal in a model's text, or why there is none. Never raises, whatever the text."""
    if not text.strip():
        return "the model's answer is empty"
    try:
        proposal = domain.read_answer(text, picture, options)
    except Exception as error:  # noqa: BLE001 - a text from a model may break any parser
        return f"the model's answer cannot be read: {str(error)[:300] or type(error).__name__}"
    if proposal.option_id is not None and proposal.option_id not in {option.id for option in options}:
        return f"the model chose option {proposal.option_id[:20]!r}, which was not offered"
    return proposal.model_copy(update={"picture_id": picture.id})


def conclude(domain: Domain, picture: Any, options: Sequence[Any], answer: Answered) -> Concluded:
    """Assure an answer; without a usable one, fall back. Pure: replay calls it too."""
    proposal = read(domain, picture, options, answer.text) if not answer.failure else answer.failure
    if isinstance(proposal, str):
        fallback = domain.fallback(picture, options)
        kind = "timeout" if answer.failure_kind == "timeout" else "fallback"
        verdict = fallback.model_copy(update={"kind": kind, "reasons": (proposal, *fallback.reasons)})
        return Concluded(Proposal(option_id=None, reason=proposal, confidence=0.0, source="fallback"), verdict, None)
    try:
        verdict = domain.assure(picture, options, proposal)
    except Exception as error:  # noqa: BLE001 - a proposal that assurance stumbles over is not accepted
        reason = f"assurance failed on this proposal: {type(error).__name__}: {str(error)[:300]}"
        verdict = Verdict(kind="reject", picture_id=picture.id, reasons=(reason,))
    return Concluded(proposal, verdict, domain.fallback(picture, options) if verdict.order is None else None)


def prompt_hash(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> str:
    """SHA-256 of what the model is asked, schema included."""
    text = json.dumps([[dict(message) for message in messages], schema], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def payload(decision: Decision, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The decision as its audit record: enough to compute verdict and order again without the model."""
    answer, concluded = decision.answer, decision.concluded
    return {
        "domain": decision.picture.domain,
        "t_s": decision.picture.t_s,
        "language": decision.language,
        "inputs": dict(inputs or {}),
        "picture_id": decision.picture.id,
        "picture": decision.picture.model_dump(mode="json"),
        "options": [option.model_dump(mode="json") for option in decision.options],
        "passages": [passage.id for passage in decision.passages],
        "documents": [passage.model_dump(mode="json") for passage in decision.documents],
        "prompt_sha256": decision.prompt_sha256,
        "model": {"name": answer.model, "sha256": answer.model_sha256},
        "answer": {
            "text": answer.text,
            "latency_s": answer.latency_s,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "attempts": answer.attempts,
            "finish_reason": answer.finish_reason,
            "failure": answer.failure,
            "failure_kind": answer.failure_kind,
        },
        **outcome(concluded),
        "latency_s": decision.latency_s,
        "software": software(),
    }


def outcome(concluded: Concluded) -> dict[str, Any]:
    """The part of a record that replay must reproduce bit for bit."""
    order = concluded.order
    return {
        "proposal": concluded.proposal.model_dump(mode="json"),
        "verdict": concluded.verdict.model_dump(mode="json"),
        "fallback": concluded.fallback.model_dump(mode="json") if concluded.fallback else None,
        "order": order.model_dump(mode="json") | {"id": order.id} if order else None,
    }


@cache
def software() -> dict[str, str]:
    """What ran: commit and the versions of the packages that a decision passes through."""
    from sdx_agents.bench import commit

    versions = {"python": platform.python_version(), "commit": commit()}
    for package in ("sdx", "langgraph", "pydantic", "numpy", "llama-cpp-python"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
