"""The suite passes our node over TCP and over a serial line, and fails what only looks like one."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from served_node import LEVEL_1

from sdx_ros_nodes.equipment import conformance
from sdx_ros_nodes.equipment.bench import free_port, node_process
from sdx_ros_nodes.equipment.paced_line import PacedLine
from sdx_ros_nodes.equipment.register_map import built_in
from sdx_ros_nodes.equipment.site import write_site


def test_a_node_process_passes_over_tcp_and_over_a_serial_line(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(write_site(LEVEL_1), encoding="utf-8")
    level_1 = ["--site", str(tmp_path / "site.yaml")]
    port = free_port()
    with (
        PacedLine(2, 0) as line,
        node_process(["--tcp", str(port), *level_1], tmp_path / "tcp"),
        node_process(["--rtu", line.paths[1], *level_1], tmp_path / "rtu"),
        ThreadPoolExecutor(2) as pool,
    ):
        urls = [f"tcp://127.0.0.1:{port}", f"rtu://{line.paths[0]}"]
        for url, table in zip(urls, pool.map(lambda url: conformance.run(url, LEVEL_1, time_s=1, units=range(1, 4)), urls), strict=True):
            wrong = [check for check in table if check.passed is False]
            assert not wrong, f"{url}: {wrong}"
            absent = [check.title for check in table if check.passed is None]
            assert absent == ["level-2 opener: set position"]


class Dumb:
    """Keeps whatever is written: registers of an actuator node without its rules."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._up.wait(10.0)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        registers = [0] * 700
        registers[1:7] = built_in()["actuator"].info.registers()
        registers[101], registers[117] = 102, 112
        data = SimData(0, values=registers, datatype=DataType.REGISTERS)
        self._server = ModbusTcpServer([SimDevice(1, simdata=[data])], address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)
        self._stop = asyncio.Event()
        self._up.set()
        await self._stop.wait()
        await self._server.shutdown()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)


def test_what_only_looks_like_a_node_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "SOON_S", 0.2)
    dumb = Dumb()
    try:
        table = conformance.run(f"tcp://127.0.0.1:{dumb.port}", time_s=1, units=range(1, 2))
    finally:
        dumb.stop()
    passed = {check.title: check.passed for check in table}
    assert passed["node information"] and passed["device codes"]
    for title in (
        "switch: 202 counts down to READY, stop, 201",
        "opener: same OPID and OPID 0 ignored",
        "exceptions 02 and 03",
        "control right",
    ):
        assert passed[title] is False


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main([f"tcp://127.0.0.1:{free_port()}", "--units", "1-2"]) == 1
    assert "no node with a known map answered" in capsys.readouterr().out
    assert conformance.main(["ftp://x"]) == 2
    assert "no address of a line" in capsys.readouterr().err
    assert conformance.main(["tcp://127.0.0.1:5020", "--units", "0-300"]) == 2
    assert "--units 0-300: write the first and the last" in capsys.readouterr().err
