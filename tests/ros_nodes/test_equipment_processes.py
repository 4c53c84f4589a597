"""A domain of somebody else's on the nodes, as processes over DDS: found by its name, steered, killed, stopped."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

from heated_tank import NAME, install

from sdx_ros_nodes import topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.dds import DdsTransport


class Nodes:
    """Starts the nodes of a domain and listens to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = install(folder)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ear = DdsTransport(NodeArguments("ear", f"/{NAME}"))
        self.heard: dict[str, Any] = {}
        for topic in (topics.MODE, topics.ESTOP, topics.PICTURE, topics.ACTUATOR_STATE, topics.ACTUATOR_COMMAND):
            take = lambda message, meta, name=topic.name: self.heard.__setitem__(name, message)
            self.ear.subscribe(topic.name, topic.type_name, topic.qos.reader(), take)
        self.request = self.ear.publisher(topics.ESTOP_REQUEST.name, topics.ESTOP_REQUEST.type_name, topics.ESTOP_REQUEST.qos)

    def start(self, role: str, module: str, **parameters: Any) -> None:
        words = [word for name, value in {"domain": NAME, **parameters}.items() for word in ("-p", f"{name}:={value}")]
        command = [sys.executable, "-m", f"sdx_ros_nodes.{module}", "--transport", "dds", "--ros-args", *words]
        environment = {**os.environ, "PYTHONPATH": str(self.site)}
        with (self.folder / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(command, env=environment, stderr=log)

    def until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        ends = time.monotonic() + limit_s
        while not condition():
            self.ear.spin(0.05)
            logs = "\n".join(path.read_text()[-800:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < ends, f"not in {limit_s} s: {self.heard}\n{logs}"

    def mode(self) -> str:
        return self.heard["mode"].data if "mode" in self.heard else ""

    def heater(self) -> float:
        return self.heard["actuator/state"].position if "actuator/state" in self.heard else -1.0

    def end(self) -> dict[str, int]:
        for process in self.processes.values():
            process.terminate()
        codes = {role: process.wait(20.0) for role, process in self.processes.items()}
        self.ear.shutdown()
        return codes


@pytest.fixture
def nodes(tmp_path: Path, ros_domain: int) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.end()


def test_a_house_is_steered_survives_its_guard_and_stops(nodes: Nodes) -> None:
    guard = {"audit": nodes.folder / "audit", "tick_hz": 10.0}
    nodes.start("plant", "equipment_plant_node", rate=60.0, watchdog_s=3.0)
    nodes.start("guard", "equipment_guard_node", **guard)
    nodes.start("agent", "agent_node")
    nodes.until(lambda: nodes.mode() == "agent" and nodes.heater() > 0.9)
    assert '"note":"filled"' in nodes.heard["picture"].json

    nodes.processes["guard"].kill()
    nodes.processes["guard"].wait()
    nodes.until(lambda: nodes.heater() == 0.0)  # the plant's own watchdog
    nodes.start("guard", "equipment_guard_node", **guard)
    nodes.until(lambda: nodes.mode() == "agent" and nodes.heater() > 0.9)

    nodes.processes["agent"].kill()
    nodes.request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
    nodes.until(lambda: nodes.mode() == "stopped" and nodes.heard["estop"].data and nodes.heater() == 0.0)
    nodes.processes["agent"].wait()
    codes = nodes.end()
    assert codes["plant"] == codes["guard"] == 0


def test_a_wrong_domain_is_told_in_one_line(nodes: Nodes) -> None:
    for arguments, said in (
        (["-p", "domain:=atlantis"], "no domain 'atlantis'; installed:"),
        (["-p", "domain:=ship"], "domain 'ship' steers no devices"),
        ([], "parameter domain: Field required"),
    ):
        command = [sys.executable, "-m", "sdx_ros_nodes.equipment_guard_node", "--transport", "memory", "--ros-args", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=nodes.folder, check=False)
        assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done.stderr
