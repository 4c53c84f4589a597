"""The nodes as processes over DDS: they find each other, survive kill -9 and a hang, and end cleanly on SIGTERM."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdx_agents.audit import verify
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.ship_agent_node import main as agent_main
from sdx_ros_nodes.ship_guard_node import main as guard_main
from sdx_ros_nodes.ship_plant_node import main as plant_main
from sdx_ros_nodes.ship_sensors_node import main as sensors_main
from sdx_ros_nodes.transports.dds import DdsTransport


class Fleet:
    """Starts node processes and listens to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ear = DdsTransport(NodeArguments("ear", topics.NAMESPACE))
        self.mode = ""
        self.stopped = False
        self.commands: list[tuple[float, Any]] = []
        self.positions: list[float] = []
        self.operator = self.ear.publisher(topics.OPERATOR.name, topics.OPERATOR.type_name, topics.OPERATOR.qos)
        self.request = self.ear.publisher(topics.ESTOP_REQUEST.name, topics.ESTOP_REQUEST.type_name, topics.ESTOP_REQUEST.qos)
        self._hear(topics.MODE, lambda message: setattr(self, "mode", message.data))
        self._hear(topics.ESTOP, lambda message: setattr(self, "stopped", message.data))
        self._hear(topics.COMMAND_COURSE, lambda message: self.commands.append((time.monotonic(), message)))
        self._hear(topics.FIX, lambda message: self.positions.append(message.latitude))

    def _hear(self, topic: topics.Topic, take: Callable[[Any], Any]) -> None:
        self.ear.subscribe(topic.name, topic.type_name, topic.qos.reader(), lambda message, meta: take(message))

    def start(self, name: str, *parameters: str) -> None:
        words = [word for parameter in parameters for word in ("-p", parameter)]
        command = [sys.executable, "-m", f"sdx_ros_nodes.ship_{name}_node", "--transport", "dds", "--ros-args", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, env=environment, stderr=log)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def until(self, condition: Callable[[], bool], limit_s: float = 20.0) -> float:
        began = time.monotonic()
        while not condition():
            self.ear.spin(0.02)
            assert time.monotonic() - began < limit_s, f"not in {limit_s} s: {self.logs()}"
        return time.monotonic() - began

    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-800:]}" for path in sorted(self.folder.glob("*.log")))

    def worst_gap_s(self, since_s: float) -> float:
        times = [at_s for at_s, _ in self.commands if at_s >= since_s]
        return max((late - early for early, late in itertools.pairwise(times)), default=float("inf"))

    def end(self) -> dict[str, int]:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        codes = {name: process.wait(10.0) for name, process in self.processes.items()}
        self.ear.shutdown()
        return codes


@pytest.fixture
def fleet(ros_domain: int, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.end()


def test_agent_killed_and_hung_stop_and_restart(fleet: Fleet, tmp_path: Path) -> None:
    audit = f"audit:={tmp_path / 'audit'}"
    fleet.start("plant", "scenario:=imazu-05", "rate:=5.0")
    fleet.start("guard", audit, "watchdog_s:=1.5")
    fleet.start("agent", audit)
    fleet.until(lambda: fleet.mode == "agent")
    since_s = time.monotonic()

    fleet.kill("agent")
    took_s = fleet.until(lambda: fleet.mode == "fallback")
    assert took_s < 3.5, "watchdog 1.5 s"
    fleet.start("agent", audit)
    fleet.until(lambda: fleet.mode == "agent")

    os.kill(fleet.processes["agent"].pid, signal.SIGSTOP)
    fleet.until(lambda: fleet.mode == "fallback")

    fleet.request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
    fleet.until(lambda: fleet.mode == "stopped" and fleet.stopped)
    assert fleet.worst_gap_s(since_s) < 0.5, "through all of it the commands went on; 0.1 s apart on an idle machine"

    fleet.kill("guard")
    fleet.start("guard", audit, "watchdog_s:=1.5")
    fleet.mode = ""
    fleet.until(lambda: fleet.mode == "stopped")
    fleet.operator.publish(events.operator_event(events.Reset(by="test"), fleet.ear.now_s()))
    fleet.until(lambda: fleet.mode == "fallback" and not fleet.stopped)
    assert len(set(fleet.positions)) > 10, "the ship moves"

    assert {name: code for name, code in fleet.end().items() if code != 0} == {}
    report = verify(tmp_path / "audit" / "guard.jsonl")
    assert report.ok and report.records > 5, report


@pytest.mark.parametrize(
    ("main", "argv", "message"),
    [
        (plant_main, ["--ros-args", "-p", "scenario:=atlantis"], "atlantis"),
        (plant_main, ["--ros-args", "-p", "rate:=-1"], "parameter rate"),
        (plant_main, ["--ros-args", "-p", "colour:=red"], "parameter colour: Extra inputs are not permitted; known: scenario"),
        (guard_main, ["--ros-args", "-p", "approval:=maybe"], "parameter approval"),
        (guard_main, ["--ros-args", "-p", "autopilot:=nowhere"], "not host:port"),
        (agent_main, ["--ros-args", "-r", "nonsense"], "not of the form"),
        (sensors_main, ["--ros-args", "--params-file", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
    ],
)
def test_wrong_arguments_end_with_one_line_and_code_2(
    main: Callable[[list[str]], int],
    argv: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--transport", "memory", *argv]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_help_lists_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        guard_main(["--help"])
    shown = capsys.readouterr().out
    assert "watchdog_s = 3.0" in shown and "--transport" in shown
