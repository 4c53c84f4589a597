"""Replay gives the same verdicts and orders without a model, and finds what was changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from vat import Vat, VatPicture

from sdx_agents.audit import FIRST, AuditLog, sealed
from sdx_agents.graph import Agent
from sdx_agents.replay import replay
from sdx_domains.contract import Order, Proposal, Verdict
from sdx_serving.client import DeadlineExceeded, EngineUnavailable, Line, Scripted

LINES: list[Line] = [
    '{"option": "B"}',
    '{"option": "C"}',
    "nonsense",
    "",
    '{"option": "Z"}',
    EngineUnavailable("down"),
    DeadlineExceeded("late"),
    '{"option": "A", "reason": "\\ud800 선박"}',
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as audit:
        for index, line in enumerate(LINES):
            Agent(Vat(), Scripted(line), audit).decide(VatPicture(t_s=60.0 * index, holds_m=5.0 + index / 3))
        audit.append("action", {"order": None})
    return path


def test_every_kind_of_decision_comes_out_the_same(log: Path) -> None:
    report = replay(log, Vat())
    assert report.mismatches == ()
    assert (report.ok, report.decisions, report.recorded_s) == (True, len(LINES), 60.0 * (len(LINES) - 1))
    assert report.times_real_time > 1000


def test_options_are_worked_out_again_on_request(log: Path) -> None:
    class Grown(Vat):
        def options(self, picture: VatPicture) -> Any:
            return super().options(picture)[:2]

    assert replay(log, Vat(), options_too=True).ok
    assert replay(log, Grown()).ok
    assert {mismatch.field for mismatch in replay(log, Grown(), options_too=True).mismatches} == {"options"}


def test_another_domain_is_found_where_it_matters(log: Path) -> None:
    class Careless(Vat):
        def assure(self, picture: VatPicture, options: Any, proposal: Proposal) -> Verdict:
            return super().assure(picture.model_copy(update={"holds_m": 100.0}), options, proposal)

    report = replay(log, Careless())
    assert not report.ok
    assert {mismatch.seq for mismatch in report.mismatches} == {0, 1, 7}


def judged(path: Path, verdict: Verdict, option_id: str = "B") -> Path:
    """A guard's log with one judgement."""
    picture = VatPicture(t_s=5.0)
    with AuditLog(path) as audit:
        audit.append(
            "judged",
            {
                "domain": "vat",
                "t_s": 5.0,
                "picture": picture.model_dump(mode="json"),
                "options": [option.model_dump(mode="json") for option in Vat().options(picture)],
                "proposal": Proposal(option_id=option_id).model_dump(mode="json"),
                "picture_of_proposal": "another",
                "verdict": verdict.model_dump(mode="json"),
            },
        )
    return path


def test_a_guards_yes_is_computed_again_and_its_no_is_taken(tmp_path: Path) -> None:
    picture = VatPicture(t_s=5.0)
    accepted = Vat().assure(picture, Vat().options(picture), Proposal(option_id="B"))
    assert replay(judged(tmp_path / "yes.jsonl", accepted), Vat()).ok
    assert replay(judged(tmp_path / "no.jsonl", Verdict(kind="reject", picture_id=picture.id, reasons=("stopped",))), Vat()).ok
    report = replay(judged(tmp_path / "forged.jsonl", accepted, option_id="C"), Vat())
    assert [mismatch.field for mismatch in report.mismatches] == ["verdict"]


def rewritten(path: Path, change: Any) -> None:
    """The log sealed anew after a change: a chain that verifies, with a lie in it."""
    prev, lines = FIRST, []
    for line in path.read_text().splitlines():
        value = json.loads(line)
        change(value)
        sealed_line, prev = sealed(value["seq"], prev, value["t_utc"], value["kind"], value["payload"])
        lines.append(sealed_line)
    path.write_bytes(b"".join(lines))


def test_a_forged_order_is_found_though_the_chain_is_whole(log: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        if value["seq"] == 0:
            value["payload"]["order"]["setpoints"]["level_m"] = 4.000000000000001

    rewritten(log, change)
    report = replay(log, Vat())
    assert report.chain_ok
    assert [(mismatch.seq, mismatch.field) for mismatch in report.mismatches] == [(0, "order")]


def test_a_record_that_cannot_be_computed_is_a_finding(log: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        if value["seq"] == 3:
            del value["payload"]["picture"]["holds_m"]
            value["payload"]["picture"]["colour"] = "red"

    rewritten(log, change)
    assert [(mismatch.seq, mismatch.field) for mismatch in replay(log, Vat()).mismatches] == [(3, "record")]


def test_a_broken_chain_is_named_and_what_comes_before_is_replayed(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"t_s":120.0', b'"t_s":121.0', 1))
    report = replay(log, Vat())
    assert not report.ok
    assert (report.chain_ok, report.decisions, report.mismatches) == (False, 2, ())
    assert "line 3" in report.chain_reason


def test_an_order_in_a_record_can_be_loaded_again(log: Path) -> None:
    first = json.loads(log.read_text().splitlines()[0])["payload"]["order"]
    assert Order.model_validate({name: value for name, value in first.items() if name != "id"}).id == first["id"]
