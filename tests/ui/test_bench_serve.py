"""sdx bench serve as people type it, and the ship as its task."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_serving.results import Measurement, Results, Spread
from sdx_ui.cli import main
from sdx_ui.serve_bench import DomainTask, task_maker


@pytest.fixture(scope="module")
def ship() -> DomainTask:
    return DomainTask("ship", 6, 0)


def test_the_ship_is_asked_about_manoeuvres_and_its_own_answers_are_right(ship: DomainTask) -> None:
    assert len(ship.questions) == 6
    for number, question in enumerate(ship.questions):
        assert question.json_schema is not None
        assert question.messages[0].role == "system"
        assert question.messages[-1].role == "user"
        assert ship.score(number, ship._rows[number].messages[-1].content) == 1.0
        assert ship.score(number, "no JSON") == 0.0


def test_the_same_seed_asks_the_same_and_more_rows_only_add(ship: DomainTask) -> None:
    again = DomainTask("ship", 3, 0)
    assert again.questions == ship.questions[:3]
    assert DomainTask("ship", 3, 1).questions != again.questions


def test_a_task_that_nobody_knows_is_named() -> None:
    assert task_maker("rows.jsonl") is None
    with pytest.raises(ValueError, match="prompts: no task 'shop'; there are .*ship"):
        task_maker("shop")


def test_a_plan_whose_files_are_missing_is_measured_to_its_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows.write_text("\n".join([json.dumps({"messages": turns})] * 4))
    plan = tmp_path / "own.yaml"
    asked: dict[str, Any] = {"models": [{"name": "m", "files": [{"compression": "Q8_0", "path": "gone.gguf"}]}], "prompts": "rows.jsonl"}
    plan.write_text(yaml.safe_dump({**asked, "ways": [{"way": "http"}], "requests": 1, "rounds": 1}))
    assert main(["bench", "serve", str(plan), "--out", str(tmp_path / "out"), "--json"]) == 0
    told = capsys.readouterr()
    (row,) = json.loads(told.out)
    assert row["failure"] == "missing: gone.gguf is not there"
    assert row["device"].startswith("this:")
    assert "missing: gone.gguf" in told.err
    assert f"sdx bench serve {plan}" in (tmp_path / "out/README.md").read_text()
    assert (tmp_path / "out/report.html").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "give either a plan or --embedded"),
        (["--embedded"], "--out FOLDER is missing"),
        (["PLAN", "--out", "x"], "ways: Field required"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    plan = tmp_path / "own.yaml"
    plan.write_text("models: []\n")
    assert main(["bench", "serve", *(str(plan) if word == "PLAN" else word for word in argv)]) != 0
    assert said in capsys.readouterr().err


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for path, seconds in zip(paths, (0.4, 0.2), strict=True):
        spread = Spread(p50=seconds, p95=seconds, p99=seconds)
        row = {"device": "d", "model": "m", "compression": "Q8_0", "runtime": "llama.cpp 1", "context_tokens": 9, "at": "2026-01-01"}
        Results(Path(path)).add(Measurement.model_validate({**row, "request_s": spread}))
    assert main(["bench", "serve", "--compare", *paths]) == 0
    assert "better" in capsys.readouterr().out
    assert main(["bench", "serve", "--compare", *paths, "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {change["verdict"] for change in changes} == {"better"}
