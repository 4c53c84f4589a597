"""Documents beside a decision: in time or not at all, on record, and without a say in it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from vat import Vat, VatPicture

from sdx_agents.audit import AuditLog, records
from sdx_agents.documents import Documents, Recaller
from sdx_agents.graph import Agent
from sdx_domains.contract import Language, Passage
from sdx_serving.client import Scripted

PICTURE = VatPicture(t_s=10.0)
GOOD = '{"option": "B", "reason": "fill it"}'
MANUAL = Passage(id="doc:manual.pdf#7", title="Vat manual, page 3", text="Open the valve slowly.", source="manual.pdf")


class ReadingVat(Vat):
    """A vat that has something to look for."""

    def looks_for(self, picture: VatPicture, language: Language) -> str:
        return "filling a vat"


def given(look: Callable[[str], Sequence[Passage]], limit_s: float = 5.0, fresh_s: float = 60.0) -> Documents:
    @contextmanager
    def opens() -> Iterator[Recaller]:
        yield look

    return Documents(opens, limit_s, fresh_s)


def test_passages_come_with_the_decision_and_into_its_record(tmp_path: Path) -> None:
    asked: list[str] = []
    with AuditLog(tmp_path / "a.jsonl") as log, given(lambda query: asked.append(query) or [MANUAL]) as documents:
        decision = Agent(ReadingVat(), Scripted(GOOD), log, documents=documents).decide(PICTURE)
    assert asked == ["filling a vat"]
    assert decision.documents == (MANUAL,)
    assert [passage.id for passage in decision.passages] == ["V1"], "rules and documents do not mix"
    kept = next(records(tmp_path / "a.jsonl")).payload
    assert kept["documents"] == [MANUAL.model_dump()] and kept["passages"] == ["V1"]


def test_what_is_asked_of_the_model_is_the_same_with_and_without_documents() -> None:
    with_chat, without_chat = Scripted(GOOD), Scripted(GOOD)
    with given(lambda query: [MANUAL]) as documents:
        with_documents = Agent(ReadingVat(), with_chat, documents=documents).decide(PICTURE)
    without = Agent(ReadingVat(), without_chat).decide(PICTURE)
    assert with_chat.asked == without_chat.asked
    assert (with_documents.prompt_sha256, with_documents.verdict) == (without.prompt_sha256, without.verdict)
    assert without.documents == ()


def test_a_library_that_hangs_costs_a_decision_its_limit_and_no_more() -> None:
    hangs = threading.Event()

    def look(query: str) -> list[Passage]:
        hangs.wait(20.0)
        return [MANUAL]

    with given(look, limit_s=0.05) as documents:
        agent = Agent(ReadingVat(), Scripted(GOOD), documents=documents)
        for _ in range(3):
            began = time.monotonic()
            decision = agent.decide(PICTURE)
            assert time.monotonic() - began < 1.0
            assert (decision.verdict.kind, decision.documents) == ("accept", ())
        hangs.set()


def test_what_came_late_is_there_for_the_next_decision() -> None:
    calls: list[str] = []

    def look(query: str) -> list[Passage]:
        calls.append(query)
        time.sleep(0.2)
        return [MANUAL]

    with given(look, limit_s=0.01) as documents:
        assert documents("x") == ()
        ends = time.monotonic() + 10.0
        while documents("x") != (MANUAL,):
            assert time.monotonic() < ends
            time.sleep(0.02)
    assert calls == ["x"], "asked once"


def test_passages_grow_old_and_are_looked_up_again() -> None:
    calls: list[str] = []
    with given(lambda query: calls.append(query) or [MANUAL], fresh_s=0.1) as documents:
        assert documents("x") == documents("x") == (MANUAL,)
        assert calls == ["x"]
        time.sleep(0.15)
        assert documents("x") == (MANUAL,)
    assert calls == ["x", "x"]


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("index"), RuntimeError("model")])
def test_a_library_that_fails_is_told_in_the_log_and_nothing_else(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def look(query: str) -> list[Passage]:
        raise error

    with given(look) as documents:
        decision = Agent(ReadingVat(), Scripted(GOOD), documents=documents).decide(PICTURE)
    assert (decision.verdict.kind, decision.documents) == ("accept", ())
    assert str(error) in caplog.text


def test_a_domain_that_fails_to_say_what_to_look_for_still_decides(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Vat):
        def looks_for(self, picture: VatPicture, language: Language) -> str:
            raise KeyError("planted")

    with given(lambda query: [MANUAL]) as documents:
        decision = Agent(Broken(), Scripted(GOOD), documents=documents).decide(PICTURE)
    assert (decision.verdict.kind, decision.documents) == ("accept", ())
    assert "planted" in caplog.text


def test_nothing_is_looked_up_where_nothing_is_to_be_looked_for() -> None:
    asked: list[str] = []
    with given(lambda query: asked.append(query) or [MANUAL]) as documents:
        assert documents("") == ()
    assert asked == []
