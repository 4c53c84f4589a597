"""The asking process against a real server that sends what it is told, when it is told."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdx_serving.bench.load import Job, Loaded
from sdx_serving.bench.task import Question, Turn


@dataclass
class Sender:
    """An OpenAI server that waits `first_s`, then `gap_s` between pieces; `asked` keeps the bodies."""

    address: str = ""
    first_s: float = 0.05
    gap_s: float = 0.03
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def sender() -> Iterator[Sender]:
    told = Sender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with told.lock:
                told.asked.append(body)
                told.under_way += 1
                told.most = max(told.most, told.under_way)
            try:
                self.answer(body)
            finally:
                with told.lock:
                    told.under_way -= 1

        def answer(self, body: dict[str, Any]) -> None:
            self.send_response(told.status)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            if told.status != 200:
                self.chunk('{"error": {"message": "no such model"}}')
                self.chunk("")
                return
            time.sleep(told.first_s)
            for number in range(4):
                time.sleep(told.gap_s if number else 0.0)
                self.chunk("data: " + json.dumps({"choices": [{"delta": {"content": "word "}}]}) + "\n\n")
            last = body["messages"][-1]["content"]
            self.chunk("data: " + json.dumps({"choices": [{"delta": {"content": last}}]}) + "\n\n")
            self.chunk('data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}\n\ndata: [DONE]\n\n')
            self.chunk("")

        def chunk(self, text: str) -> None:
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.address = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join(5)


def question(text: str, schema: dict[str, Any] | None = None) -> Question:
    return Question(messages=(Turn(role="user", content=text),), json_schema=schema)


def ask(folder: Path, **told: Any) -> Loaded:
    job = Job(name="toy", parent=os.getpid(), **told)
    source, target = folder / "job.json", folder / "out.json"
    source.write_text(job.model_dump_json())
    subprocess.run([sys.executable, "-m", "sdx_serving.bench.load", str(source), str(target)], check=True, timeout=60)
    return Loaded.model_validate_json(target.read_text())


def test_times_are_those_at_which_pieces_came(tmp_path: Path, sender: Sender) -> None:
    loaded = ask(tmp_path, address=sender.address, questions=(question("one"), question("two")))
    for asked in loaded.answers:
        assert asked.error == ""
        assert asked.ttft_s >= sender.first_s
        assert 2.5 * sender.gap_s <= sum(asked.gaps_s) < asked.request_s
        assert asked.request_s >= asked.ttft_s + sum(asked.gaps_s) - 1e-6
        assert (asked.prompt_tokens, asked.output_tokens) == (9, 5)
    assert loaded.ended_s - loaded.began_s >= sum(asked.request_s for asked in loaded.answers) - 1e-3


def test_answers_stand_in_the_order_of_their_questions_and_so_many_are_under_way(tmp_path: Path, sender: Sender) -> None:
    loaded = ask(tmp_path, address=sender.address, questions=tuple(question(f"q{number}") for number in range(9)), concurrency=3)
    assert [asked.text.split()[-1] for asked in loaded.answers] == [f"q{number}" for number in range(9)]
    assert sender.most == 3


def test_cold_questions_and_warming_up_are_not_among_the_answers(tmp_path: Path, sender: Sender) -> None:
    asked = {"questions": (question("real"),), "cold": (question("cold"),), "warm_up": (question("warm"), question("warm"))}
    loaded = ask(tmp_path, address=sender.address, concurrency=2, max_tokens=77, **asked)
    assert [len(loaded.cold), len(loaded.answers)] == [1, 1]
    sent = [(body["messages"][0]["content"], body["max_tokens"]) for body in sender.asked]
    assert sent == [("warm", 4), ("cold", 4), ("warm", 4), ("warm", 4), ("real", 77)]


def test_a_schema_is_sent_as_the_protocol_wants_it(tmp_path: Path, sender: Sender) -> None:
    ask(tmp_path, address=sender.address, questions=(question("a", {"type": "object"}),))
    body = sender.asked[0]
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("status", "first_s", "deadline_s", "said"),
    [(404, 0.0, 5.0, 'HTTP 404: {"error": {"message": "no such model"}}'), (200, 2.0, 0.3, "timeout: no whole answer within 0.3 s")],
)
def test_what_goes_wrong_is_told(tmp_path: Path, sender: Sender, status: int, first_s: float, deadline_s: float, said: str) -> None:
    sender.status, sender.first_s = status, first_s
    loaded = ask(tmp_path, address=sender.address, questions=(question("a"),), deadline_s=deadline_s)
    assert loaded.answers[0].error == said


def test_nobody_there_is_told(tmp_path: Path) -> None:
    loaded = ask(tmp_path, address="http://127.0.0.1:9/v1", questions=(question("a"),))
    assert "the connection broke (ConnectError" in loaded.answers[0].error


def test_the_asking_process_ends_with_the_one_that_started_it(tmp_path: Path, sender: Sender) -> None:
    sender.first_s = 30.0
    source = tmp_path / "job.json"
    starter = (
        "import os, subprocess, sys, time\n"
        "from sdx_serving.bench.load import Job\n"
        "from sdx_serving.bench.task import Question, Turn\n"
        "job = Job(address=sys.argv[1], questions=(Question(messages=(Turn(role='user', content='a'),)),), parent=os.getpid())\n"
        "open(sys.argv[2], 'w').write(job.model_dump_json())\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sdx_serving.bench.load', sys.argv[2], sys.argv[2] + '.out'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", starter, sender.address, str(source)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert within(20.0, lambda: bool(sender.asked))
        process.kill()
    assert within(10.0, lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def within(seconds: float, true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.05)
    return False
