"""Acting: approval reaches no other order than the one shown, and nothing leaves twice, whatever is killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vat import Vat, VatPicture

from sdx_agents.actuation import Outcome, SentOrders
from sdx_agents.approval import ApprovalRequest, ApprovalRule, always, never, request_for, settle, when_unsure
from sdx_agents.audit import AuditLog, records
from sdx_agents.disk_loss import LastingSaver
from sdx_agents.graph import Acting, Turns, build_graph
from sdx_domains.contract import Order, Proposal, Verdict
from sdx_serving.client import Line, Scripted

GOOD = '{"option": "B", "reason": "fill it"}'


class Pipe:
    """An actuator that keeps what it was told."""

    def __init__(self) -> None:
        self.sent: list[Order] = []

    def send(self, order: Order) -> str:
        self.sent.append(order)
        return f"receipt {len(self.sent)}"


class Now:
    """The fresh picture, which a test may change."""

    def __init__(self) -> None:
        self.picture = VatPicture(t_s=0.0)

    def __call__(self) -> VatPicture:
        return self.picture


@contextmanager
def turns(
    folder: Path, pipe: Any, now: Callable[[], Any], rule: ApprovalRule | None = None, line: Line = GOOD, audit: AuditLog | None = None
) -> Iterator[Turns]:
    sent = SentOrders(folder / "sent.sqlite")
    try:
        with closing(LastingSaver(folder / "turns.sqlite")) as saver:
            acting = Acting(Vat(), now, pipe, sent, audit)
            yield Turns(build_graph(Vat(), Scripted(line), audit, saver, rule or never(), acting))
    finally:
        sent.close()


def yes(request: ApprovalRequest, **change: Any) -> dict[str, Any]:
    return {"order_id": request.order_id, "approved": True, "by": "master"} | change


def asked(answer: ApprovalRequest | Outcome) -> ApprovalRequest:
    assert isinstance(answer, ApprovalRequest)
    return answer


def done(answer: ApprovalRequest | Outcome) -> Outcome:
    assert isinstance(answer, Outcome)
    return answer


def test_without_approval_the_order_leaves_at_once_and_is_recorded(tmp_path: Path) -> None:
    pipe = Pipe()
    with AuditLog(tmp_path / "audit.jsonl") as log, turns(tmp_path, pipe, Now(), audit=log) as run:
        outcome = done(run.begin(VatPicture(t_s=0.0), "one"))
    assert (outcome.kind, outcome.receipt) == ("sent", "receipt 1")
    assert [order.setpoints["level_m"] for order in pipe.sent] == [4.0]
    kinds = [record.kind for record in records(tmp_path / "audit.jsonl")]
    assert kinds == ["decision", "action"]


def test_an_approved_order_leaves_once(tmp_path: Path) -> None:
    pipe = Pipe()
    with turns(tmp_path, pipe, Now(), always()) as run:
        request = asked(run.begin(VatPicture(t_s=0.0), "one"))
        assert not pipe.sent
        assert request.reason == "fill it"
        assert done(run.answer("one", yes(request))).kind == "sent"
        with pytest.raises(LookupError, match="waits for no approval"):
            run.answer("one", yes(request))
        assert done(run.resume("one")).kind == "sent"
    assert [order.id for order in pipe.sent] == [request.order_id]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"approved": False}, "refused"),
        ({"order_id": "0000"}, "misrouted"),
        ({"by": ""}, "invalid"),
        ({"approved": "perhaps"}, "invalid"),
        ({"extra": 1}, "invalid"),
    ],
)
def test_anything_but_a_clear_yes_to_this_order_is_a_no(tmp_path: Path, answer: dict[str, Any], kind: str) -> None:
    pipe = Pipe()
    with turns(tmp_path, pipe, Now(), always()) as run:
        request = asked(run.begin(VatPicture(t_s=0.0), "one"))
        outcome = done(run.answer("one", yes(request, **answer)))
    assert outcome.kind == "not_approved"
    assert outcome.reason.startswith(kind)
    assert not pipe.sent


@given(answer=st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_odd_answer_approves(answer: Any) -> None:
    picture = VatPicture(t_s=0.0)
    verdict = Vat().assure(picture, Vat().options(picture), Proposal(option_id="B"))
    assert verdict.order
    request = request_for(verdict.order, Proposal(option_id="B"), verdict, 0.0, 60.0)
    assert not settle(request, answer, 1.0).lets_out


def test_two_turns_that_wait_never_get_each_others_answer(tmp_path: Path) -> None:
    pipe = Pipe()
    with turns(tmp_path, pipe, Now(), always()) as run:
        first = asked(run.begin(VatPicture(t_s=0.0), "one"))
        second = asked(run.begin(VatPicture(t_s=1.0), "two"))
        assert first.order_id != second.order_id
        assert done(run.answer("two", yes(first))).reason.startswith("misrouted")
        assert done(run.answer("one", yes(first))).kind == "sent"
    assert [order.id for order in pipe.sent] == [first.order_id]


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (VatPicture(t_s=61.0), "not_approved"),  # the approval came late
        (VatPicture(t_s=30.0, holds_m=3.0), "unsafe_now"),  # the vat shrank while the human thought
        (VatPicture(t_s=59.0), "sent"),
    ],
)
def test_the_world_is_looked_at_again_when_the_answer_comes(tmp_path: Path, picture: VatPicture, kind: str) -> None:
    pipe, now = Pipe(), Now()
    with turns(tmp_path, pipe, now, always(valid_for_s=60.0)) as run:
        request = asked(run.begin(VatPicture(t_s=0.0), "one"))
        now.picture = picture
        assert done(run.answer("one", yes(request))).kind == kind
    assert len(pipe.sent) == (kind == "sent")


def test_an_order_too_old_does_not_leave(tmp_path: Path) -> None:
    pipe, now = Pipe(), Now()
    now.picture = VatPicture(t_s=100.0)
    with turns(tmp_path, pipe, now) as run:
        assert done(run.begin(VatPicture(t_s=0.0), "one")).kind == "expired"
    assert not pipe.sent


def test_the_fallback_is_not_asked_about(tmp_path: Path) -> None:
    pipe = Pipe()
    with turns(tmp_path, pipe, Now(), always(), line="nonsense") as run:
        assert done(run.begin(VatPicture(t_s=0.0), "one")).kind == "sent"
    assert pipe.sent[0].source == "fallback"


def test_a_driver_that_fails_is_told_and_the_order_may_be_tried_again(tmp_path: Path) -> None:
    class Broken(Pipe):
        def send(self, order: Order) -> str:
            raise ConnectionError("no equipment")

    pipe = Pipe()
    with turns(tmp_path, Broken(), Now()) as run:
        assert "no equipment" in done(run.begin(VatPicture(t_s=0.0), "one")).reason
    with turns(tmp_path, pipe, Now()) as run:
        assert done(run.begin(VatPicture(t_s=0.0), "two")).kind == "sent"


def test_a_waiting_approval_survives_the_process(tmp_path: Path) -> None:
    pipe = Pipe()
    with turns(tmp_path, pipe, Now(), always()) as run:
        request = asked(run.begin(VatPicture(t_s=0.0), "one"))
    with turns(tmp_path, pipe, Now(), always()) as run:
        assert run.resume("one") == request
        assert done(run.answer("one", yes(request))).kind == "sent"
        with pytest.raises(LookupError, match="no turn 'two'"):
            run.resume("two")


KILLED = """
import os, sys
from pathlib import Path
sys.path.append(sys.argv[2])
from test_turns import Now, turns
from vat import VatPicture
folder, when = Path(sys.argv[1]), sys.argv[3]

class Fatal:
    def send(self, order):
        if when == "after":
            (folder / "wire").open("a").write(order.id + "\\n")
        os.kill(os.getpid(), 9)

with turns(folder, Fatal(), Now()) as run:
    run.begin(VatPicture(t_s=0.0), "one")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_turn_killed_while_it_acts_never_acts_twice(tmp_path: Path, when: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent), when]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    pipe = Pipe()
    with turns(tmp_path, pipe, Now()) as run:
        outcome = done(run.resume("one"))
    assert outcome.kind == "sent_before"
    assert "may not have arrived" in outcome.reason
    assert not pipe.sent
    wire = (tmp_path / "wire").read_text().split() if when == "after" else []
    assert len(wire) == (when == "after")


def test_only_one_of_many_may_send(tmp_path: Path) -> None:
    stores = [SentOrders(tmp_path / "sent.sqlite") for _ in range(4)]
    assert sorted(store.claim("x") for store in stores) == [False, False, False, True]
    for store in stores:
        store.close()


def test_who_is_asked() -> None:
    picture = VatPicture(t_s=0.0)
    accepted = Verdict(kind="accept", picture_id=picture.id)
    rule = when_unsure(0.7)
    assert not rule.asks(Proposal(option_id="A", confidence=0.9), accepted)
    assert rule.asks(Proposal(option_id="A", confidence=0.5), accepted)
    assert rule.asks(Proposal(option_id="A", needs_human=True), accepted)
    assert rule.asks(Proposal(option_id="A"), accepted.model_copy(update={"kind": "clip"}))
    assert not never().asks(Proposal(option_id="A", needs_human=True), accepted)
