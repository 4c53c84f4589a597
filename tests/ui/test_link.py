"""The page on the wire: what it reads and what it sends, over DDS between two participants."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sdx_domains.contract import Order, Proposal, Verdict
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports import open_transport
from sdx_ui.api import OperatorCommand
from sdx_ui.page.link import BridgeLink
from sdx_ui.page.store import BridgeStore
from sdx_ui.stopping import request_stop


def eventually(true: Callable[[], bool], within_s: float = 15.0) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.05)
    return False


class Guard:
    """The other side: publishes what a guard publishes, keeps what reaches it."""

    def __init__(self) -> None:
        self.wire = open_transport("dds", NodeArguments("ship_guard", topics.NAMESPACE))
        self.actions: list[events.Action] = []
        self.stops: list[bool] = []
        self.out = {
            topic: self.wire.publisher(topic.name, topic.type_name, topic.qos)
            for topic in (topics.PICTURE, topics.PROPOSAL, topics.VERDICT, topics.PENDING, topics.MODE, topics.ESTOP, topics.HEARTBEAT)
        }
        self._subscribe(topics.OPERATOR, lambda message: self.actions.append(events.read_action(message)))
        self._subscribe(topics.ESTOP_REQUEST, lambda message: self.stops.append(bool(message.data)))
        self.thread = threading.Thread(target=self.wire.spin, daemon=True)
        self.thread.start()

    def _subscribe(self, topic: topics.Topic, take: Callable[[Any], None]) -> None:
        self.wire.subscribe(topic.name, topic.type_name, topic.qos.reader(), lambda message, meta: take(message))

    def publish(self, topic: topics.Topic, message: Any) -> None:
        self.wire.call(lambda: self.out[topic].publish(message))

    def tell(self, topic: topics.Topic, kind: str, payload: Any) -> None:
        self.publish(topic, events.event(kind, "1", payload, self.wire.now_s()))

    def close(self) -> None:
        self.wire.shutdown()
        self.thread.join(5.0)


@pytest.fixture(scope="module", autouse=True)
def own_domain() -> Iterator[None]:
    """A ROS domain that nobody else on this machine uses."""
    before = os.environ.get("ROS_DOMAIN_ID")
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 59)
    yield
    if before is None:
        del os.environ["ROS_DOMAIN_ID"]
    else:
        os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture
def link() -> Iterator[BridgeLink]:
    link = BridgeLink(BridgeStore(parts=("guard",)), transport="dds")
    thread = threading.Thread(target=link.spin, daemon=True)
    thread.start()
    yield link
    link.shutdown()
    thread.join(5.0)


def repeated(act: Callable[[], None], true: Callable[[], bool]) -> bool:
    """Discovery takes a moment: do it again until it got through."""

    def step() -> bool:
        act()
        time.sleep(0.1)
        return true()

    return eventually(step)


def test_what_the_guard_says_is_shown(guard: Guard, link: BridgeLink, situation: dict[str, Any], picture: Any) -> None:
    order = Order(
        domain="ship", setpoints={"heading_deg": 45.0, "speed_kn": 9.0}, issued_s=1.0, valid_for_s=90.0, source="model", picture_id="p"
    )
    proposal = Proposal.model_validate(situation["proposal"])
    proposed = events.Proposed(picture_id="p", picture_t_s=1.0, options=tuple(situation["options"]), proposal=proposal, model="m")
    verdict = Verdict(kind="accept", picture_id="p", order=order)
    store = link.store
    guard.tell(topics.PICTURE, "picture", picture)
    guard.tell(topics.VERDICT, "verdict", events.Judged(verdict=verdict, about="order", mode="agent", reason="verified"))
    guard.tell(topics.PENDING, "pending", events.Pending(order=order, expires_s=60.0))
    guard.publish(topics.MODE, new(topics.MODE.type_name, data="agent"))
    guard.publish(topics.ESTOP, new(topics.ESTOP.type_name, data=True))
    assert eventually(lambda: store.picture is not None and store.order is not None and store.pending is not None and store.estop)
    assert (store.order or {})["setpoints"] == {"heading_deg": 45.0, "speed_kn": 9.0}
    assert (store.pending or {})["id"] == order.id
    assert (store.mode, store.mode_reason) == ("agent", "verified")
    assert repeated(lambda: guard.tell(topics.PROPOSAL, "proposal", proposed), lambda: store.proposal is not None)
    heartbeat = new(topics.HEARTBEAT.type_name, node="/ship/ship_guard", state="active")
    assert repeated(lambda: guard.publish(topics.HEARTBEAT, heartbeat), lambda: store.snapshot()["parts"]["guard"]["ok"])


SENT = [
    (OperatorCommand(kind="reset"), events.Reset),
    (OperatorCommand(kind="release"), events.Release),
    (OperatorCommand(kind="takeover", setpoints={"heading_deg": 45.0, "speed_kn": 8.0}), events.Override),
    (OperatorCommand(kind="manual", device="vent", position_pct=40.0), events.Manual),
    (OperatorCommand(kind="approve", order_id="abc"), events.Approve),
    (OperatorCommand(kind="reject", order_id="abc"), events.Refuse),
    (OperatorCommand(kind="stop"), events.Stop),
]


def test_every_command_of_the_page_is_an_action_on_the_wire(guard: Guard, link: BridgeLink) -> None:
    assert repeated(lambda: link.send(OperatorCommand(kind="reset")), lambda: bool(guard.actions))
    for command, action in SENT:
        guard.actions.clear()
        link.send(command)
        assert eventually(lambda kind=action: any(isinstance(seen, kind) for seen in guard.actions)), command
    assert guard.stops and all(guard.stops)


def test_garbage_on_a_topic_becomes_a_line_of_the_record(guard: Guard, link: BridgeLink) -> None:
    for text in ("{", json.dumps({"picture": 1}), "[]"):
        guard.publish(topics.VERDICT, new(topics.VERDICT.type_name, kind="verdict", id="1", json=text))
        guard.publish(topics.PICTURE, new(topics.PICTURE.type_name, kind="picture", id="1", json=text))
    assert eventually(lambda: {"fault"} == {line["kind"] for line in link.store.snapshot()["audit"]})
    assert link.store.picture is None


def test_stop_from_a_terminal_needs_the_guards_word(guard: Guard) -> None:
    assert not request_stop(active=True, timeout_s=0.5)

    def confirm() -> None:
        if guard.stops:
            guard.out[topics.ESTOP].publish(new(topics.ESTOP.type_name, data=True))

    guard.stops.clear()

    def begin() -> None:
        guard.wire.timer(0.1, confirm)

    guard.wire.call(begin)
    assert request_stop(active=True, timeout_s=10.0) == ["/ship"]
    began = time.monotonic()
    assert request_stop(active=True, timeout_s=30.0, namespaces=("/ship", "/nowhere")) == ["/ship"]
    assert time.monotonic() - began < 25.0, "who confirmed is not kept waiting for who is not there"
