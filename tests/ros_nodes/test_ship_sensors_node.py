"""NMEA and AIS lines from file, UDP, TCP and a topic become topics."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sdx_domains.ship.inputs.nmea import encode_ais, encode_own
from sdx_domains.ship.picture import OwnReading, TargetReading
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.ship_sensors_node import MAX_WAITING, SensorParameters, ShipSensorsNode, build, lines_of
from sdx_ros_nodes.transports.memory import MemoryBus

MMSI = 265547250
HEADING = "$GPHDT,271.5,T*34"


def ais_lines() -> list[str]:
    encoded = encode_ais(MMSI, 57.66, 11.83, 41.0, 13.9, heading_deg=40.0)
    return [encoded] if isinstance(encoded, str) else list(encoded)


class Station:
    """A sensors node on a memory bus, and what it published."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.heard: dict[str, list[Any]] = {}
        ear = self.bus.transport(NodeArguments("ear", topics.NAMESPACE))
        for topic in (topics.NMEA, topics.TARGETS, topics.IMU, topics.FIX, topics.VEL, topics.DIAGNOSTICS):
            take = self.heard.setdefault(topic.name, []).append
            ear.subscribe(topic.name, topic.type_name, topic.qos, lambda message, meta, take=take: take(message))
        self.transport = self.bus.transport(NodeArguments("ship_sensors", topics.NAMESPACE))

    def until(self, condition: Callable[[], bool]) -> None:
        ends = time.monotonic() + 5.0
        while not condition() and time.monotonic() < ends:
            self.bus.run(0.02)
            time.sleep(0.005)
        assert condition()

    def targets(self) -> list[TargetReading]:
        return [target for message in self.heard["targets"] for target in conversions.targets_from_array(message)]


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.fixture
def closing() -> Iterator[list[Callable[[], None]]]:
    made: list[Callable[[], None]] = []
    yield made
    for close in made:
        close()


def test_a_file_becomes_targets_and_heading(station: Station, tmp_path: Path, closing: list[Callable[[], None]]) -> None:
    path = tmp_path / "traffic.nmea"
    path.write_text("\n".join([*ais_lines(), HEADING, "!AIVDM,1,1,,A,garbage*00", ""]))
    closing.append(build(station.transport, SensorParameters(source=f"file:{path}")))
    station.until(lambda: bool(station.heard["targets"]) and bool(station.heard["imu/data"]))
    [target] = station.targets()
    assert target.track_id == f"mmsi:{MMSI}" and target.sog_kn == pytest.approx(13.9, abs=0.05)
    heading = conversions.own_from_imu(station.heard["imu/data"][0])
    assert heading and heading.heading_deg == pytest.approx(271.5)
    station.bus.run(2.1)
    faults = [status.message for message in station.heard["/diagnostics"] for status in message.status if status.level == 1]
    assert faults and "1 faults" in faults[0]
    assert [message.data for message in station.heard["nmea"]][:1] == ais_lines()[:1], "sentences go out as they came"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_udp(station: Station, closing: list[Callable[[], None]]) -> None:
    port = free_port(socket.SOCK_DGRAM)
    closing.append(build(station.transport, SensorParameters(source=f"udp:127.0.0.1:{port}")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        data = "\r\n".join(ais_lines()).encode()

        def sent_and_heard() -> bool:
            sender.sendto(data, ("127.0.0.1", port))
            return bool(station.heard["targets"])

        station.until(sent_and_heard)
    assert station.targets()[0].track_id == f"mmsi:{MMSI}"


def test_tcp_lines_in_pieces(closing: list[Callable[[], None]]) -> None:
    port = free_port(socket.SOCK_STREAM)
    server = socket.create_server(("127.0.0.1", port))
    ended = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        for piece in (b"$GPHDT,27", b"1.5,T*34\r\n$GPHDT", b",1.0,T*xx\n"):
            connection.sendall(piece)
            time.sleep(0.02)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    lines = lines_of(f"tcp:127.0.0.1:{port}", ended)
    assert [next(lines), next(lines)] == ["$GPHDT,271.5,T*34", "$GPHDT,1.0,T*xx"]
    ended.set()
    assert list(lines) == []
    thread.join()
    server.close()


def test_the_ros_topic_is_decoded_too(station: Station, closing: list[Callable[[], None]]) -> None:
    closing.append(build(station.transport, SensorParameters(source="topic:")))
    own = OwnReading(t_s=0.0, source="gnss", lat_deg=58.0, lon_deg=10.0, cog_deg=90.0, sog_kn=10.0)
    writer = station.bus.transport(NodeArguments("bridge", topics.NAMESPACE)).publisher(
        topics.NMEA.name, topics.NMEA.type_name, topics.NMEA.qos
    )
    for line in encode_own(own, datetime(2026, 1, 1, tzinfo=UTC)):
        writer.publish(new(topics.NMEA.type_name, data=line))
    station.bus.run(0.1)
    fix = conversions.own_from_fix(station.heard["fix"][0])
    assert fix and fix.lat_deg == pytest.approx(58.0, abs=1e-4)


def test_a_flood_is_dropped_and_told(station: Station) -> None:
    node = ShipSensorsNode(station.transport)
    taken = [node.take("$GPXXX*00") for _ in range(MAX_WAITING + 5)]
    assert taken.count(False) == 5
    station.bus.run(2.1)
    told = [status.message for message in station.heard["/diagnostics"] for status in message.status]
    assert any("5 lines dropped" in message for message in told)
    assert node.take("$GPXXX*00"), "room again"


@pytest.mark.parametrize(
    ("source", "message"), [("serial:/dev/ttyS0", "none of udp"), ("udp:here", "not host:port"), ("udp:host:99999", "not host:port")]
)
def test_a_senseless_source_is_told(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next(lines_of(source, threading.Event()))


def test_a_file_that_is_not_there_shows_in_the_diagnostics(station: Station, closing: list[Callable[[], None]]) -> None:
    closing.append(build(station.transport, SensorParameters(source="file:/nowhere.nmea")))
    station.until(lambda: any("nowhere" in status.message for message in station.heard["/diagnostics"] for status in message.status))
