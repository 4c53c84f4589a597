"""Real processes: nodes that are killed under load, the paced serial line, the serve command, a domain's house."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served_node import order

from sdx_domains.contract import domain_names, load_domain
from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_ros_nodes.equipment import serve
from sdx_ros_nodes.equipment.bench import NodeProcess, free_port, killed_under_load, over_rtu, over_tcp
from sdx_ros_nodes.equipment.ksx_node import KsxNode
from sdx_ros_nodes.equipment.link import open_equipment
from sdx_ros_nodes.equipment.relay_panel import DEVICES
from sdx_ros_nodes.equipment.site import made_site, read_site


def test_nodes_killed_under_load_recover_and_never_act_twice(tmp_path: Path) -> None:
    restarts = killed_under_load(tmp_path, kills=2)
    assert restarts.recovered and restarts.confirmed > 20
    assert restarts.doubled == 0 and restarts.unseen == 0
    assert restarts.confirmed <= restarts.acted <= restarts.sent


@pytest.mark.slow
def test_round_trips(tmp_path: Path) -> None:
    tcp = over_tcp(tmp_path / "tcp", 20)
    assert tcp.confirmed == 20 and tcp.median_ms < 100.0  # the bar is 20, on an idle machine
    rtu = over_rtu(tmp_path / "rtu", 6)
    assert rtu.confirmed == 6 and 45.0 < rtu.median_ms < 500.0  # 46 bytes at 9600 take 48 ms


def test_a_timed_command_goes_on_over_a_kill(tmp_path: Path) -> None:
    port = free_port()
    node = NodeProcess(["--tcp", str(port)], tmp_path)
    node.start()
    master = open_equipment(f"modbus://127.0.0.1:{port}", made_site(DEVICES))
    try:
        command = order("relay_2", "timed_on", master.t_s, duration_s=60.0)
        told = master.send(command)
        assert told.fate == "confirmed"
        node.kill()
        node.start()
        time.sleep(0.7)
        reading = next(each for each in master.read() if isinstance(each, ActuatorReading) and each.device == "relay_2")
        assert (reading.status, reading.opid) == (201, told.opid) and 30.0 < reading.remaining_s < 60.0
        assert node.actions() == [("relay_2", f"OPID {told.opid}")]
    finally:
        master.close()
        node.kill()


def test_serve_ends_by_itself_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdx_ros_nodes.equipment.serve", "--panel", "--tcp", str(free_port()), "--folder", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().startswith("serving units 1, 2, 3, 4 of panel")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20.0)[1] == "" and process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--panel"], "say where: --tcp PORT or --rtu TTY"),
        (["--tcp", "5020"], "one of the arguments --domain --panel is required"),
        (["--panel", "--tcp", "5020", "--speed", "0"], "--speed 0 is not between"),
        (["--domain", "farm", "--tcp", "5020"], "say which house: --scenario NAME"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--domain", "orchard", "--scenario", "x", "--tcp", "5020"], "no domain 'orchard'; installed: "),
        (["--domain", "ship", "--scenario", "x", "--tcp", "5020"], "the domain 'ship' steers no devices"),
        (["--panel", "--rtu", "/dev/absent"], "cannot serve on /dev/absent"),
        (["--panel", "--tcp", "here"], "--tcp here: the port is a number"),
        (["--panel", "--tcp", "5020", "--site", "/absent.yaml"], "the site file /absent.yaml cannot be read"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_site_that_is_printed_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--panel", "--print-site"]) == 0
    (tmp_path / "site.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert {each.name for each in read_site(tmp_path / "site.yaml").fitted} == {each.name for each in DEVICES}


@pytest.mark.skipif("farm" not in domain_names(), reason="no farm here")
def test_a_simulated_house_stands_behind_the_bus(serve, tmp_path: Path) -> None:  # pyright: ignore[reportMissingParameterType]
    pytest.importorskip("numba")
    house = load_domain("farm").house("spring-nl-0", 0)  # pyright: ignore[reportAttributeAccessIssue]
    site = made_site(house.devices())
    served = serve(site, panel=house, speed=600.0)
    assert isinstance(served.node, KsxNode)
    master = open_equipment(served.url, site)
    try:
        told = master.send(order("vent_lee", "set_position", master.t_s, position_pct=30.0))
        watered = master.send(order("irrigation_valve", "water", master.t_s, l_m2=0.2, ec_ds_m=2.6, ph=5.8))
        assert (told.fate, watered.fate) == ("confirmed", "confirmed")
        ends = time.monotonic() + 20.0
        while True:
            readings = master.read()
            vent = next(each for each in readings if isinstance(each, ActuatorReading) and each.device == "vent_lee")
            if vent.status == 0 and vent.position_pct == 30.0:
                break
            assert time.monotonic() < ends, vent
            time.sleep(0.05)
        values = {each.sensor: each.value for each in readings if isinstance(each, SensorReading)}
        assert -5.0 < (values["air_temp_1"] or 99.0) < 45.0 and 300.0 < (values["co2_1"] or 0.0) < 2000.0
    finally:
        master.close()
