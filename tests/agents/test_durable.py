"""The agent that survives a kill and the loss of its disk: an order is handed over once, and deciding goes on."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from vat import Vat, VatPicture

from sdx_agents.actuation import SentOrders
from sdx_agents.audit import AuditLog, records
from sdx_agents.decision import Decision
from sdx_agents.durable import DurableAgent
from sdx_serving.client import DeadlineExceeded, Line, Scripted

GOOD = '{"option": "B", "reason": "fill it"}'


class Guard:
    """Keeps what it was handed; `picture` is the newest, where it is another than the one decided on."""

    def __init__(self, picture: VatPicture | None = None) -> None:
        self.picture = picture or VatPicture(t_s=0.0)
        self.handed: list[Decision] = []

    def hand_over(self, decision: Decision) -> str:
        self.handed.append(decision)
        return f"receipt {len(self.handed)}"


@contextmanager
def agent(folder: Path, guard: Any, *lines: Line) -> Iterator[DurableAgent]:
    with (
        AuditLog(folder / "agent.jsonl") as audit,
        DurableAgent(Vat(), Scripted(*(lines or (GOOD,))), audit, folder, lambda: guard.picture, guard.hand_over) as made,
    ):
        yield made


def actions(folder: Path) -> list[dict[str, Any]]:
    return [record.payload["outcome"] for record in records(folder / "agent.jsonl") if record.kind == "action"]


def unfinished(folder: Path) -> int:
    with sqlite3.connect(folder / "turns.sqlite") as database:
        (count,) = database.execute("SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM writes)").fetchone()
    database.close()
    return count


def test_a_turn_hands_its_decision_over_and_leaves_a_record(tmp_path: Path) -> None:
    guard = Guard()
    with agent(tmp_path, guard) as made:
        taken = made.take(VatPicture(t_s=0.0))
        assert (taken.outcome.kind, taken.outcome.receipt, made.trouble) == ("sent", "receipt 1", "")
    assert guard.handed == [taken.decision] and taken.decision.order is not None
    assert [record.kind for record in records(tmp_path / "agent.jsonl")] == ["decision", "action"]
    assert actions(tmp_path)[0]["order_id"] == taken.decision.order.id
    assert unfinished(tmp_path) == 0


@pytest.mark.parametrize("line", ["nonsense", '{"option": "C"}', DeadlineExceeded("late")])
def test_a_decision_without_a_usable_answer_is_handed_over_too(tmp_path: Path, line: Line) -> None:
    guard = Guard()
    with agent(tmp_path, guard, line) as made:
        assert made.take(VatPicture(t_s=0.0)).outcome.kind == "sent"
    assert len(guard.handed) == 1 and guard.handed[0].verdict.kind != "accept"


@pytest.mark.parametrize(
    ("newest", "kind"),
    [(VatPicture(t_s=100.0), "expired"), (VatPicture(t_s=5.0, holds_m=3.0), "unsafe_now"), (VatPicture(t_s=5.0), "sent")],
)
def test_the_newest_picture_is_looked_at_before_the_order_leaves(tmp_path: Path, newest: VatPicture, kind: str) -> None:
    guard = Guard(newest)
    with agent(tmp_path, guard) as made:
        assert made.take(VatPicture(t_s=0.0)).outcome.kind == kind
    assert len(guard.handed) == (kind == "sent")


def test_the_same_picture_after_a_restart_hands_nothing_over_again(tmp_path: Path) -> None:
    guard = Guard()
    for kind in ("sent", "sent_before"):
        with agent(tmp_path, guard) as made:
            assert made.take(VatPicture(t_s=0.0)).outcome.kind == kind
    assert len(guard.handed) == 1


def test_a_plant_that_began_anew_gets_its_orders_again(tmp_path: Path) -> None:
    guard = Guard()
    for t_s in (0.0, 50.0, 0.0, 50.0):
        guard.picture = VatPicture(t_s=t_s)
        with agent(tmp_path, guard) as made:
            assert made.take(guard.picture).outcome.kind == "sent"


KILLED = """
import os, sys
from pathlib import Path
sys.path.append(sys.argv[2])
from test_durable import Guard, agent
from vat import VatPicture
folder, when = Path(sys.argv[1]), sys.argv[3]

class Fatal(Guard):
    def hand_over(self, decision):
        if when == "after":
            (folder / "wire").write_text(decision.order.id)
        os.kill(os.getpid(), 9)

class Look(Fatal):
    def __init__(self): pass
    picture = property(lambda self: os.kill(os.getpid(), 9))

with agent(folder, Look() if when == "decided" else Fatal()) as made:
    made.take(VatPicture(t_s=0.0))
"""


@pytest.mark.parametrize(
    ("when", "now_s", "kind"), [("decided", 10.0, "failed"), ("decided", 500.0, "expired"), ("after", 10.0, "sent_before")]
)
def test_a_restart_ends_the_turn_that_a_kill_interrupted(tmp_path: Path, when: str, now_s: float, kind: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent), when]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    assert actions(tmp_path) == [] and unfinished(tmp_path) > 0
    guard = Guard(VatPicture(t_s=now_s))
    with agent(tmp_path, guard) as made:
        assert made.take(guard.picture).outcome.kind == "sent"
    assert [outcome["kind"] for outcome in actions(tmp_path)] == [kind, "sent"]
    assert [decision.picture.t_s for decision in guard.handed] == [now_s], "nothing of the turn before"
    assert unfinished(tmp_path) == 0


def test_files_stay_small(tmp_path: Path) -> None:
    guard = Guard()
    with agent(tmp_path, guard) as made:
        for step in range(40):
            guard.picture = VatPicture(t_s=float(step))
            made.take(guard.picture)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.sqlite*")) < 1_000_000
    assert len(guard.handed) == 40 and unfinished(tmp_path) == 0


def test_sent_orders_are_forgotten_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SentOrders, "KEPT", 3)
    sent = SentOrders(tmp_path / "sent.sqlite")
    assert all(sent.claim(name) for name in "abcde")
    assert [sent.receipt(name) for name in "abcde"] == [None, None, "", "", ""]
    sent.close()


@pytest.mark.parametrize("name", ["turns.sqlite", "sent.sqlite"])
@pytest.mark.parametrize("how", ["no database", "a folder"])
def test_a_broken_file_is_told_and_deciding_goes_on(tmp_path: Path, name: str, how: str) -> None:
    if how == "a folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"not a database at all" * 500)
    guard = Guard()
    with agent(tmp_path, guard) as made:
        assert name in made.trouble and "move the file away" in made.trouble
        assert [made.take(VatPicture(t_s=t)).outcome.kind for t in (0.0, 0.5, 0.5)] == ["sent", "sent", "sent_before"]
    assert len(actions(tmp_path)) == 3


def _full(database: sqlite3.Connection) -> None:
    database.execute("VACUUM")
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")


def _read_only(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA query_only=ON")


@pytest.mark.parametrize(
    ("store", "happens", "told"), [("turns", _full, "full"), ("turns", _read_only, "readonly"), ("sent", _read_only, "readonly")]
)
def test_a_disk_that_fails_on_the_way_is_told_and_deciding_goes_on(tmp_path: Path, store: str, happens: Any, told: str) -> None:
    guard = Guard()
    with agent(tmp_path, guard) as made:
        assert made.take(VatPicture(t_s=0.0)).outcome.kind == "sent"
        happens(made._saver.conn if store == "turns" else made._sent._db)
        assert {made.take(VatPicture(t_s=step / 100)).outcome.kind for step in range(1, 5)} == {"sent"}
        assert store in made.trouble and told in made.trouble
    assert len(guard.handed) == 5 and len(actions(tmp_path)) == 5
