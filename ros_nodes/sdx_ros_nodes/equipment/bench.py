"""Measures the bus: command round trips over TCP and a paced serial line, and nodes that are killed and restarted under load.

python -m sdx_ros_nodes.equipment.bench
"""

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sdx_domains.equipment import ActuatorCommand, Operation
from sdx_ros_nodes.equipment.ksx_master import KsxMaster
from sdx_ros_nodes.equipment.link import open_equipment
from sdx_ros_nodes.equipment.paced_line import PacedLine
from sdx_ros_nodes.equipment.relay_panel import DEVICES
from sdx_ros_nodes.equipment.site import Site, made_site

STARTS_WITHIN_S = 30.0
RECOVERS_WITHIN_S = 20.0


class NodeProcess:
    """A panel of relays served by a process of its own, which can be killed."""

    def __init__(self, where: Sequence[str], folder: Path) -> None:
        self._command = [sys.executable, "-m", "sdx_ros_nodes.equipment.serve", "--panel", "--folder", str(folder), *where]
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it serves. RuntimeError when it does not."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("serving"):
            self.kill()
            raise RuntimeError(f"the node did not start: {' '.join(self._command)}")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(STARTS_WITHIN_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def actions(self) -> list[tuple[str, str]]:
        """(device, OPID) of everything that the relays were made to do."""
        path = self.folder / "actions.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        return [(row["device"], row["reason"]) for row in rows if row["reason"].startswith("OPID")]


@contextmanager
def node_process(where: Sequence[str], folder: Path) -> Iterator[NodeProcess]:
    node = NodeProcess(where, folder)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class RoundTrips:
    """From send() to the confirmed read-back, milliseconds."""

    count: int
    confirmed: int
    median_ms: float
    p95_ms: float


def order(master: KsxMaster, device: str, op: Operation, id: str) -> ActuatorCommand:
    now = master.t_s
    return ActuatorCommand(id=id, device=device, op=op, issued_s=now, expires_s=now + 60.0, issuer="controller")


def timed(master: KsxMaster, command: ActuatorCommand) -> tuple[str, float]:
    """Fate and milliseconds."""
    begun = time.perf_counter()
    fate = master.send(command).fate
    return fate, 1000.0 * (time.perf_counter() - begun)


def round_trips(master: KsxMaster, count: int) -> RoundTrips:
    """One relay on and off."""
    master.read()
    took = [timed(master, order(master, "relay_1", "on" if i % 2 == 0 else "stop", f"round-{i}")) for i in range(count)]
    times = sorted(ms for _, ms in took)
    return RoundTrips(count, sum(fate == "confirmed" for fate, _ in took), median(times), times[int(0.95 * (count - 1))])


def over_tcp(folder: Path, count: int = 200) -> RoundTrips:
    port = free_port()
    with node_process(["--tcp", str(port)], folder / "node"):
        master = open_equipment(f"modbus://127.0.0.1:{port}", made_site(DEVICES), folder / "master")
        try:
            return round_trips(master, count)
        finally:
            master.close()


def over_rtu(folder: Path, count: int = 40, baud: int = 9600) -> RoundTrips:
    """Over a pair of pseudo-terminals that pass bytes at the pace of the baud rate."""
    with PacedLine(2, baud) as line, node_process(["--rtu", line.paths[1], "--baud", str(baud)], folder / "node"):
        master = open_equipment(f"modbus+rtu://{line.paths[0]}?baud={baud}", made_site(DEVICES), folder / "master")
        try:
            return round_trips(master, count)
        finally:
            master.close()


@dataclass(frozen=True)
class Restarts:
    """What two nodes and their master did while the nodes were killed."""

    kills: int
    sent: int
    confirmed: int
    acted: int
    doubled: int
    """OPIDs that a relay acted on more than once."""
    unseen: int
    """Confirmed commands without an action at the relay."""
    recovered: bool
    recovery_s: float
    """Longest time from a restart to the next confirmed command."""


def two_panels(ports: Sequence[int]) -> Site:
    """The relays of two panels on two lines, as a_relay_1 and b_relay_1."""
    nodes = [
        {
            "unit": 3,
            "map": "actuator",
            "url": f"modbus://127.0.0.1:{port}",
            "devices": {f"{label}_relay_{i}": {"switch": i} for i in (1, 2)},
        }
        for label, port in zip("ab", ports, strict=True)
    ]
    return Site.model_validate({"name": "two panels", "nodes": nodes})


def killed_under_load(folder: Path, kills: int = 4) -> Restarts:
    """Two node processes, each killed in turn while commands flow, and started again."""
    ports = [free_port(), free_port()]
    nodes = [NodeProcess(["--tcp", str(port)], folder / label) for label, port in zip("ab", ports, strict=True)]
    master = open_equipment("", two_panels(ports), folder / "master")
    devices = [each.name for each in master.devices()]
    confirmed: set[tuple[str, int]] = set()
    sent = 0
    longest = 0.0

    def load(until: float) -> str:
        """Commands until then; the last device whose command was confirmed."""
        nonlocal sent
        last = ""
        while time.monotonic() < until:
            device = devices[sent % len(devices)]
            op: Operation = "on" if sent // len(devices) % 2 == 0 else "stop"
            result = master.send(order(master, device, op, f"load-{sent}"))
            sent += 1
            if result.fate == "confirmed":
                confirmed.add((device, result.opid))
                last = device
        return last

    def answered(label: str) -> bool:
        nonlocal longest
        begun = time.monotonic()
        while time.monotonic() < begun + RECOVERS_WITHIN_S:
            if load(time.monotonic() + 0.05).startswith(label):
                longest = max(longest, time.monotonic() - begun)
                return True
        return False

    try:
        for node in nodes:
            node.start()
        recovered = all([answered("a"), answered("b")])
        longest = 0.0
        for number in range(kills):
            load(time.monotonic() + 0.3)
            nodes[number % 2].kill()
            load(time.monotonic() + 0.5)
            nodes[number % 2].start()
            recovered = answered("ab"[number % 2]) and recovered
    finally:
        master.close()
        for node in nodes:
            node.kill()
    acted = [
        (f"{label}_{device}", int(reason.split()[1])) for label, node in zip("ab", nodes, strict=True) for device, reason in node.actions()
    ]
    doubled = sum(count > 1 for count in Counter(acted).values())
    return Restarts(kills, sent, len(confirmed), len(acted), doubled, len(confirmed - set(acted)), recovered, longest)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.equipment.bench", description="Measure the bus.")
    parser.add_argument("--kills", type=int, default=6)
    read = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tcp = over_tcp(folder / "tcp")
        print(f"TCP              {tcp}", flush=True)
        rtu = over_rtu(folder / "rtu")
        print(f"RTU at 9600 8N1  {rtu}", flush=True)
        restarts = killed_under_load(folder / "kill", read.kills)
        print(f"nodes killed     {restarts}", flush=True)
    good = tcp.p95_ms <= 20.0 and rtu.p95_ms <= 500.0 and restarts.recovered and not restarts.doubled and not restarts.unseen
    print("within the bars: command round trip 20 ms TCP, 500 ms RTU; recovered, no double action" if good else "NOT within the bars")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
