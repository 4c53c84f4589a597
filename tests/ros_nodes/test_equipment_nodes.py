"""Guard with controller, simulated house and agent of a domain that steers devices, on a memory bus: all of them real."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

from heated_tank import NAME, HeatedTank

from sdx_domains.contract import Proposal
from sdx_ros_nodes import equipment_conversions, events, topics
from sdx_ros_nodes.agent_node import AgentNode, AgentParameters
from sdx_ros_nodes.deciding import Decide, planner
from sdx_ros_nodes.equipment_guard_node import EquipmentGuardParameters
from sdx_ros_nodes.equipment_plant_node import HouseParameters, HousePlantNode
from sdx_ros_nodes.equipment_wire import EquipmentWire
from sdx_ros_nodes.guarding import GuardNode
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.recorder import Recorder
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.shell import Shell, of_domain
from sdx_ros_nodes.stop_memory import StopMemory
from sdx_ros_nodes.topic_equipment import TopicEquipment
from sdx_ros_nodes.transports.memory import MemoryBus


class House:
    """The nodes of a tank, and an operator who listens and acts."""

    def __init__(self, folder: Path, rate: float = 600.0, scenario: str = "cold") -> None:
        self.bus, self.folder, self.domain = MemoryBus(), folder, HeatedTank()
        self.records: list[tuple[str, Any]] = []
        self.heard: dict[str, list[Any]] = {topic.name: [] for topic in topics.ALL}
        operator = self.node("operator")
        for topic in (*topics.EQUIPMENT, *topics.COMMON):
            take = self.heard[topic.name].append
            operator.subscribe(topic.name, topic.type_name, topic.qos.reader(), lambda message, meta, take=take: take(message))
        self.plant = HousePlantNode(
            self.node(f"{NAME}_plant"),
            HouseParameters(domain=NAME, rate=rate, on_end="hold"),
            lambda run: self.domain.house(scenario, run),
            self.domain.controller,
            self.domain.pace.step_s,
        )
        self.guard = self.start_guard()
        self.agent: AgentNode | None = None
        self.operator = operator.publisher(topics.OPERATOR.name, topics.OPERATOR.type_name, topics.OPERATOR.qos)
        self.request = operator.publisher(topics.ESTOP_REQUEST.name, topics.ESTOP_REQUEST.type_name, topics.ESTOP_REQUEST.qos)

    def node(self, name: str) -> Any:
        return self.bus.transport(NodeArguments(name, f"/{NAME}"))

    def start_guard(self) -> GuardNode:
        self.recorder = Recorder(self._append)
        parameters = EquipmentGuardParameters(domain=NAME, tick_hz=10.0)
        memory = StopMemory(self.folder / "stop.json")
        return GuardNode(self.node(f"{NAME}_guard"), parameters, self.domain, self.recorder, memory, self._wire)

    def _wire(self, shell: Shell) -> EquipmentWire:
        return EquipmentWire(shell, TopicEquipment(shell, self.domain.reading_types()), self.domain.controller)

    def _append(self, kind: str, payload: Any) -> int:
        self.records.append((kind, payload))
        return len(self.records) - 1

    def start_agent(self, decide: Decide | None = None) -> None:
        self.agent = AgentNode(self.node(f"{NAME}_agent"), AgentParameters(domain=NAME), self.domain, decide or planner(self.domain))

    def act(self, action: events.Action) -> None:
        self.operator.publish(events.operator_event(action, self.bus.now_s()))

    def run(self, for_s: float) -> None:
        for _ in range(round(for_s / 0.1)):
            self.bus.run(0.1)

    def last(self, topic: topics.Topic) -> Any:
        return self.heard[topic.name][-1]

    @property
    def tank(self) -> Any:
        return self.plant.house

    def end(self) -> None:
        if self.agent is not None:
            self.agent.close()
        self.recorder.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(**options: Any) -> House:
        made.append(House(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


def reaches(house: House, temp_c: float, within_s: float = 30.0) -> bool:
    for _ in range(round(within_s)):
        house.run(1.0)
        time.sleep(0.005)  # the agent decides in a thread of its own, in its own time
        if abs(house.tank.temp_c - temp_c) < 2.0:
            return True
    return False


def test_the_agents_order_is_held_by_the_controller(house: Callable[..., House]) -> None:
    tank = house()
    tank.run(1.0)
    assert tank.last(topics.MODE).data == "fallback"
    tank.start_agent()
    assert reaches(tank, 48.0), tank.tank.temp_c
    assert tank.last(topics.MODE).data == "agent"
    command = equipment_conversions.command_from_message(tank.last(topics.ACTUATOR_COMMAND), tank.tank.t_s)
    assert command.issuer == "controller" and command.order_id
    state = tank.last(topics.ACTUATOR_STATE)
    assert (state.device, state.kind) == ("heater", "valve") and 0.0 <= state.position <= 1.0
    assert '"note":"filled"' in tank.last(topics.PICTURE).json, "the domain's own readings reach its perceiver"
    tank.recorder.close()
    kinds = {kind for kind, _ in tank.records}
    assert {"judged", "order", "standing"} <= kinds


def test_a_proposal_that_breaks_a_limit_is_turned_down(house: Callable[..., House]) -> None:
    tank = house()

    def too_hot(picture: Any, language: str) -> Any:
        from sdx_ros_nodes.deciding import Decided

        return Decided(tank.domain.options(picture), Proposal(option_id="C"))

    tank.start_agent(too_hot)
    tank.run(3.0)
    assert tank.last(topics.MODE).data == "fallback"
    judged = [events.read_event(events.Judged, message) for message in tank.heard["verdict"]]
    assert any(each.about == "proposal" and each.verdict.kind == "reject" for each in judged)


@pytest.mark.parametrize("how", ["operator", "request"])
def test_a_stop_brings_the_devices_into_their_safe_positions_at_once(house: Callable[..., House], how: str) -> None:
    tank = house()
    tank.start_agent()
    tank.run(2.0)
    assert tank.tank.position_pct > 0.0
    if how == "operator":
        tank.act(events.Stop(by="grower"))
    else:
        tank.request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
    tank.bus.run(0.0)
    assert tank.tank.position_pct == 0.0 and tank.tank.told[-1].issuer == "safety"
    tank.run(2.0)
    assert tank.tank.position_pct == 0.0 and tank.last(topics.MODE).data == "stopped" and tank.last(topics.ESTOP).data
    tank.act(events.Manual(by="grower", device="heater", position_pct=80.0))
    tank.run(1.0)
    assert tank.tank.position_pct == 0.0, "no hand reaches past the stop"
    tank.act(events.Reset(by="grower"))
    assert reaches(tank, 48.0) and tank.tank.position_pct != 80.0 and not tank.last(topics.ESTOP).data, "a hand is over after a stop"


def test_a_stop_is_remembered_by_the_next_guard(house: Callable[..., House]) -> None:
    tank = house()
    tank.run(1.0)
    tank.act(events.Stop(by="grower"))
    tank.run(1.0)
    tank.recorder.close()
    tank.bus.leave(tank.guard.shell.transport)
    tank.guard = tank.start_guard()
    tank.run(1.0)
    assert tank.last(topics.MODE).data == "stopped" and tank.tank.position_pct == 0.0


def test_without_a_guard_the_house_goes_into_its_safe_positions(house: Callable[..., House]) -> None:
    tank = house()
    tank.start_agent()
    tank.run(2.0)
    assert tank.tank.position_pct > 0.0
    tank.bus.leave(tank.guard.shell.transport)
    tank.run(11.0)
    assert tank.tank.position_pct == 0.0 and tank.plant.safe
    tank.recorder.close()
    tank.guard = tank.start_guard()
    tank.run(1.0)
    assert not tank.plant.safe


def test_a_person_sets_points_within_bounds_and_a_device_by_hand(house: Callable[..., House]) -> None:
    tank = house()
    tank.run(1.0)
    tank.act(events.Override(by="grower", setpoints={"temp_c": 40.0}, valid_for_s=86_400.0))
    assert reaches(tank, 38.0)
    assert tank.last(topics.MODE).data == "override"
    tank.act(events.Override(by="grower", setpoints={"temp_c": 61.0}))
    tank.act(events.Manual(by="grower", device="chimney", position_pct=1.0))
    tank.act(events.Release(by="grower"))
    tank.act(events.Manual(by="grower", device="heater", position_pct=100.0))
    tank.run(1.0)
    assert tank.tank.position_pct == 100.0 and tank.last(topics.MODE).data == "fallback"
    assert '"right":"MANUAL"' in tank.last(topics.PICTURE).json and tank.tank.told[-1].issuer == "person"
    tank.act(events.Manual(by="grower", device="heater", position_pct=None))
    tank.run(1.0)
    assert tank.tank.position_pct < 100.0 and tank.tank.told[-1].issuer == "controller"
    tank.recorder.close()
    refused = [payload["why"] for kind, payload in tank.records if kind == "refused"]
    assert len(refused) == 2 and "temp_c 0 to 60" in refused[0] and "no device 'chimney'" in refused[1]


def test_alarms_are_told_once_when_they_begin_and_once_when_they_end(house: Callable[..., House]) -> None:
    tank = house()
    tank.run(1.0)
    tank.tank.temp_c = 61.0
    tank.run(0.5)
    tank.tank.temp_c = 30.0
    tank.run(0.5)
    assert [(alarm.kind, alarm.active) for alarm in tank.heard["alarm"]] == [("hot", True), ("hot", False)]


def test_hostile_messages_are_left_out_and_told(house: Callable[..., House]) -> None:
    tank = house()
    tank.run(1.0)
    stranger = tank.node("stranger")
    measurement = stranger.publisher(topics.MEASUREMENT.name, topics.MEASUREMENT.type_name, topics.MEASUREMENT.qos)
    command = stranger.publisher(topics.ACTUATOR_COMMAND.name, topics.ACTUATOR_COMMAND.type_name, topics.ACTUATOR_COMMAND.qos)
    measurement.publish(new(topics.MEASUREMENT.type_name, sensor="water", quantity="water_temp_c", unit="K", value=300.0, quality="good"))
    before = len(tank.tank.told)
    command.publish(new(topics.ACTUATOR_COMMAND.type_name, id="1", device="heater", op="set_position", position=9.0, valid_for=1e9))
    tank.bus.run(0.0)
    assert len(tank.tank.told) == before
    tank.run(1.5)
    status = [each for array in tank.heard["/diagnostics"] for each in array.status]
    assert any("water_temp_c in 'K'" in each.message for each in status)
    assert any("position out of range" in each.message for each in status)


def test_names_follow_the_domain() -> None:
    words = ["--ros-args", "-p", "domain:=orchard"]
    assert of_domain(words, "guard", EquipmentGuardParameters)[0].full_name == "/orchard/orchard_guard"
    assert of_domain([*words, "-r", "__ns:=/farm/house1"], "agent", AgentParameters)[0].full_name == "/farm/house1/orchard_agent"
