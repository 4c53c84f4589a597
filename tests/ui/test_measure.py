import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdx_ui.measure import augmentation_speed, checker_speed

LATENCY_S, SLOTS = 0.3, 4


class Server:
    """An OpenAI-compatible server that takes a fixed time for an answer and serves so many at once."""

    def __init__(self) -> None:
        self.slots, self.lock = threading.Semaphore(SLOTS), threading.Lock()
        self.asked = self.now = self.most = 0
        outer, number = self, itertools.count()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.enter()
                with outer.slots:
                    time.sleep(LATENCY_S)
                outer.leave()
                # Words that no other answer has: all rows pass the filter for near-duplicates.
                rows = [{part: " ".join(f"{part}{next(number)}" for _ in range(20)) for part in ("user", "assistant")} for _ in range(2)]
                choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps({"rows": rows})}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                body = json.dumps({"id": "1", "object": "chat.completion", "model": "slow", "choices": [choice], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True

    def enter(self) -> None:
        with self.lock:
            self.asked, self.now = self.asked + 1, self.now + 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self.lock:
            self.now -= 1


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def test_augmentation_keeps_its_server_busy(server: Server, tmp_path: Path) -> None:
    own = [{"messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": f"It is {n}."}]} for n in range(4)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    address = f"http://127.0.0.1:{server.http.server_address[1]}/v1"
    spec = {
        "name": "own",
        "task": "Say what a number is.",
        "rows": 1,
        "examples": "own.jsonl",
        "teacher": {"model": address, "concurrency": SLOTS},
    }
    (tmp_path / "own.yaml").write_text(json.dumps(spec))
    found = augmentation_speed(tmp_path / "own.yaml", None, 24, lambda line: None)
    assert server.asked >= 72 and server.most == SLOTS
    bare, made = found["server_answers_per_s"], found["augment_answers_per_s"]
    assert all(1.0 < rate <= SLOTS / LATENCY_S for rate in (*bare, made))
    assert found["ratio"] == pytest.approx(made / (sum(bare) / 2), abs=2e-3)
    assert found["ratio"] > 0.7  # 0.94 on a busy machine


def test_a_planner_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text('{"name": "own", "rows": 1, "situations": "sdx_domains.ship.examples:situations"}')
    with pytest.raises(ValueError, match="the planner is no server; give one with --model"):
        augmentation_speed(tmp_path / "own.yaml", None, 4, lambda line: None)


def test_the_checker_is_measured_part_by_part() -> None:
    found = checker_speed(200, 0)
    parts = [found[name] for name in ("read_rows_per_s", "near_duplicates_rows_per_s")]
    assert found["rows"] == 200 and 0 < found["check_rows_per_s"] < min(parts)
