"""Decisions with what came of them, as training rows."""

from pathlib import Path

import pytest
from vat import Vat, VatPicture

from sdx_agents.audit import AuditLog
from sdx_agents.experience import rows
from sdx_agents.graph import Agent
from sdx_finetune.datasets.gather import gather
from sdx_serving.client import Scripted


def write_log(path: Path, answers: list[str], every_s: float = 400.0) -> Path:
    with AuditLog(path) as audit:
        for index, answer in enumerate(answers):
            Agent(Vat(), Scripted(answer), audit).decide(VatPicture(t_s=every_s * index, holds_m=5.0 + index))
    return path


def test_a_row_is_the_decision_as_it_was_asked_with_what_came_of_it(tmp_path: Path) -> None:
    log = write_log(tmp_path / "agent.jsonl", ['{"option": "B"}'] * 6)
    made, told = rows([log], domain=Vat())
    assert (told.decisions, told.written, told.too_young) == (6, 1, 5)  # 1,800 s later was seen for the first one only
    assert made[0]["messages"][-1] == {"role": "assistant", "content": '{"option": "B"}'}
    assert made[0]["meta"]["outcome"] == {"after_600_s": {"held_m": 6.0}, "after_1800_s": {"held_m": 6.0}}
    assert made[0]["messages"][0]["content"].startswith("holds 5.0")


def test_what_was_not_accepted_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    log = write_log(tmp_path / "agent.jsonl", ['{"option": "C"}', *['{"option": "B"}'] * 6])
    made, told = rows([log], domain=Vat())
    assert told.not_accepted == 1 and [row["meta"]["verdict"] for row in made] == ["accept"]
    made, _ = rows([log], all_of_them=True, domain=Vat())
    assert [row["meta"]["verdict"] for row in made] == ["reject", "accept"]


def test_decisions_of_another_prompt_are_not_trained_on(tmp_path: Path) -> None:
    class Reworded(Vat):
        def messages(self, *given: object) -> list[dict[str, str]]:
            return [{"role": "user", "content": "other words"}]

    log = write_log(tmp_path / "agent.jsonl", ['{"option": "B"}'] * 6)
    assert rows([log], domain=Reworded())[1].other_prompt == 1


def test_a_log_without_decisions_is_told(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "guard.jsonl") as audit:
        audit.append("stop", {"by": "me"})
    with pytest.raises(ValueError, match=r"no decision in .*guard\.jsonl: give the agent's audit file"):
        rows([tmp_path / "guard.jsonl"])


def test_the_pipeline_reads_the_rows(tmp_path: Path) -> None:
    import json

    made, _ = rows([write_log(tmp_path / "agent.jsonl", ['{"option": "B"}'] * 8)], domain=Vat())
    (tmp_path / "learnt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    found = gather([tmp_path / "learnt.jsonl"], None, "utf-8")
    assert len(found.rows) == 3 and not found.faults
    assert found.rows[0]["meta"]["outcome"]["after_600_s"] == {"held_m": 6.0}
