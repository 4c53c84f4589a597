"""Is what answers at an address a KS X 3267/3288 node? Moves its first switch, opener and nutrient unit. Start at run().

    python -m sdx_ros_nodes.equipment.conformance tcp://127.0.0.1:5020
    python -m sdx_ros_nodes.equipment.conformance "rtu:///dev/ttyUSB0?baud=9600" --time-s 10

After SPS-X KOAT-0004-7466 (5.1 node information, 5.2 switches and openers with time, 5.3 same OPID, 5.4 and 5.5 the controller, here
this package's master), KOAT 116 (logging, loss, recovery) and the rules of KS X 3267 for exceptions and the control right.
"""

import argparse
import csv
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from sdx_domains.equipment import ActuatorCommand, Operation, SensorReading
from sdx_ros_nodes.equipment.history import History
from sdx_ros_nodes.equipment.line import Line, NoAnswerError, RefusedError, read_address
from sdx_ros_nodes.equipment.link import found_site, open_equipment
from sdx_ros_nodes.equipment.node_channel import HELD
from sdx_ros_nodes.equipment.register_map import book, encode
from sdx_ros_nodes.equipment.site import Site
from sdx_ros_nodes.equipment.subject import CheckError, Subject, Tested, expect, nodes_on

SOON_S = 3.0
"""A node shows a command within this."""
LOG_MINUTES = 20
QUIET_S = 0.4
"""What must do nothing is watched for so long."""
UNITS = range(1, 9)


@dataclass(frozen=True)
class Check:
    """One row of the table. `passed` None: the nodes have nothing that it could be tried on."""

    section: str
    title: str
    passed: bool | None
    detail: str = ""


@dataclass
class Trial:
    """What the checks share."""

    url: str
    line: Line
    nodes: list[Tested]
    time_s: int
    site: Site | None

    def first(self, *types: str) -> Subject | None:
        return next((Subject(node, slot) for type in types for node in self.nodes for slot in node.slots(type)), None)

    def switch(self) -> Subject | None:
        return self.first("switch/level1", "switch/level2")

    def opener(self) -> Subject | None:
        return self.first("retractable/level1", "retractable/level2")

    def nutrient(self) -> Subject | None:
        return self.first("nutrient-supply/level3")


class NotThereError(Exception):
    """Nothing to try it on."""


def there(found: Subject | None, what: str) -> Subject:
    if found is None:
        raise NotThereError(f"no {what} is fitted")
    return found


def _node_info(trial: Trial) -> str:
    expect(bool(trial.nodes), "no node with a known map answered")
    for node in trial.nodes:
        expect(node.info[2] in (1, 2, 3), f"unit {node.unit}: product type {node.info[2]}")
        expect(node.info[4] in (10, 20, 30, 31), f"unit {node.unit}: protocol version {node.info[4]}")
        expect(node.info[5] >= len(node.map.places), f"unit {node.unit}: {node.info[5]} channels for {len(node.map.places)} slots")
    return "; ".join(f"unit {node.unit}: {node.info[:6]}" for node in trial.nodes)


def _device_codes(trial: Trial) -> str:
    for node in trial.nodes:
        for slot, code in zip(node.map.places, node.codes, strict=True):
            expect(code in (0, slot.code), f"unit {node.unit}, register {100 + slot.index}: code {code}, but {slot.name} is {slot.code}")
    return f"{sum(code != 0 for node in trial.nodes for code in node.codes)} devices fitted"


def _sensors(trial: Trial) -> str:
    count = 0
    for node in trial.nodes:
        for slot in (slot for type in {each.type for each in node.map.places} for slot in node.slots(type) if slot.family == "sensor"):
            status = node.status(slot)
            expect(isfinite(status["value"]), f"unit {node.unit}, {slot.name}: value {status['value']}")
            expect(int(status["status"]) in book().statuses, f"unit {node.unit}, {slot.name}: status {status['status']:g}")
            count += 1
    if not count:
        raise NotThereError("no sensor is fitted")
    return f"{count} sensors"


def _timed(subject: Subject, operation: str, running: int, trial: Trial) -> None:
    """It runs, its time counts down, it is READY again."""
    opid = subject.tell(operation, time=trial.time_s)
    first = subject.until(f"{running}", lambda status: status["status"] == running and status["opid"] == opid, SOON_S)
    expect(0 < first["remain-time"] <= trial.time_s, f"remaining {first['remain-time']:g} s of {trial.time_s} s")
    subject.until("counting down", lambda status: status["remain-time"] < first["remain-time"], trial.time_s + SOON_S)
    done = subject.until("READY when its time was over", lambda status: status["status"] == 0, trial.time_s + 10.0)
    expect(done["opid"] in (0, opid), f"at READY the OPID is {done['opid']:g}, neither 0 nor {opid}")


def _stopped(subject: Subject, operation: str, running: int) -> None:
    """STOP ends a timed command before its time."""
    opid = subject.tell(operation, time=600)
    subject.until(f"{running}", lambda status: status["status"] == running and status["opid"] == opid, SOON_S)
    subject.ready()
    expect(subject.status()["remain-time"] == 0, "time remains after STOP")


def _switch(trial: Trial) -> str:
    subject = there(trial.switch(), "switch")
    subject.ready()
    _timed(subject, "timed_on", 201, trial)
    _stopped(subject, "timed_on", 201)
    opid = subject.tell("on")
    subject.until("ON", lambda status: status["status"] == 201 and status["opid"] == opid, SOON_S)
    subject.ready()
    return f"{subject.slot.name} of unit {subject.node.unit}"


def _opener(trial: Trial) -> str:
    subject = there(trial.opener(), "opener")
    subject.ready()
    _timed(subject, "timed_open", 301, trial)
    _timed(subject, "timed_close", 302, trial)
    subject.tell("timed_open", time=1)
    subject.until("READY", lambda status: status["status"] == 0, 12.0)
    _stopped(subject, "timed_open", 301)
    return f"{subject.slot.name} of unit {subject.node.unit}"


def _same_opid(subject: Subject, operation: str, running: int) -> str:
    """After STOP with an OPID, a command with the same one does nothing; with a new one it acts. OPID 0 is none."""
    subject.ready()
    for opid, why in ((subject.opid, "the same OPID"), (0, "OPID 0")):
        subject.tell(operation, opid, time=30)
        subject.stays(f"READY at {why}", lambda status: status["status"] == 0, QUIET_S)
    opid = subject.tell(operation, time=30)
    subject.until(f"{running}", lambda status: status["status"] == running and status["opid"] == opid, SOON_S)
    subject.tell("stop", opid)
    subject.stays("running at STOP with the same OPID", lambda status: status["status"] == running, QUIET_S)
    subject.ready()
    return "2022 dialect: OPID 0 at READY" if subject.status()["opid"] == 0 else "older dialect: the last OPID stays at READY"


def _same_opid_switch(trial: Trial) -> str:
    return _same_opid(there(trial.switch(), "switch"), "timed_on", 201)


def _same_opid_opener(trial: Trial) -> str:
    return _same_opid(there(trial.opener(), "opener"), "timed_open", 301)


def _position(trial: Trial) -> str:
    subject = there(trial.first("retractable/level2"), "level-2 opener")
    subject.ready()
    wanted = 60 if subject.status()["position"] < 50 else 20
    opid = subject.tell("set_position", position=wanted)
    subject.until("under way", lambda status: status["opid"] == opid or abs(status["position"] - wanted) <= 1, SOON_S)
    subject.ready()
    subject.refuses("set_position", position=101)
    return f"{subject.slot.name} of unit {subject.node.unit}"


def _nutrient(trial: Trial) -> str:
    subject = there(trial.nutrient(), "nutrient unit")
    subject.ready()
    opid = subject.tell("water_mixed", start_area=1, stop_area=1, on_sec=30, EC=2.6, pH=5.8)
    subject.until("supplying", lambda status: status["status"] in (401, 402) and status["opid"] == opid, SOON_S)
    subject.ready()
    subject.refuses("water_area", start_area=1, stop_area=1, on_sec=0)
    subject.refuses("water_area", start_area=3, stop_area=1, on_sec=10)
    return f"{subject.slot.name} of unit {subject.node.unit}"


def _refusals(trial: Trial) -> str:
    """Exception 03 for what the level does not have or makes no sense; 02 outside the map; a refused OPID is not used up."""
    tried = 0
    for subject, timed, other in ((trial.switch(), "timed_on", "directional_on"), (trial.opener(), "timed_open", "set_position")):
        if subject is None:
            continue
        subject.ready()
        subject.refuses(timed, time=0)
        subject.refuses(999)
        if other not in book().obeys[subject.slot.type]:
            subject.refuses(other, time=10)
        tried += 1
    empty = next((s for n in trial.nodes for s, code in zip(n.map.places, n.codes, strict=True) if s.write and not code), None)
    if empty is not None:
        node = next(n for n in trial.nodes if empty in n.map.places)
        Subject(node, empty).refuses(book().obeys[empty.type][1], time=10)
    try:
        trial.line.read(trial.nodes[0].unit, 9000, 4)
        raise CheckError("registers 9000 to 9003 were answered")
    except RefusedError as error:
        expect(error.code == 2, f"registers 9000 to 9003: {error} instead of exception 02")
    if not tried:
        raise NotThereError("no switch or opener is fitted")
    return f"{tried} devices" + (", an empty slot" if empty else "")


def _control_right(trial: Trial) -> str:
    """In LOCAL a command is not carried out and the status says who has it; REMOTE gives it back."""
    subject = there(trial.switch() or trial.opener(), "switch or opener")
    node, code, rights = subject.node, book().operations["set_control"], book().control_rights
    area = node.map.node.write
    if area is None or "control" not in area.layout(code):
        raise NotThereError("the node has no control right")
    operation, running = ("timed_on", 201) if subject.slot.family == "switch" else ("timed_open", 301)
    subject.ready()
    first = int(time.time()) % 60000 + 1
    line, items = trial.line, area.layout(code)
    try:
        line.write(node.unit, area.start, encode(items, {"operation": code, "opid": first, "control": rights["LOCAL"]}))
        subject.tell(operation, time=30)
        subject.until("in a person's hands", lambda status: status["status"] == HELD[subject.slot.family], SOON_S)
        subject.stays("in a person's hands", lambda status: status["status"] != running and status["remain-time"] == 0, QUIET_S)
    finally:
        line.write(node.unit, area.start, encode(items, {"operation": code, "opid": first + 1, "control": rights["REMOTE"]}))
    subject.until("READY after LOCAL: the command was not kept", lambda status: status["status"] == 0, SOON_S)
    subject.tell(operation, time=30)
    subject.until("running in REMOTE", lambda status: status["status"] == running, SOON_S)
    subject.ready()
    return f"{subject.slot.name} of unit {node.unit}"


def _noise(trial: Trial) -> str:
    """Garbage, half a frame and a wrong CRC change nothing, and the next request is answered."""
    subject = there(trial.switch() or trial.opener(), "switch or opener")
    subject.ready()
    frame = bytes([subject.node.unit, 16, *subject.write.start.to_bytes(2, "big"), 0, 4, 8, 0, 201, 0x7F, 0x7F, 0, 0, 0, 9])
    at = read_address(trial.url)
    for noise in (os.urandom(40), frame[:7], frame + b"\x12\x34"):
        _spoil(trial, at.baud > 0, noise, (at.host, at.port))
        subject.until("READY after noise", lambda status: status["status"] == 0, SOON_S)
    return "random bytes, half a frame, a wrong CRC"


def _spoil(trial: Trial, serial: bool, noise: bytes, at: tuple[str, int]) -> None:
    if serial:
        trial.line.disturb(noise)
    else:
        with socket.create_connection(at, timeout=SOON_S) as other:
            other.sendall(noise)
    ends = time.monotonic() + SOON_S
    while True:
        try:
            trial.line.read(trial.nodes[0].unit, 1, 6)
            return
        except NoAnswerError as error:
            expect(time.monotonic() < ends, f"no answer within {SOON_S:g} s after noise: {error}")


def _loss(trial: Trial) -> str:
    node = trial.nodes[0]
    answered = 0
    for _ in range(100):
        with suppress(NoAnswerError):
            trial.line.read(node.unit, node.map.node.read.start, node.map.node.read.size)
            answered += 1
    expect(answered >= 97, f"{100 - answered} of 100 requests lost")
    return f"{100 - answered} of 100 requests lost"


def _reconnect(trial: Trial) -> str:
    trial.line.close()
    trial.line.read(trial.nodes[0].unit, 1, 6)
    return "answered after the connection was closed"


def _controller(trial: Trial) -> str:
    """The master finds the nodes, reads values with quality, and its timed command and stop are confirmed."""
    master = open_equipment(trial.url, trial.site)
    try:
        readings = master.read()
        expect(all(node.alive for node in master.nodes()), f"nodes: {master.nodes()}")
        sensors = [each for each in readings if isinstance(each, SensorReading)]
        expect(all(each.value is not None or each.status for each in sensors), "a sensor without value and without fault")
        kinds: tuple[tuple[str, Operation], ...] = (("switch", "timed_on"), ("opener", "timed_open"))
        told = 0
        for kind, op in kinds:
            device = next((each for each in master.devices() if each.kind == kind), None)
            if device is None:
                continue
            both: tuple[tuple[Operation, float], ...] = ((op, 30.0), ("stop", 0.0))
            for what, seconds in both:
                now = master.t_s
                command = ActuatorCommand(
                    id=f"conformance-{device.name}-{what}-{now}", device=device.name, op=what, duration_s=seconds, issued_s=now,
                    expires_s=now + 600, issuer="person",
                )  # fmt: skip
                result = master.send(command)
                expect(result.fate == "confirmed", f"{what} of {device.name}: {result.fate}, {result.detail}")
                told += 1
        return f"{len(sensors)} values, {told} commands confirmed"
    finally:
        master.close()


def _history(trial: Trial) -> str:
    """Every minute has its row, the CSV holds them all, and after a restart it goes on. A scan here stands for half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        path, sheet = Path(folder) / "history.sqlite", Path(folder) / "rows.csv"
        master = open_equipment(trial.url, trial.site)
        names = [each.name for each in master.devices() if each.kind != "opener"]
        try:
            for begins in (0, LOG_MINUTES // 2):  # the log is closed and opened again on the way
                log = History(path)
                for half_minute in range(2 * begins, 2 * begins + LOG_MINUTES):
                    log.take(master.read(), 30.0 * half_minute)
                log.close()
        finally:
            master.close()
        log = History(path)
        lost = log.lost_share(0.0, 60.0 * LOG_MINUTES, names)
        rows = log.export_csv(sheet, 0.0, 60.0 * LOG_MINUTES)
        log.close()
        with sheet.open(encoding="utf-8") as file:
            expect(sum(1 for _ in csv.reader(file)) == rows + 1, "the CSV file lacks rows")
        expect(lost < 0.03, f"{100 * lost:.1f} % of the minutes lost")
        return f"{rows} rows of {LOG_MINUTES} minutes, {100 * lost:.1f} % lost"


CHECKS: tuple[tuple[str, str, Callable[[Trial], str]], ...] = (
    ("5.1", "node information", _node_info),
    ("5.1", "device codes", _device_codes),
    ("5.1", "sensor values and status codes", _sensors),
    ("5.2.1", "switch: 202 counts down to READY, stop, 201", _switch),
    ("5.2.2", "opener: 303 and 304 count down to READY, stop", _opener),
    ("5.3", "switch: same OPID and OPID 0 ignored", _same_opid_switch),
    ("5.3", "opener: same OPID and OPID 0 ignored", _same_opid_opener),
    ("KS X 3267", "level-2 opener: set position", _position),
    ("KS X 3288", "nutrient unit: 402, 403", _nutrient),
    ("KS X 3267", "exceptions 02 and 03", _refusals),
    ("KS X 3267", "control right", _control_right),
    ("KS X 3267", "noise on the line", _noise),
    ("KOAT 116", "data loss below 3 %", _loss),
    ("KOAT 116", "recovery after a broken connection", _reconnect),
    ("5.4, 5.5", "controller: search, values, confirmed commands", _controller),
    ("5.4, 5.5", "logging each minute, CSV, recovery", _history),
)


def run(
    url: str,
    site: Site | None = None,
    time_s: int = 3,
    units: range = UNITS,
    progress: Callable[[Check], None] | None = None,
) -> list[Check]:
    """All checks against an address.

    Args:
        site: for the controller's checks; None: what the nodes say that they have.
        time_s: of the timed commands; of a simulated house that runs fast, take more.
        units: that are asked for.
        progress: is told each check as it ends.

    Raises:
        ValueError: a bad address.
    """
    line = Line(url)
    try:
        trial = Trial(url, line, nodes_on(line, units), time_s, site)
        table: list[Check] = []
        for section, title, check in CHECKS:
            if check is _controller:
                line.close()  # a serial port has one master
                trial.site = site or found_site(url, units)
            table.append(_checked(section, title, check, trial))
            if progress:
                progress(table[-1])
            if not trial.nodes:
                break
        return table
    finally:
        line.close()


def _checked(section: str, title: str, check: Callable[[Trial], str], trial: Trial) -> Check:
    try:
        return Check(section, title, True, check(trial))
    except NotThereError as error:
        return Check(section, title, None, str(error))
    except (CheckError, NoAnswerError, RefusedError, ValueError) as error:
        return Check(section, title, False, str(error))


def _units(text: str) -> range:
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= 247:
        raise ValueError(f"--units {text}: write the first and the last of 1 to 247, as in 1-8")
    return range(int(found[1]), int(found[2]) + 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.equipment.conformance", description="Try KS X 3267/3288 nodes.")
    parser.add_argument("address", help="tcp://HOST:PORT or rtu:///dev/ttyUSB0?baud=9600; its first switch, opener and nutrient unit MOVE")
    parser.add_argument("--time-s", type=int, default=3, help="of timed commands")
    parser.add_argument("--units", default="1-8", help="first and last unit to ask for")
    read = parser.parse_args(arguments)
    marks = {True: "pass", False: "FAIL", None: "none"}

    def tell(check: Check) -> None:
        print(f"{marks[check.passed]}  {check.section:<10} {check.title:<50} {check.detail}", flush=True)

    try:
        table = run(read.address, time_s=read.time_s, units=_units(read.units), progress=tell)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed, tried = sum(check.passed is False for check in table), sum(check.passed is not None for check in table)
    print(f"{tried - failed} of {tried} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
