"""Shared by the tests of the nodes."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from sdx_domains.contract import load_domain
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.agent_node import AgentNode
from sdx_ros_nodes.deciding import Decide, planner
from sdx_ros_nodes.guarding import GuardNode
from sdx_ros_nodes.recorder import Recorder
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.shell import Shell
from sdx_ros_nodes.ship_agent_node import ShipAgentParameters
from sdx_ros_nodes.ship_guard_node import ShipGuardParameters, ShipWire
from sdx_ros_nodes.ship_plant_node import PlantParameters, ShipPlantNode
from sdx_ros_nodes.stop_memory import StopMemory
from sdx_ros_nodes.transports.memory import MemoryBus

# The first message of a type generates its (de)serialiser: slow once, then fast.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain of this test's own (2 to 101), so that tests that run at the same time do not hear each other."""
    number = 2 + (os.getpid() * 7 + next(_COUNTER)) % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    yield number


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


_COUNTER = _count()


class Crew:
    """Plant, guard and agent on a memory bus, and an operator who listens and acts. Everything of the ship is real."""

    def __init__(self, folder: Path, scenario: str = "imazu-01", rate: float = 5.0, **guard: Any) -> None:
        self.bus = MemoryBus()
        self.folder = folder
        self.domain = load_domain("ship")
        self.records: list[tuple[str, Any]] = []
        self.heard: dict[str, list[Any]] = {}
        self.plant = ShipPlantNode(
            self.node("ship_plant"), PlantParameters(rate=rate, on_end="hold"), lambda run: self.domain.plant(scenario, run)
        )
        self.guard_parameters = ShipGuardParameters(**guard)
        self.guard = self.start_guard()
        self.agent: AgentNode | None = None
        operator = self.node("operator")
        self._operator = operator.publisher(topics.OPERATOR.name, topics.OPERATOR.type_name, topics.OPERATOR.qos)
        self.request = operator.publisher(topics.ESTOP_REQUEST.name, topics.ESTOP_REQUEST.type_name, topics.ESTOP_REQUEST.qos)
        self.proposal = operator.publisher(topics.PROPOSAL.name, topics.PROPOSAL.type_name, topics.PROPOSAL.qos)
        for topic in topics.ALL:
            self.heard[topic.name] = []
            take = self.heard[topic.name].append
            operator.subscribe(topic.name, topic.type_name, topic.qos.reader(), lambda message, meta, take=take: take(message))

    def node(self, name: str) -> Any:
        return self.bus.transport(NodeArguments(name, topics.NAMESPACE))

    def start_guard(self) -> GuardNode:
        """A guard; a second one takes the place of the first, as after a restart."""
        recorder = Recorder(self._append)
        self.recorder = recorder
        memory = StopMemory(self.folder / "stop.json")
        return GuardNode(self.node("ship_guard"), self.guard_parameters, self.domain, recorder, memory, self.wire)

    def wire(self, shell: Shell) -> ShipWire:
        return ShipWire(shell, self.guard_parameters.autopilot)

    def _append(self, kind: str, payload: Any) -> int:
        self.records.append((kind, payload))
        return len(self.records) - 1

    def start_agent(self, decide: Decide | None = None, **parameters: Any) -> AgentNode:
        decide = decide or planner(self.domain)
        self.agent = AgentNode(self.node("ship_agent"), ShipAgentParameters(**parameters), self.domain, decide)
        return self.agent

    def kill(self, node: Any) -> None:
        """As kill -9: it is gone from the bus at once."""
        self.bus.leave(node.shell.transport)
        if node is self.agent:
            node.close()
            self.agent = None

    def act(self, action: events.Action) -> None:
        self._operator.publish(events.operator_event(action, self.bus.now_s()))

    def run(self, for_s: float) -> None:
        """Let time pass; a decision under way is waited for, as it takes no time on this clock."""
        for _ in range(round(for_s / 0.1)):
            self.bus.run(0.1)
            self._await_decision()

    def _await_decision(self) -> None:
        ends = time.monotonic() + 5.0
        while self.agent is not None and self.agent.shell.busy_since_s is not None and time.monotonic() < ends:
            time.sleep(0.001)
            self.bus.run(0.0)

    def last(self, topic: topics.Topic) -> Any:
        return self.heard[topic.name][-1]

    def judged(self, about: str) -> list[events.Judged]:
        read = [events.read_event(events.Judged, message) for message in self.heard["verdict"]]
        return [judged for judged in read if judged.about == about]

    def commands(self) -> list[Any]:
        return self.heard["cmd/course"]

    def end(self) -> None:
        if self.agent is not None:
            self.agent.close()
        self.recorder.close()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    """Makes crews and sends them home."""
    made: list[Crew] = []

    def make(**options: Any) -> Crew:
        made.append(Crew(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()
