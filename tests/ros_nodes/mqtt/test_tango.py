"""TANGO2's controller over a real broker: commands, states, silence, and a gateway in front of equipment."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, SensorReading

pytest.importorskip("paho.mqtt.client")

from sdx_ros_nodes.mqtt.connection import Connection
from sdx_ros_nodes.mqtt.tango import TangoEquipment, TangoSite, read_site
from sdx_ros_nodes.mqtt.tango_gateway import TangoGateway

SITE = """
region: wanju
gateway: gw1
fresh_s: 1.0
motors:
  left: {node: n1, address: 1, channel: 1, kind: opener, travel_s: 10}
  right: {node: n1, address: 1, channel: 2, kind: opener, travel_s: 10}
  fan: {node: n2, address: 1, channel: 3, kind: switch}
sensors:
  air: {node: n3, address: 2, field: temp, quantity: air_temp_c}
  rain: {node: n3, address: 2, field: rain, quantity: rain}
"""


@pytest.fixture
def site(tmp_path: Path) -> TangoSite:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return read_site(path)


def move(device: str, position_pct: float, number: int = 1) -> ActuatorCommand:
    return ActuatorCommand(
        id=f"c{number}",
        device=device,
        op="set_position",
        value={"position_pct": position_pct},
        issued_s=0.0,
        expires_s=600.0,
        issuer="controller",
    )


@pytest.fixture
def gateway(broker: Any, site: TangoSite, bench: Any, wait: Any) -> Iterator[TangoGateway]:
    made = TangoGateway(broker.url, site, bench)
    ended = threading.Event()

    def turn() -> None:
        while not ended.wait(0.02):
            bench.step(0.1)
            made.turn()

    thread = threading.Thread(target=turn)
    thread.start()
    wait(lambda: made.up)
    yield made
    ended.set()
    thread.join()
    made.close()


def test_a_window_opens_and_what_it_does_is_read_back(broker: Any, site: TangoSite, gateway: TangoGateway, bench: Any, wait: Any) -> None:
    equipment = TangoEquipment(broker.url, site)
    seen: list[ActuatorReading] = []
    temps: list[SensorReading] = []

    def look() -> bool:
        for reading in equipment.read():
            if isinstance(reading, SensorReading) and reading.sensor == "air":
                temps.append(reading)
            elif isinstance(reading, ActuatorReading) and reading.device == "left":
                seen.append(reading)
        return bool(seen)

    wait(look)
    assert equipment.send(move("left", 40.0)).fate == "accepted"
    assert equipment.send(move("left", 40.0)).fate == "accepted" and len(bench.commands) == 1  # the same command acts once
    assert equipment.send(move("fan", 100.0, 2)).fate == "accepted"
    wait(lambda: look() and seen[-1].position_pct == 40.0)
    assert any(reading.status == 301 for reading in seen) and bench.position == {"left": 40.0, "right": 0.0, "fan": 100.0}
    assert temps[-1].value == 21.5 and temps[-1].t_s > 0.0
    equipment.close()


def test_commands_that_the_protocol_lacks_and_unknown_devices_are_refused(broker: Any, site: TangoSite) -> None:
    equipment = TangoEquipment(broker.url, site)
    timed = ActuatorCommand(id="t", device="left", op="timed_open", duration_s=5, issued_s=0, expires_s=9, issuer="controller")
    assert equipment.send(timed).fate == "rejected" and "timed_open" in equipment.send(timed).detail
    assert "no motor 'roof'" in equipment.send(move("roof", 10.0)).detail
    assert "nan" in equipment.send(move("left", float("nan"), 3)).detail
    equipment.close()


def test_without_a_gateway_a_command_times_out_within_a_second(broker: Any, site: TangoSite, wait: Any) -> None:
    equipment = TangoEquipment(broker.url, site)
    wait(lambda: equipment._connection.up)
    began = time.monotonic()
    assert equipment.send(move("left", 10.0)).fate == "timeout" and time.monotonic() - began < 1.5
    equipment.close()


def test_what_falls_silent_is_told_once(broker: Any, site: TangoSite, wait: Any) -> None:
    equipment, speaker = TangoEquipment(broker.url, site), Connection(broker.url, [])
    wait(lambda: equipment._connection.births and speaker.births)
    state = {"ts": 60, "node_id": "n3", "address": 2, "temp": 19.0, "rain": 2}
    speaker.publish(site.topic("_data"), json.dumps(state).encode())
    found: list[SensorReading] = []
    wait(lambda: bool(found.extend(equipment.read()) or found))
    assert {reading.sensor: reading.value for reading in found} == {"air": 19.0, "rain": 0.0}  # 1 only is rain
    found.clear()
    wait(lambda: bool(found.extend(equipment.read()) or found))
    assert {(reading.sensor, reading.value, reading.quality) for reading in found} == {("air", None, "bad"), ("rain", None, "bad")}
    assert not equipment.read()
    equipment.close()
    speaker.close()


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"\xff\xfe", b'{"nodes": 3}', b'{"nodes": {"n1": []}}', b'{"node_id": "n1", "open_rate": "x"}']
)
def test_garbage_gives_no_reading_and_no_error(broker: Any, site: TangoSite, wait: Any, payload: bytes) -> None:
    equipment, speaker = TangoEquipment(broker.url, site), Connection(broker.url, [])
    wait(lambda: equipment._connection.births and speaker.births)
    speaker.publish(site.topic("_data"), payload)
    speaker.publish(site.topic("_data"), json.dumps({"ts": 1, "node_id": "n1", "open_rate": [5, 6]}).encode())
    found: list[Any] = []
    wait(lambda: bool(found.extend(equipment.read()) or found))
    assert {reading.device: reading.position_pct for reading in found} == {"left": 5.0, "right": 6.0}
    equipment.close()
    speaker.close()


def test_a_broker_that_comes_back_is_found_again(broker: Any, site: TangoSite, gateway: TangoGateway, wait: Callable[..., None]) -> None:
    equipment = TangoEquipment(broker.url, site)
    wait(lambda: bool(equipment.read()))
    broker.stop()
    wait(lambda: not equipment._connection.up)
    assert equipment.send(move("left", 30.0)).detail == "no connection to the broker"
    broker.start()
    wait(lambda: equipment._connection.up and gateway.up)
    wait(lambda: bool(equipment.read()))
    assert equipment.send(move("left", 30.0, 2)).fate == "accepted"
    equipment.close()


def test_a_wrong_site_file_is_refused_by_field(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("channel: 2", "channel: 9"))
    with pytest.raises(ValueError, match=r"site\.yaml: motors\.right\.channel: .*8 \(given: 9\)"):
        read_site(path)
