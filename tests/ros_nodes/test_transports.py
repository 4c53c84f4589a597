"""What every transport promises, checked on each that is present."""

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sdx_ros_nodes import topics
from sdx_ros_nodes.api import Transport, TransportEvent
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.qos import LATCHED, SENSOR, STATE, QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports import open_transport
from sdx_ros_nodes.transports.memory import MemoryBus

STRING = "std_msgs/msg/String"


@dataclass
class Wire:
    """Makes nodes that hear each other, and lets them run."""

    kind: str
    bus: MemoryBus | None
    nodes: list[Transport]

    def node(self, name: str, remaps: tuple[tuple[str, str], ...] = ()) -> Transport:
        arguments = NodeArguments(name, "/test", remaps)
        node: Transport = self.bus.transport(arguments) if self.bus else open_transport(self.kind, arguments)
        self.nodes.append(node)
        return node

    def run(self, for_s: float = 0.3, until: Callable[[], bool] | None = None) -> None:
        """Turn all nodes by turns; until() ends it early, and then may take up to 5 s."""
        if self.bus is not None:
            self.bus.run(for_s)
            return
        ends = time.monotonic() + (5.0 if until else for_s)
        while time.monotonic() < ends and not (until and until()):
            for node in self.nodes:
                node.spin(0.01)


@pytest.fixture(params=["memory", "dds", pytest.param("rclpy", marks=pytest.mark.ros)])
def wire(request: pytest.FixtureRequest, ros_domain: int) -> Iterator[Wire]:
    if request.param == "rclpy" and not importlib.util.find_spec("rclpy"):
        pytest.skip("ROS 2 is not sourced")
    made = Wire(request.param, MemoryBus() if request.param == "memory" else None, [])
    yield made
    for node in made.nodes:
        node.shutdown()


def say(text: str) -> Any:
    return new(STRING, data=text)


def test_messages_arrive_in_order(wire: Wire) -> None:
    got: list[str] = []
    wire.node("b").subscribe("talk", STRING, STATE, lambda message, meta: got.append(message.data))
    writer = wire.node("a").publisher("talk", STRING, STATE)
    wire.run(0.5)
    for number in range(10):
        writer.publish(say(str(number)))
    wire.run(until=lambda: len(got) == 10)
    assert got == [str(number) for number in range(10)]


def test_the_last_of_a_latched_topic_reaches_who_comes_later(wire: Wire) -> None:
    writer = wire.node("a").publisher("mode", STRING, LATCHED)
    writer.publish(say("old"))
    writer.publish(say("new"))
    got: list[str] = []
    wire.node("b").subscribe("mode", STRING, LATCHED, lambda message, meta: got.append(message.data))
    wire.run(until=lambda: bool(got))
    assert got == ["new"]


@pytest.mark.parametrize(
    ("offered", "asked", "policy"),
    [
        (SENSOR, STATE, "RELIABILITY"),
        (STATE, LATCHED, "DURABILITY"),
        (STATE, QoS(10, deadline_s=0.3), "DEADLINE"),
    ],
)
def test_a_mismatch_of_quality_is_told_on_both_sides(wire: Wire, offered: QoS, asked: QoS, policy: str) -> None:
    told: list[TransportEvent] = []
    got: list[str] = []
    a, b = wire.node("a"), wire.node("b")
    a.on_event(told.append)
    b.on_event(told.append)
    b.subscribe("talk", STRING, asked, lambda message, meta: got.append(message.data))
    writer = a.publisher("talk", STRING, offered)
    wire.run(until=lambda: len(told) >= 2)
    writer.publish(say("x"))
    wire.run(0.2)
    assert [(event.kind, event.topic) for event in told] == [("incompatible_qos", "/test/talk")] * 2 and got == []
    assert all(policy in event.detail.upper() for event in told) or wire.kind == "rclpy"


def test_a_callback_that_raises_is_told_and_the_node_goes_on(wire: Wire) -> None:
    told: list[TransportEvent] = []
    got: list[str] = []

    def take(message: Any, meta: Any) -> None:
        got.append(message.data)
        raise RuntimeError("planted")

    b = wire.node("b")
    b.on_event(told.append)
    b.subscribe("talk", STRING, STATE, take)
    writer = wire.node("a").publisher("talk", STRING, STATE)
    wire.run(0.5)
    writer.publish(say("1"))
    writer.publish(say("2"))
    wire.run(until=lambda: len(got) == 2)
    assert got == ["1", "2"] and [event.kind for event in told] == ["callback_failed"] * 2 and "planted" in told[0].detail


def test_names_are_remapped(wire: Wire) -> None:
    got: list[str] = []
    wire.node("b", remaps=(("talk", "/loud/talk"),)).subscribe("talk", STRING, STATE, lambda message, meta: got.append(message.data))
    writer = wire.node("a").publisher("/loud/talk", STRING, STATE)
    wire.run(0.5)
    writer.publish(say("x"))
    wire.run(until=lambda: bool(got))
    assert got == ["x"]


def test_timers_keep_time_and_can_be_cancelled(wire: Wire) -> None:
    node = wire.node("a")
    fast: list[float] = []
    timer = node.timer(0.05, lambda: fast.append(node.steady_s()))
    wire.run(0.52)
    timer.cancel()
    assert 7 <= len(fast) <= 11
    before = len(fast)
    wire.run(0.2)
    assert len(fast) == before
    with pytest.raises(ValueError, match="above 0 s"):
        node.timer(0.0, lambda: None)


def test_work_of_other_threads_runs_in_the_nodes_own(wire: Wire) -> None:
    node = wire.node("a")
    ran: list[threading.Thread] = []
    thread = threading.Thread(target=lambda: node.call(lambda: ran.append(threading.current_thread())))
    thread.start()
    thread.join()
    wire.run(until=lambda: bool(ran))
    assert ran == [threading.current_thread()]


def test_a_wrong_type_is_an_error_at_the_writer(wire: Wire) -> None:
    writer = wire.node("a").publisher("fix", topics.FIX.type_name, topics.FIX.qos)
    with pytest.raises(TypeError, match="carries sensor_msgs/msg/NavSatFix"):
        writer.publish(say("x"))


def test_shutdown_ends_spin_from_another_thread_and_silences(wire: Wire) -> None:
    node = wire.node("a")
    writer = node.publisher("talk", STRING, STATE)
    threading.Timer(0.2, node.shutdown).start()
    began = time.monotonic()
    node.spin()
    assert time.monotonic() - began < 20.0, "spin did not end"
    writer.publish(say("x"))
    node.shutdown()


def test_an_unknown_transport_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="auto, rclpy, dds, memory"):
        open_transport("carrier pigeon", NodeArguments("a"))


@pytest.mark.skipif(importlib.util.find_spec("rclpy") is not None, reason="ROS 2 is sourced")
def test_without_ros_the_rclpy_transport_says_what_to_type() -> None:
    with pytest.raises(RuntimeError, match="source /opt/ros/jazzy/setup.bash"):
        open_transport("rclpy", NodeArguments("a"))
