"""The master against a node server over TCP: reading, commands, read-back, OPIDs, openers without position, dead and wrong nodes."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from served_node import LEVEL_1, Served, order

from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_ros_nodes.equipment import look
from sdx_ros_nodes.equipment.bench import free_port
from sdx_ros_nodes.equipment.history import History
from sdx_ros_nodes.equipment.ksx_master import KsxMaster
from sdx_ros_nodes.equipment.link import found_site, open_equipment
from sdx_ros_nodes.equipment.relay_panel import DEVICES, RelayPanel
from sdx_ros_nodes.equipment.site import Site, made_site

Serve = Callable[..., Served]


def sensors(master: KsxMaster) -> dict[str, SensorReading]:
    return {each.sensor: each for each in master.read() if isinstance(each, SensorReading)}


def actuators(master: KsxMaster) -> dict[str, ActuatorReading]:
    return {each.device: each for each in master.read() if isinstance(each, ActuatorReading)}


def until(true: Callable[[], Any], within_s: float = 5.0) -> Any:
    ends = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def changed(**rows: dict[str, Any]) -> Site:
    """The level-1 site with other devices in its actuator node."""
    row = LEVEL_1.model_dump(mode="json", exclude_none=True)
    row["nodes"][0]["devices"] = rows
    return Site.model_validate(row)


def test_values_with_quality(serve: Serve) -> None:
    served = serve()
    master = open_equipment(served.url, LEVEL_1)
    read = sensors(master)
    assert {name: (each.quantity, each.value, each.quality) for name, each in read.items()} == {
        "air_temp_1": ("air_temp_c", 28.8, "good"),
        "air_rh_1": ("air_rh_pct", 65.5, "good"),
        "co2_1": ("co2_ppm", 812.0, "good"),
    }
    served.panel.values["air_rh_1"] = None
    read = until(lambda: (found := sensors(master))["air_rh_1"].status and found)
    assert (read["air_rh_1"].value, read["air_rh_1"].quality, read["air_rh_1"].status) == (None, "bad", 1)
    assert [node.alive for node in master.nodes()] == [True, True, True]
    assert {each.name: each.kind for each in master.devices()} == {each.name: each.device.kind for each in LEVEL_1.fitted}
    assert master.frames(4)[-1].data and str(master.frames(4)[0])
    master.close()


def test_commands_are_confirmed_and_reach_the_relay_once(serve: Serve) -> None:
    served = serve()
    master = open_equipment(served.url, LEVEL_1)
    on = order("relay_1", "on", master.t_s, "one")
    first = master.send(on)
    assert (first.fate, first.opid) == ("confirmed", 1) and first.confirmed_s is not None
    assert master.send(on) == first
    assert served.node.acted == 1
    assert actuators(master)["relay_1"].position_pct == 100.0
    assert master.send(order("relay_1", "stop", master.t_s)).fate == "confirmed"
    timed = master.send(order("relay_2", "timed_on", master.t_s, duration_s=30.0))
    reading = actuators(master)["relay_2"]
    assert timed.fate == "confirmed" and 28 <= reading.remaining_s <= 30 and reading.opid == timed.opid and reading.status == 201
    assert master.send(order("feed_1", "water", master.t_s, l_m2=0.25, ec_ds_m=2.6, ph=5.8)).fate == "confirmed"
    assert actuators(master)["feed_1"].remaining_s == pytest.approx(250, abs=3)
    master.close()


@pytest.mark.parametrize("keep_opid", [False, True])
def test_both_dialects_are_read(serve: Serve, keep_opid: bool) -> None:
    served = serve(keep_opid=keep_opid)
    master = open_equipment(served.url, LEVEL_1)
    fates = [master.send(order("relay_1", op, master.t_s, f"{op}-{i}")).fate for i in range(3) for op in ("on", "stop")]
    assert fates == ["confirmed"] * 6
    master.close()


def test_what_cannot_be_is_rejected_with_the_reason(serve: Serve) -> None:
    served = serve(changed(relay_1={"switch": 1}))
    master = open_equipment(served.url, LEVEL_1)
    now = master.t_s
    for command, reason in (
        (order("relay_9", "on", now), "no device 'relay_9'; there are relay_1"),
        (order("air_temp_1", "on", now), "is a sensor"),
        (order("relay_1", "on", now - 100), "expired"),
        (order("relay_1", "timed_on", now), "shorter than a second"),
        (order("relay_1", "timed_open", now, duration_s=5), "it has no timed_open"),
        (order("relay_1", "set_position", now), "needs value position_pct"),
        (order("relay_1", "set_position", now, position_pct=float("nan")), "needs value position_pct"),
        (order("vent_1", "open", now), "nothing is fitted at opener 1"),
        (order("feed_1", "water", now, l_m2=0.1, ph=5.0), "both ec_ds_m and ph"),
        (order("feed_1", "timed_on", now), "needs value l_m2 or a duration_s"),
        (order("relay_1", "set_control", now, right=3.0), "exception 03"),
        (order("relay_1", "set_control", now), "needs value right"),
    ):
        result = master.send(command)
        assert result.fate == "rejected" and reason in result.detail, result
    assert served.node.acted == 0
    reading = actuators(master)["vent_1"]
    assert reading.position_pct is None and "vent_1" in master.nodes()[0].detail
    master.close()


def test_a_switch_has_no_half(serve: Serve) -> None:
    master = open_equipment(serve().url, LEVEL_1)
    result = master.send(order("relay_1", "set_position", master.t_s, position_pct=70.0))
    assert result.fate == "clamped" and result.detail == "from 70 to 100 %: relay_1 is a switch"
    assert actuators(master)["relay_1"].position_pct == 100.0
    master.close()


def test_the_control_right_end_to_end(serve: Serve) -> None:
    served = serve()
    master = open_equipment(served.url, LEVEL_1)
    assert master.send(order("relay_1", "set_control", master.t_s, right=1.0)).fate == "accepted"
    refused = master.send(order("relay_1", "on", master.t_s))
    assert refused.fate == "rejected" and "a person's hands, status 299" in refused.detail
    read = actuators(master)
    assert (read["relay_1"].status, read["vent_1"].status, read["relay_1"].right) == (299, 399, "MANUAL")
    assert read["feed_1"].right == "REMOTE"
    assert master.send(order("relay_1", "set_control", master.t_s, right=2.0)).fate == "accepted"
    assert master.send(order("relay_1", "on", master.t_s, "again")).fate == "confirmed"
    master.close()


class Quick:
    """A panel whose time runs ten times as fast, as a simulated house."""

    def __init__(self) -> None:
        self.t_s = 0.0
        self._panel = RelayPanel(None, lambda: self.t_s)
        self.devices, self.read, self.send, self.close = self._panel.devices, self._panel.read, self._panel.send, self._panel.close

    @property
    def done(self) -> bool:
        return False

    def step(self, dt_s: float) -> None:
        self.t_s += dt_s


def test_positions_of_level_1_openers_are_reckoned(serve: Serve, tmp_path: Path) -> None:
    served = serve(panel=Quick(), speed=20.0)
    master = open_equipment(served.url, LEVEL_1, tmp_path)

    def move(wanted: float) -> tuple[str, float | None]:
        fate = master.send(order("vent_1", "set_position", master.t_s, position_pct=wanted)).fate
        until(lambda: actuators(master)["vent_1"].status == 0)
        return fate, actuators(master)["vent_1"].position_pct

    def truth() -> float | None:
        return next(each.position_pct for each in served.panel.read() if isinstance(each, ActuatorReading) and each.device == "vent_1")

    assert actuators(master)["vent_1"].position_pct is None
    assert move(30.0) == ("clamped", 0.0)
    assert move(60.0) == ("confirmed", 60.0) and truth() == pytest.approx(60.0, abs=3.0)
    assert move(61.0)[1] == 60.0  # nearer than a second of travel
    master.close()
    master = open_equipment(served.url, LEVEL_1, tmp_path)  # where it stands is remembered
    assert actuators(master)["vent_1"].position_pct == 60.0
    assert move(100.0) == ("confirmed", 100.0) and truth() == 100.0
    master.close()


def test_level_2_positions_and_the_plants_clock(serve: Serve) -> None:
    site = made_site(DEVICES)
    served = serve(site, panel=Quick(), speed=20.0)
    master = open_equipment(served.url, site)
    assert master.plant_s is None and sensors(master) and master.plant_s is not None
    assert master.send(order("vent_1", "set_position", master.t_s, position_pct=40.0)).fate == "confirmed"
    assert until(lambda: (each := actuators(master)["vent_1"]).status == 0 and each).position_pct == 40.0
    assert master.plant_s == pytest.approx(served.node.now_s(), abs=10.0)
    master.close()


def test_opids_go_on_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    opids: list[int] = []
    for i in range(3):
        master = open_equipment(served.url, LEVEL_1, tmp_path)
        for op in ("on", "stop"):
            result = master.send(order("relay_1", op, master.t_s, f"{op}-{i}"))
            assert result.fate == "confirmed"
            opids.append(result.opid)
        assert master.send(order("relay_1", "stop", master.t_s, f"stop-{i}")).opid == opids[-1]
        master.close()
    again = open_equipment(served.url, LEVEL_1, tmp_path)
    assert again.send(order("relay_1", "stop", again.t_s, "stop-2")).opid == opids[-1]  # sent again by a master that was restarted
    again.close()
    assert len(set(opids)) == 6 and served.node.acted == 6
    fresh = open_equipment(served.url, LEVEL_1)  # without a memory it goes on from what the node shows
    assert fresh.send(order("relay_1", "on", fresh.t_s, "fresh")).opid == opids[-1] + 1
    fresh.close()


def test_the_counter_goes_round(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    master = open_equipment(served.url, LEVEL_1, tmp_path)
    for op in ("on", "stop", "on"):
        master.send(order("relay_1", op, master.t_s))
    master._memory.put(f"{served.url} 1/1", opid=65535, command="b")
    assert master.send(order("relay_1", "stop", master.t_s, "c")).opid == 1
    assert actuators(master)["relay_1"].status == 0
    master.close()


def test_a_dead_node_costs_little_and_is_told(serve: Serve) -> None:
    served = serve()
    master = KsxMaster(LEVEL_1, served.url, stale_s=0.3)
    assert sensors(master)["air_temp_1"].quality == "good"
    served.stop()
    assert sensors(master)["air_temp_1"].quality == "suspect"
    time.sleep(0.4)
    begun = time.monotonic()
    read = sensors(master)["air_temp_1"], actuators(master)["relay_1"]
    assert time.monotonic() - begun < 1.0
    assert [(each.status) for each in read] == [999, 999] and read[0].value is None and read[1].position_pct is None
    result = master.send(order("relay_1", "on", master.t_s))
    assert result.fate == "timeout" and served.url in result.detail
    assert not any(node.alive for node in master.nodes()) and master.nodes()[0].lost
    again = serve(port=served.port)
    until(lambda: sensors(master)["air_temp_1"].quality == "good", 10.0)
    assert again.node.acted == 0
    assert master.send(order("relay_1", "on", master.t_s, "new")).fate == "confirmed"
    master.close()


def test_a_node_of_another_map_is_not_taken_for_the_site_files(serve: Serve) -> None:
    served = serve(made_site(DEVICES))
    master = open_equipment(served.url, LEVEL_1)
    master.read()
    assert "its registers 1 to 6 read [0, 65535, 3, 1, 10, 56], but the map 'actuator'" in master.nodes()[0].detail
    assert master.send(order("relay_1", "on", master.t_s)).fate == "timeout" and served.node.acted == 0
    master.close()


def test_without_a_site_file_it_asks_the_line(serve: Serve) -> None:
    served = serve()
    site = found_site(served.url, range(1, 5))
    assert [(node.unit, node.map) for node in site.nodes] == [(1, "actuator"), (2, "sensor"), (3, "nutrient")]
    master = open_equipment(served.url)
    assert {each.name for each in master.devices()} >= {"u1_switch_1", "u1_opener_2", "u2_sensor_13", "u3_nutrient_1"}
    master.close()
    with pytest.raises(ValueError, match="no node with a known map among units 7 to 8"):
        found_site(served.url, range(7, 9))
    with pytest.raises(ValueError, match="cannot open modbus://127.0.0.1"):
        found_site(f"modbus://127.0.0.1:{free_port()}", range(1, 3))


class Deaf:
    """Takes connections and answers with what it is given, or not at all."""

    def __init__(self, answer: Any) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"modbus://127.0.0.1:{self._server.getsockname()[1]}"
        self._answer = answer
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
                self._open.append(peer)
                peer.settimeout(2.0)
                while asked := peer.recv(300):
                    answer: bytes = self._answer(asked) if callable(self._answer) else self._answer  # pyright: ignore[reportAssignmentType]
                    peer.sendall(answer)
            except TimeoutError:
                continue
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for peer in self._open:
            peer.close()
        self._thread.join(5.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff" * 300,
        lambda asked: asked[:5],
        lambda asked: asked[:2] + b"\x00\x00\x00\x05" + asked[6:8] + b"\x04\x00",
        lambda asked: asked[:2] + b"\x00\x00\x00\x03" + asked[6:7] + bytes([asked[7] | 0x80, 6]),
        lambda asked: b"\x77\x77" + asked[2:],
        lambda asked: asked[:2] + b"\x00\x00\x00\x05" + asked[6:8] + b"\x02\x00\x01",
    ],
    ids=["silence", "garbage", "half a frame", "a lie about length", "exception 06", "another's answer", "one register of eight"],
)
def test_broken_peers_raise_nothing(answer: Any) -> None:
    deaf = Deaf(answer)
    site = Site.model_validate({"nodes": [{"unit": 1, "map": "actuator", "devices": {"relay_1": {"switch": 1}}}]})
    master = KsxMaster(site, deaf.url, stale_s=0.0)
    begun = time.monotonic()
    (reading,) = master.read()
    assert isinstance(reading, ActuatorReading) and reading.status == 999 and time.monotonic() - begun < 1.5
    assert master.send(order("relay_1", "on", master.t_s)).fate in ("timeout", "rejected")
    assert not master.nodes()[0].alive and master.nodes()[0].detail
    master.close()
    deaf.close()


def test_with_a_folder_it_keeps_the_minute_log(serve: Serve, tmp_path: Path) -> None:
    times = iter(range(0, 10_000, 20))
    master = open_equipment(serve().url, LEVEL_1, tmp_path, lambda: float(next(times)))
    for _ in range(6):
        master.read()
    master.close()
    log = History(tmp_path / "history.sqlite")
    assert {row.name for row in log.rows(0.0, 1e9)} == {each.name for each in LEVEL_1.fitted}
    log.close()


def test_looking_at_a_line(serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    served = serve()
    assert look.main([served.url, "--print-site"]) == 0
    (tmp_path / "site.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert look.main([served.url, "--site", str(tmp_path / "site.yaml"), "--frames", "3"]) == 0
    said = capsys.readouterr().out
    assert "unit 1: alive" in said and "u2_sensor_1" in said and "28.8  0 READY good" in said and said.count("->") + said.count("<-") == 3
    served.stop()
    assert look.main([served.url, "--site", str(tmp_path / "site.yaml")]) == 1
    assert "unit 1: DEAD cannot open" in capsys.readouterr().out
    assert look.main(["modbus://"]) == 2 and "no address of a line" in capsys.readouterr().err
    assert served.node.acted == 0


def test_function_codes_and_units(serve: Serve) -> None:
    served = serve()
    with ModbusTcpClient("127.0.0.1", port=served.port, timeout=10.0, retries=0) as client:
        assert client.read_input_registers(1, count=6, device_id=1).registers == [0, 0, 2, 0, 10, 24]
        for register, word in ((503, 201), (504, 7)):
            assert client.write_register(register, word, device_id=1).registers == [word]
        assert client.read_holding_registers(203, count=2, device_id=1).registers == [7, 201]
        assert [client.write_register(203, 1, device_id=1).exception_code, client.read_coils(1, device_id=1).exception_code] == [2, 1]
        assert client.read_holding_registers(203, count=2, device_id=1).registers == [7, 201]
    with ModbusTcpClient("127.0.0.1", port=served.port, timeout=0.3, retries=0) as client, pytest.raises(ModbusIOException):
        client.read_holding_registers(1, count=6, device_id=9)
    assert served.node.acted == 1


def test_a_site_with_devices_that_the_equipment_lacks(serve: Serve) -> None:
    with pytest.raises(ValueError, match="the site names relay_99, but the equipment has air_rh_1, "):
        serve(changed(relay_99={"switch": 1}))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "modbus://",
        "http://host:1",
        "modbus://host:99999999",
        "rtu://host",
        "rtu:///dev/x?baud=0",
        "rtu:///dev/x?speed=1",
        "modbus://h?baud=1",
    ],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a line"):
        open_equipment(url, LEVEL_1)
