"""`sdx bench DOMAIN --suite equipment`: the bus that every domain with devices shares, on nodes in processes of their own."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdx_domains.contract import Measuring
from sdx_ros_nodes.equipment import bench, conformance

TCP_MS, RTU_MS = 20.0, 500.0
"""Longest command round trip, 95 of 100."""


def equipment(asked: Measuring) -> dict[str, Any]:
    """Conformance to KS X 3267/3288 over TCP and a serial pair, command round trips, and nodes killed under load; minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checks = {"tcp": _over_tcp(folder / "checks-tcp", asked), "rtu": _over_rtu(folder / "checks-rtu", asked)}
        tcp, rtu = bench.over_tcp(folder / "tcp"), bench.over_rtu(folder / "rtu")
        asked.say(f"round trips: {tcp} over TCP, {rtu} over RTU")
        restarts = bench.killed_under_load(folder / "killed", asked.count or 6)
    failed = {line: [check["title"] for check in table if check["passed"] is False] for line, table in checks.items()}
    return {
        "checks": {line: len(table) for line, table in checks.items()},
        "failed": failed,
        "round_trip_tcp": asdict(tcp),
        "round_trip_rtu": asdict(rtu),
        "restarts": asdict(restarts),
        "within_bars": not any(failed.values()) and tcp.p95_ms <= TCP_MS and rtu.p95_ms <= RTU_MS and restarts.recovered
        and not restarts.doubled and not restarts.unseen,
    }  # fmt: skip


def _over_tcp(folder: Path, asked: Measuring) -> list[dict[str, Any]]:
    port = bench.free_port()
    with bench.node_process(["--tcp", str(port)], folder):
        return _checks(f"modbus://127.0.0.1:{port}", asked)


def _over_rtu(folder: Path, asked: Measuring) -> list[dict[str, Any]]:
    with bench.PacedLine(2, 9600) as line, bench.node_process(["--rtu", line.paths[1], "--baud", "9600"], folder):
        return _checks(f"modbus+rtu://{line.paths[0]}?baud=9600", asked)


def _checks(url: str, asked: Measuring) -> list[dict[str, Any]]:
    table = conformance.run(url, progress=lambda check: asked.say(f"{check.section} {check.title}: {check.passed} {check.detail}"))
    return [asdict(check) for check in table]
