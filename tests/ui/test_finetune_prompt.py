"""sdx finetune prompt against a real server: here, as a job, and with wrong input."""

import importlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.jobs.processes import signal_group
from sdx_finetune.jobs.queue import Queue
from sdx_ui import cli

pytest.importorskip("dspy")
SERVER = Path(__file__).parents[1] / "finetune/prompt"


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A model that answers better with demos, and a spec beside its rows."""
    monkeypatch.syspath_prepend(str(SERVER))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDX_JOBS", str(tmp_path / "jobs"))
    server = importlib.import_module("teacher_server")
    with server.serving(server.knows) as teacher:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in server.rows(40)), encoding="utf-8")
        spec = {"name": "berths", "task": server.TASK, "rows": "rows.jsonl", "model": {"model": teacher.url}}
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        yield teacher


def test_it_says_whether_the_prompt_is_better_and_where_it_is(teacher: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["finetune", "prompt", "spec.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("improved by +0.") and "runs/berths/prompt.json" in said.out
    assert "calls of" in said.err
    served = yaml.safe_load((tmp_path / "runs/berths/prompt.yaml").read_text(encoding="utf-8"))
    assert cli.main(["finetune", "prompt", "spec.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["messages"] == served["messages"] and len(served["messages"]) == 1 + 2 * found["n_demos"] > 1


def test_as_a_job(teacher: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["finetune", "prompt", "spec.yaml", "--work", "own", "--detach", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    queue = Queue()
    try:
        ends = time.monotonic() + 120.0
        while queue.job(told["id"]).unfinished and time.monotonic() < ends:
            time.sleep(0.1)
        job = queue.job(told["id"])
        assert (job.kind, job.state, job.code) == ("prompt", "done", 0), queue.log(job.id).read_text(encoding="utf-8")
    finally:
        job = queue.job(told["id"])
        signal_group(job.pid, job.mark, signal.SIGKILL)
    assert json.loads((tmp_path / "own/prompt.json").read_text(encoding="utf-8"))["improved"]


def test_wrong_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.yaml").write_text("name: own\nrows: gone.jsonl\nmetric: bert\n", encoding="utf-8")
    assert cli.main(["finetune", "prompt", str(tmp_path / "spec.yaml")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "metric" in said and "bert" in said
