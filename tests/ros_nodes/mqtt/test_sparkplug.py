"""Sparkplug B over a real broker: births, data, commands, rebirth, store and forward, death."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, SensorReading

pytest.importorskip("paho.mqtt.client")
pytest.importorskip("google.protobuf")

from sdx_ros_nodes.mqtt.connection import Connection
from sdx_ros_nodes.mqtt.sparkplug import Metric, Payload, decode, encode, parts, topic
from sdx_ros_nodes.mqtt.sparkplug_edge import SparkplugEdge, next_birth
from sdx_ros_nodes.mqtt.sparkplug_host import SparkplugEquipment

names = st.text(min_size=1, max_size=30)
values = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=30)


@given(st.lists(st.tuples(names, values, st.booleans()), max_size=8), st.integers(0, 255))
def test_payloads_come_back_as_they_were_sent(given_: list[tuple[str, Any, bool]], seq: int) -> None:
    metrics = tuple(Metric(name, value, 5, historical=old, properties={"quantity": name}) for name, value, old in given_)
    assert decode(encode(Payload(metrics, seq, 7))) == Payload(metrics, seq, 7)


def test_the_bytes_are_those_of_the_specification() -> None:
    """By hand: field 1 varint timestamp 1, field 2 a metric (name "a", timestamp 1, datatype 10 Double, 1.5), field 3 seq 0."""
    metric = b"\x0a\x01a" + b"\x18\x01" + b"\x20\x0a" + b"\x69\x00\x00\x00\x00\x00\x00\xf8\x3f"
    raw = b"\x08\x01" + b"\x12" + bytes([len(metric)]) + metric + b"\x18\x00"
    assert decode(raw) == Payload((Metric("a", 1.5, 1),), 0, 1) and encode(Payload((Metric("a", 1.5, 1),), 0, 1)) == raw


def test_signed_numbers_of_others_are_read() -> None:
    """Int32 -5 as two's complement in int_value (field 10)."""
    metric = b"\x0a\x01a" + b"\x20\x03" + b"\x50\xfb\xff\xff\xff\x0f"
    assert decode(b"\x12" + bytes([len(metric)]) + metric).metrics[0].value == -5


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    try:
        decode(raw)
    except ValueError as error:
        assert "no Sparkplug payload" in str(error)


def test_topics() -> None:
    assert topic("farm", "DDATA", "house1", "climate") == "spBv1.0/farm/DDATA/house1/climate"
    assert parts("spBv1.0/farm/NBIRTH/house1") == ("farm", "NBIRTH", "house1", "") and parts("x/y") == ()


@pytest.fixture
def pair(broker: Any, bench: Any, wait: Any) -> Iterator[tuple[SparkplugEdge, SparkplugEquipment, list[Any]]]:
    host = SparkplugEquipment(broker.url, "farm", "house1")
    edge = SparkplugEdge(broker.url, "farm", "house1", "climate", bench, host="sdx")
    heard: list[Any] = []
    wait(lambda: turned(edge, host, heard) and any(isinstance(reading, SensorReading) for reading in heard))
    yield edge, host, heard
    edge.close()
    host.close()


def turned(edge: SparkplugEdge, host: SparkplugEquipment, heard: list[Any]) -> bool:
    edge.turn()
    heard.extend(host.read())
    return True


def test_births_name_everything_and_commands_move_it(pair: Any, bench: Any, wait: Any) -> None:
    edge, host, heard = pair
    assert {device.name for device in host.devices()} == {"left", "right", "fan", "air", "rain"}
    assert next(r.value for r in heard if isinstance(r, SensorReading) and r.sensor == "air") == 21.5
    command = ActuatorCommand(
        id="1", device="left", op="set_position", value={"position_pct": 60.0}, issued_s=0, expires_s=60, issuer="controller"
    )
    assert host.send(command).fate == "accepted" and host.send(command).fate == "accepted"
    wait(lambda: turned(edge, host, heard) and len(bench.commands) > 0)
    bench.step(60.0)
    wait(
        lambda: (
            turned(edge, host, heard) and heard[-1:] != [] and any(isinstance(r, ActuatorReading) and r.position_pct == 60.0 for r in heard)
        )
    )
    assert len(bench.commands) == 1


def test_a_missed_message_brings_a_rebirth(pair: Any, broker: Any, bench: Any, wait: Any) -> None:
    edge, host, heard = pair
    edge._next()  # one number of the sequence is lost on the way
    bench.temp_c = 25.0
    heard.clear()
    wait(lambda: turned(edge, host, heard) and any(isinstance(r, SensorReading) and r.value == 25.0 for r in heard))


def test_while_the_host_is_away_data_are_stored_and_come_as_history(pair: Any, broker: Any, bench: Any, wait: Any) -> None:
    edge, host, heard = pair
    host.close()
    wait(lambda: (edge.turn(), not edge._online)[1])
    for minute in range(1, 4):
        bench.step(60.0)
        bench.temp_c = 20.0 + minute
        edge.turn()
    told: list[Payload] = []
    watcher = Connection(broker.url, [topic("farm", "DDATA", "house1", "climate")])
    wait(lambda: watcher.births > 0)
    again = SparkplugEquipment(broker.url, "farm", "house1")

    def history() -> bool:
        turned(edge, again, heard)
        told.extend(decode(message.payload) for message in watcher.arrived())
        return sum(m.historical and m.name == "sensor/air" for payload in told for m in payload.metrics) == 3

    wait(history)
    old = [m for payload in told for m in payload.metrics if m.historical and m.name == "sensor/air"]
    assert [(m.timestamp_ms, m.value) for m in old] == [(60_000, 21.0), (120_000, 22.0), (180_000, 23.0)]
    again.close()
    watcher.close()


def test_the_death_of_the_edge_leaves_no_value_good(pair: Any, wait: Any) -> None:
    edge, host, heard = pair
    edge._connection.publish(topic("farm", "NDEATH", "house1"), encode(edge._death()))
    wait(lambda: bool(heard.extend(host.read())) or (heard[-1:] != [] and getattr(heard[-1], "status", 0) == 103))
    last = heard[-5:]
    assert [(r.value, r.quality) for r in last if isinstance(r, SensorReading)] == [(None, "bad")] * 2
    assert [r.status for r in last if isinstance(r, ActuatorReading)] == [103] * 3


def test_births_are_numbered_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "bdseq"
    assert [next_birth(path) for _ in range(3)] == [0, 1, 2]
    path.write_text("255")
    assert next_birth(path) == 0


def test_an_edge_process_serves_a_bus_and_dies_with_a_word(broker: Any, tmp_path: Path, wait: Any) -> None:
    """Two real processes: a panel of relays behind Modbus, and the edge node in front of it."""
    pytest.importorskip("pymodbus")
    from sdx_ros_nodes.equipment import bench as bus

    port = bus.free_port()
    with bus.node_process(["--tcp", str(port)], tmp_path / "node"):
        command = [sys.executable, "-m", "sdx_ros_nodes.mqtt.sparkplug_edge", "--broker", broker.url, "--group", "farm", "--edge", "house1"]
        edge = subprocess.Popen([*command, "--bus", f"modbus://127.0.0.1:{port}", "--folder", str(tmp_path / "edge")])
        host, heard = SparkplugEquipment(broker.url, "farm", "house1"), []
        try:
            wait(lambda: heard.extend(host.read()) or any(isinstance(r, ActuatorReading) for r in heard), 30.0)
            edge.terminate()
            assert edge.wait(10) == 0
            wait(lambda: heard.extend(host.read()) or getattr(heard[-1], "status", 0) == 103)
        finally:
            edge.kill()
            edge.wait()
            host.close()
    assert (tmp_path / "edge/bdseq").read_text() == "0"
