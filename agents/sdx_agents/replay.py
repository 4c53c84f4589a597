"""Decisions again, from the record alone: the same verdicts and orders, bit for bit, and no model."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from sdx_agents.audit import Record, records, verify
from sdx_agents.decision import Answered, conclude, outcome
from sdx_domains.contract import Domain, Proposal, load_domain


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One record that does not come out the same."""

    seq: int
    field: str
    """"proposal", "verdict", "fallback", "order", "picture_id", "options", or "record" when it cannot be computed at all."""
    recorded: Any
    recomputed: Any


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What replay() found."""

    path: str
    ok: bool
    decisions: int
    """Records computed again: decisions of an agent, and judgements of a guard."""
    mismatches: tuple[Mismatch, ...]
    chain_ok: bool
    chain_reason: str
    recorded_s: float
    """Plant's seconds from decision to decision, summed over the runs in the log."""
    took_s: float

    @property
    def times_real_time(self) -> float:
        return self.recorded_s / self.took_s if self.took_s > 0 else 0.0


def replay(path: Path, domain: Domain | None = None, options_too: bool = False) -> ReplayReport:
    """Recompute every decision of an agent's log, every judgement of a guard's, from what was recorded.

    Args:
        domain: None takes the installed domain that each record names.
        options_too: work the options out again as well, and compare; slower.

    Raises:
        FileNotFoundError: there is no such log.
    """
    began = time.perf_counter()
    chain = verify(path)
    domains: dict[str, Domain] = {domain.name: domain} if domain is not None else {}
    mismatches: list[Mismatch] = []
    times: list[float] = []
    for record in islice(records(path), chain.records):
        if record.kind not in ("decision", "judged"):
            continue
        times.append(float(record.payload.get("t_s", 0.0)))
        mismatches += _again(record, domains, options_too)
    return ReplayReport(
        path=str(path),
        ok=chain.ok and not mismatches,
        decisions=len(times),
        mismatches=tuple(mismatches),
        chain_ok=chain.ok,
        chain_reason=f"{chain.bad_file} line {chain.bad_line}: {chain.reason}" if not chain.ok else "",
        recorded_s=sum(max(0.0, after - before) for before, after in pairwise(times)),
        took_s=time.perf_counter() - began,
    )


def _again(record: Record, domains: dict[str, Domain], options_too: bool) -> list[Mismatch]:
    """What comes out otherwise than recorded."""
    kept = record.payload
    try:
        name = kept["domain"]
        domain = domains.setdefault(name, domains.get(name) or load_domain(name))
        picture, options = domain.load_picture(kept["picture"]), domain.load_options(kept["options"])
        made = _decided(domain, picture, options, kept) if record.kind == "decision" else _judged(domain, picture, options, kept)
        if options_too and record.kind == "decision":
            made["options"] = [option.model_dump(mode="json") for option in domain.options(picture)]
    except Exception as error:  # noqa: BLE001 - a record that cannot be computed is a finding, not a crash
        return [Mismatch(record.seq, "record", None, f"{type(error).__name__}: {error}")]
    return [Mismatch(record.seq, field, kept.get(field), value) for field, value in made.items() if _bits(kept.get(field)) != _bits(value)]


def _decided(domain: Domain, picture: Any, options: Sequence[Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's decision. A failure to read the answer is computed again; that no answer came cannot be."""
    said = kept["answer"]
    failure = said["failure"] if said["failure_kind"] in ("timeout", "engine") else ""
    answer = Answered(text=said["text"], failure=failure, failure_kind=said["failure_kind"])
    return outcome(conclude(domain, picture, options, answer)) | {"picture_id": picture.id}


def _judged(domain: Domain, picture: Any, options: Sequence[Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """A guard's verdict that let an order out. Why a guard said no may lie outside the record (a stop, a human at the con)."""
    if kept["verdict"]["kind"] not in ("accept", "clip"):
        return {}
    proposal = Proposal.model_validate(kept["proposal"]).model_copy(update={"picture_id": kept["picture_of_proposal"]})
    return {"verdict": domain.assure(picture, options, proposal).model_dump(mode="json")}


def _bits(value: Any) -> str:
    """Text that differs when any bit of any number does (0.0 and -0.0 too), and not for NaN."""
    return json.dumps(value, sort_keys=True)
