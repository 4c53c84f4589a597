"""A small plan really run: real engines, real asking and watching processes, a real kill."""

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sdx_serving.bench.impair import NoNetwork, impaired_network
from sdx_serving.bench.plan import Impairment, ModelFile, ModelSpec, Plan, WaySpec
from sdx_serving.bench.run import Outcome, run
from sdx_serving.results import Results

if importlib.util.find_spec("llama_cpp") is None:
    pytest.skip("llama-cpp-python is not installed", allow_module_level=True)

IN_PROCESS, HTTP, HTTP_2 = WaySpec(way="in-process"), WaySpec(way="http"), WaySpec(way="http", concurrency=2)
RUN = """
import sys
from pathlib import Path
from sdx_serving.bench.plan import Plan
from sdx_serving.bench.run import run
outcome = run(Plan.load(Path(sys.argv[1])), None, Path(sys.argv[2]), "this:test", lambda line: print(line, flush=True))
print(f"left {len(outcome.missing)}", flush=True)
for one in outcome.measured:
    print(one.row.model_dump_json())
"""
DYING_SERVER = """#!{python}
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

if "--version" in sys.argv:
    print("version: 7 (dead)")
    raise SystemExit(0)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        os._exit(3)


HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """More than enough chats of a kind that the toy model answers with nonsense."""
    path = tmp_path / "rows.jsonl"
    system = {"role": "system", "content": "All questions begin with these same words, which an engine may keep. " * 4}
    with path.open("w") as file:
        for number in range(40):
            turns = [system, {"role": "user", "content": f"What is {number}?"}, {"role": "assistant", "content": str(number)}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


@pytest.fixture
def tiny_plan(tiny_model: Path, rows: Path) -> Callable[..., Plan]:
    """Of the toy model, one round of three requests of twelve tokens."""

    def make(*ways: WaySpec, files: tuple[ModelFile, ...] = (), **told: object) -> Plan:
        given = {"requests": 3, "cold_requests": 2, "rounds": 1, "output_tokens": 12, "threads": 1, "minutes": 5.0, **told}
        model = ModelSpec(name="tiny", files=files or (ModelFile(compression="F32", path=tiny_model),))
        return Plan.model_validate({"models": (model,), "ways": ways, "prompts": str(rows), **given})

    return make


def failure(outcome: Outcome) -> str:
    (one,) = outcome.measured
    return one.row.failure


def test_four_cells_are_measured(tiny_plan: Callable[..., Plan], tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(tiny_model.read_bytes() + b"\0" * 32)
    files = (ModelFile(compression="F32", path=tiny_model), ModelFile(compression="other", path=other))
    plan = tiny_plan(IN_PROCESS, HTTP_2, files=files, rounds=2)
    told: list[str] = []
    outcome = run(plan, None, tmp_path / "out", "this:test", told.append)
    assert outcome.whole
    assert len(told) == 4 * 2, "in two rounds"
    assert [(one.row.compression, one.row.way, one.row.concurrency) for one in outcome.measured] == [
        ("F32", "in-process", 1), ("F32", "http", 2), ("other", "in-process", 1), ("other", "http", 2),
    ]  # fmt: skip
    for one in outcome.measured:
        row = one.row
        assert row.failure == ""
        assert row.runtime.startswith("llama.cpp 0.")
        assert (row.requests, row.output_tokens, row.accuracy, row.task) == (6, 12, 0.0, "rows")
        assert row.prompt_tokens > 200
        assert row.ttft_warm_s and row.ttft_cold_s and row.request_s and row.inter_token_s
        assert row.ttft_warm_s.p50 < row.ttft_cold_s.p50, "the beginning that all share is kept"
        assert row.ttft_warm_s.p50 < row.request_s.p50 <= row.request_s.p99
        assert row.peak_rss_bytes and 30e6 < row.peak_rss_bytes < 1e9
        assert row.weights_bytes > 1e6
        assert row.tokens_per_s and row.decode_tokens_per_s
        assert one.noise is not None
    sums = {row.model_sha256 for row in Results()}
    assert len(sums) == 2
    assert len(list(Results())) == 4
    run(plan, None, tmp_path / "out", "this:test", told.append)
    assert len(told) == 8, "what is done is not done again"
    assert len(list(Results())) == 4, "nor recorded twice"


def test_what_cannot_be_measured_is_a_row_with_its_reason(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model at all")
    files = (ModelFile(compression="gone", path=tmp_path / "gone.gguf"), ModelFile(compression="text", path=tmp_path / "text.gguf"))
    outcome = run(tiny_plan(HTTP, files=files, runtimes=("llama.cpp", "onnx")), None, tmp_path / "out", "this:test")
    told = {(one.row.compression, one.cell.runtime): one.row.failure for one in outcome.measured}
    assert told["gone", "llama.cpp"] == "missing: gone.gguf is not there"
    assert told["text", "llama.cpp"].startswith("unsupported: ")
    assert "text.gguf" in told["text", "llama.cpp"]
    assert told["text", "onnx"].startswith("unsupported: ")
    assert all(one.row.request_s is None and one.row.accuracy is None for one in outcome.measured)
    assert outcome.whole, "a failure is a result"


def test_too_little_memory_is_a_row(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    for way in (HTTP, IN_PROCESS):
        outcome = run(tiny_plan(way, memory_limit_mb=20), None, tmp_path / "out", "this:test")
        assert failure(outcome).startswith("out of memory: "), way
        assert failure(outcome).endswith("MiB resident, the limit is passed")


def test_too_little_time_is_a_row(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    outcome = run(tiny_plan(HTTP, deadline_s=0.001), None, tmp_path / "out", "this:test")
    assert failure(outcome) == "timeout: 5 of 5 requests failed: no whole answer within 0.001 s"


def test_a_prompt_that_does_not_fit_is_a_row(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    outcome = run(tiny_plan(HTTP, context_tokens=64), None, tmp_path / "out", "this:test")
    assert failure(outcome).startswith("requests: 5 of 5 requests failed: HTTP 400")


def test_a_server_that_dies_is_a_row(tiny_plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "bin" / "llama-server"
    binary.parent.mkdir()
    binary.write_text(DYING_SERVER.replace("{python}", sys.executable))
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")
    outcome = run(tiny_plan(HTTP), None, tmp_path / "out", "this:test")
    assert failure(outcome).startswith("died: ")


def test_time_that_is_up_leaves_cells_for_the_next_run(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    plan = tiny_plan(IN_PROCESS, HTTP, HTTP_2, minutes=0.0001)
    told: list[str] = []
    first = run(plan, None, tmp_path / "out", "this:test", told.append)
    assert not first.whole
    assert len(first.missing) + len(first.measured) == 3
    assert "the same command goes on from here" in told[-1]
    assert run(plan.model_copy(update={"minutes": 5.0}), None, tmp_path / "out", "this:test").whole


def test_failed_cells_are_measured_once_more_when_asked(tiny_plan: Callable[..., Plan], tmp_path: Path, tiny_model: Path) -> None:
    late = tmp_path / "late.gguf"
    plan = tiny_plan(IN_PROCESS, files=(ModelFile(compression="F32", path=late),))
    assert failure(run(plan, None, tmp_path / "out", "this:test")).startswith("missing")
    late.write_bytes(tiny_model.read_bytes())
    assert failure(run(plan, None, tmp_path / "out", "this:test", again=True)) == ""


def test_a_kill_loses_one_cell(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    asked, out = tmp_path / "plan.json", tmp_path / "out"
    plan = tiny_plan(IN_PROCESS, HTTP, requests=8, output_tokens=80)
    asked.write_text(plan.model_dump_json())
    command = [sys.executable, "-c", RUN, str(asked), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ends_s = time.monotonic() + 30.0
        while not list(out.rglob("*.load.job.json")) and time.monotonic() < ends_s:
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children, "the second cell is under way"
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=15.0)
    assert not [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE], "no orphan"
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.trial.json")}
    assert len(kept) == 1
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "left 0" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "2/2 " in line or "1/2 " in line]) == 1
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())


def test_a_delay_of_the_network_arrives_in_the_first_token(tiny_plan: Callable[..., Plan], tmp_path: Path) -> None:
    try:
        with impaired_network(Impairment(round_trip_ms=1.0)):
            pass
    except NoNetwork as error:
        pytest.skip(str(error))
    far = WaySpec(way="http-impaired", impairment=Impairment(round_trip_ms=40.0))
    asked = tmp_path / "plan.json"
    asked.write_text(tiny_plan(HTTP, far, requests=6).model_dump_json())
    command = [sys.executable, "-c", RUN, str(asked), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    near, slow = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert slow["failure"] == near["failure"] == ""
    assert slow["impairment"] == "round trip +40 ms"
    assert slow["ttft_warm_s"]["p50"] >= 0.040, "no answer can be sooner"
    assert slow["ttft_warm_s"]["p50"] - near["ttft_warm_s"]["p50"] > 0.020, "and it is the network, not the engine"
    assert slow["inter_token_s"]["p50"] < 0.03, "tokens follow each other on the wire, they do not wait for each other"
