"""Deciding: whatever the model does, a decision with an order comes out in time, and it is on record."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vat import Vat, VatPicture

from sdx_agents.audit import AuditLog, records, verify
from sdx_agents.graph import Agent
from sdx_agents.overhead import graph_overhead
from sdx_domains.contract import Verdict
from sdx_serving.client import DeadlineExceeded, EngineUnavailable, Scripted

PICTURE = VatPicture(t_s=10.0)
GOOD = '{"option": "B", "reason": "fill it"}'


def test_a_good_answer_is_assured_into_an_order() -> None:
    decision = Agent(Vat(), Scripted(GOOD)).decide(PICTURE)
    assert (decision.verdict.kind, decision.failure) == ("accept", "")
    assert decision.order is not None
    assert decision.order.setpoints == {"level_m": 4.0}
    assert decision.proposal.reason == "fill it"
    assert decision.model == "scripted"
    assert len(decision.prompt_sha256) == len(decision.model_sha256) == 64
    assert [passage.id for passage in decision.passages] == ["V1"]


def test_a_rejected_proposal_leaves_the_fallback_to_act() -> None:
    decision = Agent(Vat(), Scripted('{"option": "C"}')).decide(PICTURE)
    assert decision.verdict.kind == "reject"
    assert decision.order is not None
    assert (decision.order.source, decision.order.setpoints["level_m"]) == ("fallback", 0.5)


FAILURES: dict[str, tuple[Any, str, str]] = {
    "empty": ("  ", "fallback", "empty"),
    "not JSON": ("I would turn.", "fallback", "cannot be read"),
    "cut off": ('{"option": "B', "fallback", "cannot be read"),
    "another type": ("[1]", "fallback", "cannot be read"),
    "unknown option": ('{"option": "Z"}', "fallback", "'Z', which was not offered"),
    "deep nesting": ("[" * 100_000, "fallback", "cannot be read"),
    "engine down": (EngineUnavailable("nothing answers"), "fallback", "nothing answers"),
    "late": (DeadlineExceeded("too late"), "timeout", "too late"),
    "a bug in the client": (ZeroDivisionError("planted"), "fallback", "planted"),
}


@pytest.mark.parametrize(("line", "kind", "says"), FAILURES.values(), ids=FAILURES.keys())
def test_every_failure_of_the_model_ends_in_the_fallback_and_says_why(line: Any, kind: str, says: str) -> None:
    chat = Scripted(line)
    decision = Agent(Vat(), chat).decide(PICTURE)
    assert decision.verdict.kind == kind
    assert decision.order is not None
    assert decision.order.source == decision.proposal.source == "fallback"
    assert says in decision.failure
    assert says in decision.verdict.reasons[0]
    assert len(chat.asked) == (1 if kind == "timeout" else 2)


def test_one_retry_mends_a_bad_answer() -> None:
    chat = Scripted("nonsense", GOOD)
    decision = Agent(Vat(), chat).decide(PICTURE)
    assert (decision.verdict.kind, decision.answer.attempts) == ("accept", 2)


def test_no_retry_without_time_and_the_deadline_is_kept() -> None:
    chat = Scripted("nonsense", delay_s=0.3)
    began = time.monotonic()
    decision = Agent(Vat(), chat).decide(PICTURE, deadline_s=0.6)
    assert time.monotonic() - began < 0.7
    assert (decision.verdict.kind, len(chat.asked)) == ("fallback", 1)
    decision = Agent(Vat(), Scripted(GOOD, delay_s=5.0)).decide(PICTURE, deadline_s=0.4)
    assert decision.verdict.kind == "timeout"
    assert decision.latency_s < 0.5


@given(
    text=st.text()
    | st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(json.dumps)
)
@settings(max_examples=80, deadline=None)
def test_no_text_of_a_model_breaks_the_agent_or_its_record(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    with AuditLog(path) as log:
        decision = Agent(Vat(), Scripted(text), log).decide(PICTURE)
    assert decision.order is not None
    assert decision.order.source == "fallback"
    assert next(records(path)).payload["answer"]["text"] == text


def test_assurance_that_stumbles_over_a_proposal_rejects_it() -> None:
    class Fragile(Vat):
        def assure(self, picture: Any, options: Any, proposal: Any) -> Verdict:
            raise RuntimeError("planted")

    decision = Agent(Fragile(), Scripted(GOOD)).decide(PICTURE)
    assert decision.verdict.kind == "reject"
    assert "planted" in decision.verdict.reasons[0]
    assert decision.order is not None


def test_a_prompt_that_cannot_be_made_is_a_failure_too() -> None:
    class Mute(Vat):
        def messages(self, picture: Any, options: Any, passages: Any, language: Any) -> list[dict[str, str]]:
            raise KeyError("prompt")

    decision = Agent(Mute(), Scripted(GOOD)).decide(PICTURE)
    assert (decision.verdict.kind, decision.prompt_sha256) == ("fallback", "")


def test_a_picture_of_another_domain_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'tank' was given to an agent of 'vat'"):
        Agent(Vat(), Scripted(GOOD)).decide(VatPicture(t_s=0.0, domain="tank"))


def test_the_record_holds_what_an_inquiry_needs(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        agent = Agent(Vat(), Scripted(GOOD), log)
        assert [agent.decide(PICTURE, inputs={"bag": "x.mcap", "offset": 7}).audit_seq for _ in range(2)] == [0, 1]
    kept = next(records(path)).payload
    assert kept["inputs"] == {"bag": "x.mcap", "offset": 7}
    assert kept["picture"]["holds_m"] == 5.0
    assert [option["id"] for option in kept["options"]] == ["A", "B", "C"]
    assert kept["model"] == {"name": "scripted", "sha256": "0" * 64}
    assert kept["answer"]["text"] == GOOD
    assert kept["verdict"]["kind"] == "accept"
    assert kept["order"]["setpoints"] == {"level_m": 4.0}
    assert {"python", "commit", "langgraph"} <= set(kept["software"])
    assert verify(path).ok


def test_the_graph_costs_little() -> None:
    class Slow(Vat):
        def options(self, picture: VatPicture) -> Any:
            time.sleep(0.05)
            return super().options(picture)

    overhead = graph_overhead(Slow(), PICTURE, n=20)
    # Bar: p95 <= 25 ms. Here the median, so that a busy machine does not fail the test.
    assert 0.0 < overhead.p50_ms < 25.0
