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

sys.path.append(str(Path(__file__).parents[1] / "ros_nodes"))

from heated_tank import NAME, install

from sdx_serving.ports import free_port
from sdx_ui import cli
from sdx_ui.crew import UpOptions, parts, sailings, until_moving
from sdx_ui.supervisor import Crew, Part


class Up:
    """A running `sdx up`."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder / "up.log"
        environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 59), "OMP_NUM_THREADS": "1", **(environment or {})}
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


@pytest.fixture
def tank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A domain of somebody else's, installed for this test and the processes that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(install(folder)))
    return folder


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


def test_domains_get_a_page_each_and_what_was_told_for_them(tank: Path) -> None:
    both = sailings(["ship", NAME], ["imazu-16", f"{NAME}=warm"], [f"{NAME}=600"], 7000)
    assert [(each.domain, each.scenario, each.speed, each.port) for each in both] == [
        ("ship", "imazu-16", 1.0, 7000),
        (NAME, "warm", 600.0, 7001),
    ]
    options = UpOptions(both, "none", "ask", None, 3, tank)
    ship, house = (parts(each, options, tank, "http://127.0.0.1:1/v1") for each in both)
    assert [part.name for part in house] == [f"{NAME}-plant", f"{NAME}-guard", f"{NAME}-agent", f"{NAME}-page"]
    assert not {part.name for part in ship} & {part.name for part in house}
    guard = " ".join(house[1].command)
    assert f"equipment_guard_node --ros-args -r /clock:=/{NAME}/clock -p domain:={NAME}" in guard, "two plants, two times"
    assert f"audit/{NAME}" in guard and "approval:=ask" in guard
    assert all("engine:=http://127.0.0.1:1/v1" in part[2].command for part in (ship, house))
    alone = sailings([NAME], [], [], 7000)[0]
    assert (alone.scenario, alone.speed, alone.part("guard")) == ("cold", 60.0, "guard")


@pytest.mark.parametrize(
    ("domains", "scenarios", "speeds", "said"),
    [
        (["atlantis"], [], [], "no domain 'atlantis'; installed:"),
        (["ship", NAME], [f"{NAME}=icy"], [], "no scenario 'icy'; known: cold"),
        (["ship"], ["farm=x"], [], "--scenario farm=...: this run has ship"),
        (["ship"], [], ["21"], "--speed 21 of ship: 0.1 to 20"),
        ([NAME], [], ["fast"], "could not convert"),
    ],
)
def test_wrong_domains_scenarios_and_speeds_are_told(
    tank: Path, domains: list[str], scenarios: list[str], speeds: list[str], said: str
) -> None:
    with pytest.raises((KeyError, ValueError), match=said):
        sailings(domains, scenarios, speeds, 7000)


@pytest.mark.slow
def test_ship_and_another_domain_run_side_by_side(tank: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(tank)}
    up = Up(tmp_path, "--domain", f"ship,{NAME}", "--speed", f"{NAME}=600", environment=environment)
    try:
        assert eventually(lambda: f"the {NAME} moves" in up.said(), 180.0), up.said()
        tank_url = f"http://127.0.0.1:{up.port + 1}"
        state = httpx.get(f"{tank_url}/api/state", timeout=5.0, trust_env=False).json()
        assert state["picture"]["domain"] == NAME and up.get("/api/state")["picture"]["domain"] == "ship"
        done = httpx.post(f"{tank_url}/api/operator", json={"kind": "takeover", "setpoints": {"temp_c": 99.0}}, trust_env=False)
        assert done.status_code == 422 and "temp_c 0 to 60" in done.json()["detail"]
        number = httpx.post(f"{tank_url}/api/operator", json={"kind": "stop"}, trust_env=False).json()["id"]
        acks = lambda: httpx.get(f"{tank_url}/api/state", timeout=5.0, trust_env=False).json()["acks"]
        assert eventually(lambda: number in acks(), 20.0)
        assert up.get("/api/state")["mode"] != "stopped", "a stop is for its own domain"
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(60.0) == 0
    finally:
        up.process.kill()
        up.process.wait()


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
