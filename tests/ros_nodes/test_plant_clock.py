"""The plant's time as a node sees it."""

from typing import Any

import pytest

from sdx_ros_nodes import topics
from sdx_ros_nodes.conversions import stamp
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.plant_clock import GRACE_S, PlantClock
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.shell import Shell
from sdx_ros_nodes.transports.memory import MemoryBus


class Desk:
    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.clock = PlantClock(Shell(self.bus.transport(NodeArguments("guard", "/ship"))), simulated=True)
        plant = self.bus.transport(NodeArguments("plant", "/ship"))
        self.writer: Any = plant.publisher(topics.CLOCK.name, topics.CLOCK.type_name, topics.CLOCK.qos)

    def tell(self, *times_s: float) -> None:
        for t_s in times_s:
            self.writer.publish(new(topics.CLOCK.type_name, clock=stamp(t_s)))
            self.bus.run(0.1)


def test_before_the_first_message_there_is_no_time() -> None:
    assert Desk().clock.now_s() is None


def test_a_slow_plant_is_not_hurried_and_a_dead_one_grows_old() -> None:
    desk = Desk()
    desk.tell(10.0, 10.5, 11.0)
    desk.bus.run(GRACE_S - 0.2)
    assert desk.clock.now_s() == pytest.approx(11.0)
    desk.bus.run(2.1)
    assert desk.clock.now_s() == pytest.approx(11.0 + 2.0 * 5.0, abs=0.1), "at its rate of 5"


def test_time_never_goes_back_when_the_plant_comes_to_life_again() -> None:
    desk = Desk()
    desk.tell(10.0, 10.5, 11.0)
    desk.bus.run(GRACE_S + 1.0)
    before = desk.clock.now_s()
    desk.tell(11.5)
    assert desk.clock.now_s() == before and desk.clock.restarts == 0


def test_a_plant_that_begins_anew_is_counted() -> None:
    desk = Desk()
    desk.tell(500.0, 500.5, 0.0, 0.5)
    assert desk.clock.now_s() == pytest.approx(0.5) and desk.clock.restarts == 1


def test_a_real_ship_has_the_machines_time() -> None:
    bus = MemoryBus()
    clock = PlantClock(Shell(bus.transport(NodeArguments("guard", "/ship"))), simulated=False)
    assert clock.now_s() == bus.now_s()
