"""Records outlive the collector's absence and a kill of the gateway."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdx_serving.gateway.journal import Journal, deliver
from sdx_serving.ports import free_port


class Collector:
    """A cloud service that takes records; it can be away, or fail after it has kept a batch."""

    def __init__(self) -> None:
        self.port, self.batches, self.keys = free_port(), [], []
        self.fail_next = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/records"

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for batch in self.batches for record in batch["records"]]

    def start(self) -> None:
        collector = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.batches.append(json.loads(body))
                collector.keys.append(self.headers["idempotency-key"])
                collector.fail_next -= 1
                self.send_response(500 if collector.fail_next >= 0 else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Answer)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()


async def delivering(path: Path, url: str, until: float = 5.0) -> None:
    journal = Journal(path, 10**6)
    async with httpx.AsyncClient() as http:
        task = asyncio.create_task(deliver(journal, url, "secret", http))
        ends = time.monotonic() + until
        while journal.waiting and time.monotonic() < ends:
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    journal.close()


def test_records_arrive_in_order_and_again_after_a_failure_with_the_same_names(tmp_path: Path, collector: Collector) -> None:
    journal = Journal(tmp_path / "j.sqlite", 10**6)
    for index in range(250):
        journal.add({"index": index})
    journal.close()
    collector.start()
    collector.fail_next = 1
    asyncio.run(delivering(tmp_path / "j.sqlite", collector.url))
    assert collector.keys[0] == collector.keys[1]
    once = {record["id"]: record["index"] for record in collector.records}
    assert list(once.values()) == list(range(250))
    assert len(collector.records) == 350  # the first hundred twice


def test_what_waits_while_the_collector_is_away_is_sent_when_it_is_back(tmp_path: Path, collector: Collector) -> None:
    async def run() -> None:
        journal = Journal(tmp_path / "j.sqlite", 10**6)
        async with httpx.AsyncClient() as http:
            task = asyncio.create_task(deliver(journal, collector.url, "", http))
            journal.add({"index": 0})
            while not journal.last_error:
                await asyncio.sleep(0.01)
            assert "does not answer" in journal.last_error and journal.waiting == 1
            collector.start()
            journal.add({"index": 1})
            while journal.waiting:
                await asyncio.sleep(0.01)
            assert journal.last_error == ""
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        journal.close()

    asyncio.run(asyncio.wait_for(run(), 20.0))
    assert [record["index"] for record in collector.records] == [0, 1]


def test_beyond_its_size_the_oldest_are_dropped_counted_and_told(tmp_path: Path, collector: Collector) -> None:
    journal = Journal(tmp_path / "j.sqlite", 5000)
    for index in range(100):
        journal.add({"index": index, "text": "x" * 80})
    assert journal.dropped > 0 and journal.waiting + journal.dropped == 100
    dropped = journal.dropped
    journal.close()
    again = Journal(tmp_path / "j.sqlite", 5000)
    assert again.dropped == dropped
    again.close()
    collector.start()
    asyncio.run(delivering(tmp_path / "j.sqlite", collector.url))
    assert collector.batches[0]["dropped"] == dropped
    assert [record["index"] for record in collector.records] == list(range(dropped, 100))


def test_nothing_that_was_written_is_lost_by_a_kill(tmp_path: Path, collector: Collector) -> None:
    code = (
        "import sys; from pathlib import Path; from sdx_serving.gateway.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), 10**7)\n"
        "index = 0\n"
        "while True:\n"
        "    journal.add({'index': index}); print(index, flush=True); index += 1\n"
    )
    path = tmp_path / "j.sqlite"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if int(line) >= 300:
                break
        os.kill(process.pid, signal.SIGKILL)
        said = [int(line) for line in process.stdout]
    last = max(said, default=300)
    collector.start()
    asyncio.run(delivering(path, collector.url, 20.0))
    arrived = [record["index"] for record in collector.records]
    assert arrived[: last + 1] == list(range(last + 1))
