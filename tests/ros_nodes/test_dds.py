"""The DDS transport between processes: discovery as ROS 2 shows it, latency, kill -9, a hung reader, hostile bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sdx_ros_nodes import messages, topics
from sdx_ros_nodes.api import TransportEvent
from sdx_ros_nodes.latency import dds_latency
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.qos import LATCHED, STATE, QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.dds import DdsTransport, default_uri, domain_id

STRING = "std_msgs/msg/String"
PEER = """
import sys
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.qos import LATCHED, STATE, QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.dds import DdsTransport
node = DdsTransport(NodeArguments("peer", "/test"))
node.subscribe("ask", "std_msgs/msg/String", QoS(depth=1), lambda message, meta: None)
writer = node.publisher("talk", "std_msgs/msg/String", QoS(depth=10, lease_s=0.5, deadline_s=0.3))
node.publisher("mode", "std_msgs/msg/String", LATCHED).publish(new("std_msgs/msg/String", data="latched"))
node.timer(0.05, lambda: writer.publish(new("std_msgs/msg/String", data="beat")))
node.spin()
"""


def peer() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PEER], env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})


@pytest.fixture
def node(ros_domain: int) -> Iterator[DdsTransport]:
    made = DdsTransport(NodeArguments("node", "/test"))
    yield made
    made.shutdown()


def spin_until(node: DdsTransport, condition: Any, limit_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        node.spin(0.02)
        assert time.monotonic() - began < limit_s, "it did not happen in time"
    return time.monotonic() - began


def test_a_killed_writer_is_noticed_and_its_successor_heard(node: DdsTransport) -> None:
    got: list[str] = []
    told: list[str] = []
    node.on_event(lambda event: told.append(event.kind))
    node.subscribe("talk", STRING, QoS(depth=10, lease_s=0.5, deadline_s=0.3), lambda message, meta: got.append(message.data))
    node.subscribe("mode", STRING, LATCHED, lambda message, meta: got.append(message.data))
    first = peer()
    spin_until(node, lambda: "latched" in got and "beat" in got)
    first.kill()
    first.wait()
    spin_until(node, lambda: "deadline_missed" in told and "liveliness" in told, 3.0)
    got.clear()
    second = peer()
    spin_until(node, lambda: "latched" in got and "beat" in got)
    second.terminate()
    second.wait()


def test_a_hung_reader_does_not_hold_the_writer(node: DdsTransport) -> None:
    got: list[str] = []
    node.subscribe("talk", STRING, STATE, lambda message, meta: got.append(message.data))
    writer = node.publisher("ask", STRING, QoS(depth=1))
    other = peer()
    try:
        spin_until(node, lambda: len(got) > 3)
        os.kill(other.pid, signal.SIGSTOP)
        slowest = 0.0
        for _ in range(200):
            began = time.monotonic()
            writer.publish(new(STRING, data="x" * 10_000))
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.1
    finally:
        os.kill(other.pid, signal.SIGCONT)
        other.kill()
        other.wait()


def test_the_graph_message_names_the_node_and_its_ends(ros_domain: int) -> None:
    """What `ros2 node list` and `ros2 node info` are made of."""
    graph: list[Any] = []
    watcher = DdsTransport(NodeArguments("watcher", "/"))
    # Not under "rt/": read the topic as a ROS 2 machine does.
    reader = watcher._topic("ros_discovery_info", "rmw_dds_common/msg/ParticipantEntitiesInfo")
    assert reader.typename == "rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_"
    node = DdsTransport(NodeArguments("guard", "/ship"))
    writer = node.publisher("fix", topics.FIX.type_name, topics.FIX.qos)
    node.subscribe("talk", STRING, STATE, lambda message, meta: None)
    from cyclonedds.sub import DataReader

    from sdx_ros_nodes.transports.dds import dds_qos

    # The topic has no key: at depth 1 the message of one participant would push out another's. ROS 2 keeps them all.
    every = QoS(depth=100, latched=True)
    taker: Any = DataReader(watcher._participant, reader, qos=dds_qos(every, "", writes=False))
    ends = time.monotonic() + 20.0
    while time.monotonic() < ends and not graph:
        told = [messages.deserialise(sample.data, "rmw_dds_common/msg/ParticipantEntitiesInfo") for sample in taker.take(N=10)]
        nodes = [(info, entry) for info in told for entry in info.node_entities_info_seq if entry.node_name == "guard"]
        # A message goes out for each endpoint that is made; the last one names them all.
        graph += [pair for pair in nodes if pair[1].reader_gid_seq and pair[1].writer_gid_seq]
        time.sleep(0.05)
    info, entry = graph[-1]
    assert entry.node_namespace == "/ship" and len(entry.reader_gid_seq) == 1 and len(entry.writer_gid_seq) == 1
    assert writer.writer is not None
    assert bytes(entry.writer_gid_seq[0].data) == writer.writer.guid.bytes
    assert bytes(info.gid.data) == node._participant.guid.bytes
    del taker, reader
    node.shutdown()
    watcher.shutdown()


def test_endpoints_carry_what_ros_reads(ros_domain: int) -> None:
    from cyclonedds.qos import Policy

    node = DdsTransport(NodeArguments("guard", "/ship"))
    writer = node.publisher("estop", topics.ESTOP.type_name, topics.ESTOP.qos)
    assert node._participant.get_qos()[Policy.Userdata].data == b"enclave=/;"
    assert writer.writer is not None
    qos = writer.writer.get_qos()
    assert qos[Policy.Userdata].data == f"typehash={messages.type_hash(topics.ESTOP.type_name)};".encode()
    assert qos[Policy.Durability] == Policy.Durability.TransientLocal
    assert not qos[Policy.WriterDataLifecycle].autodispose
    assert writer.writer.topic.name == "rt/ship/estop" and writer.writer.topic.typename == "std_msgs::msg::dds_::Bool_"
    node.shutdown()


def test_text_that_is_no_utf8_is_told(node: DdsTransport) -> None:
    from sdx_ros_nodes.transports.dds_types import raw_sample

    told: list[TransportEvent] = []
    got: list[str] = []
    node.on_event(told.append)
    node.subscribe("talk", STRING, STATE, lambda message, meta: got.append(message.data))
    writer = node.publisher("talk", STRING, STATE)
    assert writer.writer is not None
    # A string that is not UTF-8. What is no CDR of the type at all, DDS itself drops before it gets here.
    writer.writer.write(raw_sample(STRING, b"\0\1\0\0" + b"\4\0\0\0\xff\xfe\xfd\0"))
    writer.publish(new(STRING, data="fine"))
    spin_until(node, lambda: bool(got))
    assert [event.kind for event in told] == ["bad_message"] and got == ["fine"]


def test_one_way_latency(ros_domain: int) -> None:
    measured = dds_latency(count=100, rate_hz=50.0)
    assert measured["lost"] == 0
    assert measured["p50_ms"] <= 5.0, "the bar is 1 ms on an idle machine; a loaded one gets some air"


@pytest.mark.parametrize("text", ["-1", "233", "ship"])
def test_a_senseless_domain_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", text)
    with pytest.raises(ValueError, match=text):
        domain_id()


@pytest.mark.parametrize(
    ("variables", "wanted", "unwanted"),
    [
        ({}, "127.0.0.1", "<AllowMulticast>true"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "<AllowMulticast>true", "NetworkInterface"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_LOCALHOST_ONLY": "1"}, "NetworkInterface", "<AllowMulticast>true"),
        ({"ROS_STATIC_PEERS": "10.0.0.5;10.0.0.6"}, '<Peer address="10.0.0.6"/>', "NetworkInterface"),
    ],
)
def test_the_usual_variables_set_the_range(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str, unwanted: str) -> None:
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wanted in default_uri() and unwanted not in default_uri()
