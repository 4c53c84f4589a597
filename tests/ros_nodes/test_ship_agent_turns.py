"""The agent node with a model behind the checkpointed graph: what it decides reaches the guard once, over kills and restarts."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdx_agents.audit import AuditLog, records
from sdx_agents.durable import DurableAgent
from sdx_domains.contract import Proposal
from sdx_domains.ship.examples import teacher_proposal
from sdx_domains.ship.prompting import write_answer
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.deciding import Decided, handed_by
from sdx_serving.client import DeadlineExceeded, Line, Scripted

Make = Callable[..., Any]


@contextmanager
def manned(ship: Any, line: Line | None = None, **parameters: Any) -> Iterator[DurableAgent]:
    """An agent node whose model answers as the planner would, or says `line`; its files are in the crew's folder."""
    node = ship.start_agent(**parameters)

    def answer(messages: Any) -> str:
        picture = node.newest()
        return write_answer(picture, teacher_proposal(picture, ship.domain.options(picture), "en"))

    with (
        AuditLog(ship.folder / "agent.jsonl") as audit,
        DurableAgent(
            ship.domain, Scripted(line or answer), audit, ship.folder, node.newest, handed_by(node.hand_over), deadline_s=10.0
        ) as agent,
    ):
        node.use(agent)
        yield agent


def actions(ship: Any) -> list[dict[str, Any]]:
    return [record.payload["outcome"] for record in records(ship.folder / "agent.jsonl") if record.kind == "action"]


def health(ship: Any, part: str) -> Any:
    name = f"/ship/ship_agent: {part}"
    return [entry for message in ship.heard["/diagnostics"] for entry in message.status if entry.name == name][-1]


def test_a_turn_gives_the_agent_the_con_and_leaves_a_record(crew: Make) -> None:
    ship = crew(rate=5.0)
    with manned(ship):
        ship.run(4.0)
    assert ship.last(topics.MODE).data == "agent"
    judged = ship.judged("proposal")[0]
    first = actions(ship)[0]
    assert first["kind"] == "sent" and first["receipt"] == f"proposal {judged.proposal_id}, accept"
    assert len(ship.heard["proposal"]) == len(actions(ship)), "each decision was published once"
    assert health(ship, "checkpoints").message == "on disk"


def test_an_answer_that_never_came_is_shown_and_counted_as_before(crew: Make) -> None:
    ship = crew(rate=5.0)
    with manned(ship, DeadlineExceeded("no answer in 10 s")):
        ship.run(2.0)
    proposed = events.read_event(events.Proposed, ship.heard["proposal"][0])
    assert proposed.failed == "timeout" and "no answer in 10 s" in proposed.note
    assert ship.judged("proposal")[0].verdict.kind == "timeout" and ship.last(topics.MODE).data == "fallback"
    assert actions(ship)[0]["kind"] == "sent"


def test_a_decision_that_took_too_long_is_shown_but_held_back(crew: Make) -> None:
    ship = crew(rate=10.0)

    def slow(messages: Any) -> str:
        """Answers, while the plant's clock runs on."""
        picture = ship.agent.newest()
        ship.agent._newest = picture.model_copy(update={"t_s": picture.t_s + 200.0})
        return write_answer(picture, teacher_proposal(picture, ship.domain.options(picture), "en"))

    with manned(ship, slow):
        ship.run(1.0)
    assert actions(ship)[0]["kind"] == "expired"
    proposed = events.read_event(events.Proposed, ship.heard["proposal"][0])
    assert proposed.failed == "timeout" and proposed.note.startswith("too late")
    assert ship.judged("proposal")[0].verdict.kind == "timeout" and ship.last(topics.MODE).data == "fallback"


KILLED = """
import os, sys
from pathlib import Path
sys.path.append(sys.argv[2])
from conftest import Crew
from test_ship_agent_turns import manned
ship = Crew(Path(sys.argv[1]), rate=5.0)

with manned(ship) as agent:
    bearer = agent._bearer
    hand_over = bearer._hand_over

    def fatal(decision):
        print(hand_over(decision), flush=True)
        os.kill(os.getpid(), 9)

    bearer._hand_over = fatal
    ship.run(4.0)
"""


def test_a_node_killed_after_it_published_does_not_publish_that_order_again(crew: Make, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -9 and killed.stdout.startswith("proposal "), killed.stderr
    ship = crew(rate=5.0)  # the same plant from the start: the first picture, and so the first order, is the same again
    with manned(ship):
        ship.run(1.0)
        assert [outcome["kind"] for outcome in actions(ship)] == ["sent_before", "sent_before"]  # resumed; decided again
        assert "may not have arrived" in actions(ship)[0]["reason"] and not ship.heard["proposal"]
        ship.run(5.0)
    assert actions(ship)[2]["kind"] == "sent" and ship.last(topics.MODE).data == "agent", "the next decision came early"


def test_broken_checkpoints_show_and_the_agent_goes_on(crew: Make) -> None:
    ship = crew(rate=5.0)
    (ship.folder / "turns.sqlite").write_bytes(b"no database" * 1000)
    with manned(ship):
        ship.run(3.0)
    assert health(ship, "checkpoints").level == 2 and "turns.sqlite" in health(ship, "checkpoints").message
    assert actions(ship)[0]["kind"] == "sent" and ship.last(topics.MODE).data == "agent"


def test_a_transport_that_takes_nothing_is_told_and_nothing_leaves_later(crew: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_ros_nodes.agent_node.HAND_OVER_LIMIT_S", 0.05)
    ship = crew(rate=5.0)
    with manned(ship):
        posted: list[Any] = []
        ship.run(0.4)
        before = len(ship.heard["proposal"])
        monkeypatch.setattr(ship.agent._transport, "call", posted.append)
        picture = ship.agent.newest()
        decided = Decided(ship.domain.options(picture), Proposal(option_id=None))
        with pytest.raises(TimeoutError, match="took no proposal"):
            ship.agent.hand_over(picture, decided)
        posted[0]()
        ship.run(0.1)
    assert len(ship.heard["proposal"]) == before
