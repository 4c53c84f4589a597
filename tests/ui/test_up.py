"""`sdx up` as people start it: the ship moves, the page answers, what is killed comes back, nothing is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sdx_serving.ports import free_port
from sdx_ui import cli
from sdx_ui.ship_crew import until_moving
from sdx_ui.supervisor import Crew, Part


class Up:
    """A running `sdx up`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder / "up.log"
        environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 59), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "sdx_ui.cli", "up", "--model", "none", "--port", str(self.port), "--runs", str(folder), *arguments]
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> dict[str, Any]:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5.0, trust_env=False).json()
        except httpx.HTTPError:
            return {}

    def children(self) -> dict[str, psutil.Process]:
        """Running parts by a word of their command line."""
        words = ("plant_node", "guard_node", "agent_node", "page.app")
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            line = " ".join(child.cmdline())
            found |= {word: child for word in words if word in line}
        return found


def eventually(true: Callable[[], Any], within_s: float = 90.0) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.2)
    return False


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path, "--scenario", "imazu-01", "--speed", "5")
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the parts through /proc")
def test_a_run_survives_kills_obeys_stop_and_ends_without_a_trace(up: Up) -> None:
    assert eventually(lambda: "ready in" in up.said()), up.said()
    first = up.get("/api/state")["picture"]["own"]["lat_deg"]
    assert eventually(lambda: up.get("/api/state")["picture"]["own"]["lat_deg"] > first)

    before = up.children()
    assert set(before) == {"plant_node", "guard_node", "agent_node", "page.app"}
    for part in before.values():
        part.send_signal(signal.SIGKILL)
    assert eventually(lambda: up.get("/api/health").get("ok")), up.said()
    after = up.children()
    assert set(after) == set(before)
    assert not {part.pid for part in after.values()} & {part.pid for part in before.values()}

    after["agent_node"].suspend()
    number = httpx.post(f"{up.url}/api/operator", json={"kind": "stop"}, trust_env=False).json()["id"]
    assert eventually(lambda: number in up.get("/api/state").get("acks", ()), 10.0)
    assert eventually(lambda: up.get("/api/state").get("mode") == "stopped", 10.0)

    pids = [part.pid for part in up.children().values()]
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30.0) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "every process has ended" in up.said()


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "sdx_ui.cli", "up", "--model", "none", "--port", port, "--runs", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"error: port: {port} is taken (Address already in use); stop what listens there, or choose another: --port {int(port) + 1}"
    ]


def test_an_unknown_scenario_is_told_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--model", "none", "--port", str(free_port()), "--runs", str(tmp_path), "--scenario", "imazu-01,atlantis"]) == 1
    assert "atlantis" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Wish:
    """Nobody wants it to end."""

    wished = threading.Event()


def test_a_part_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    crew = Crew([Part("guard", [sys.executable, "-c", "raise SystemExit(2)"])], tmp_path, lambda part, line: None)
    crew.start()
    try:
        assert "guard ends again and again" in until_moving(crew, f"http://127.0.0.1:{free_port()}", Wish())
    finally:
        crew.stop()
