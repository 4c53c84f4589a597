"""A device under test, spoken to register by register, as a test bench does: no conveniences of the master."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sdx_ros_nodes.equipment.line import Line, NoAnswerError, RefusedError
from sdx_ros_nodes.equipment.register_map import CODES_START, INFO_START, Area, NodeMap, Slot, book, built_in, decode, encode, map_of, size

POLL_S = 0.02


class CheckError(Exception):
    """A check failed; says what was seen."""


def expect(true: bool, seen: str) -> None:
    if not true:
        raise CheckError(seen)


@dataclass
class Tested:
    """One node on the line."""

    line: Line
    unit: int
    info: list[int]
    map: NodeMap
    codes: list[int]

    def slots(self, type: str) -> list[Slot]:
        """Fitted slots of a type."""
        return [slot for slot, code in zip(self.map.places, self.codes, strict=True) if slot.type == type and code == slot.code]

    def status(self, slot: Slot) -> dict[str, float]:
        return decode(slot.read.items, self.line.read(self.unit, slot.read.start, slot.read.size))


@dataclass
class Subject:
    """One actuator. Its OPIDs go on from what the node holds."""

    node: Tested
    slot: Slot
    opid: int = field(init=False)

    def __post_init__(self) -> None:
        self.opid = self._last_opid()

    @property
    def write(self) -> Area:
        assert self.slot.write is not None
        return self.slot.write

    def _last_opid(self) -> int:
        try:
            items = self.write.items
            return int(decode(items, self.node.line.read(self.node.unit, self.write.start, size(items)))["opid"])
        except RefusedError:
            return int(time.time()) % 60000

    def status(self) -> dict[str, float]:
        return self.node.status(self.slot)

    def tell(self, operation: str | int, opid: int | None = None, /, **fields: float) -> int:
        """Write a command with the next OPID, or with the one given; says which. RefusedError."""
        if opid is None:
            self.opid = opid = self.opid % 65535 + 1
        code = operation if isinstance(operation, int) else book().operations[operation]
        values = {name.replace("_", "-"): value for name, value in fields.items()} | {"operation": code, "opid": opid}
        self.node.line.write(self.node.unit, self.write.start, encode(self.write.layout(code), values))
        return opid

    def refuses(self, operation: str | int, /, **fields: float) -> None:
        """CheckError unless the node answers with exception 03."""
        try:
            self.tell(operation, None, **fields)
        except RefusedError as error:
            expect(error.code == 3, f"{operation} {fields}: {error} instead of exception 03")
        else:
            raise CheckError(f"{operation} {fields} of {self.slot.name} was taken; exception 03 was due")

    def until(self, what: str, true: Callable[[dict[str, float]], bool], within_s: float) -> dict[str, float]:
        """Poll the status block. CheckError names what did not come."""
        ends = time.monotonic() + within_s
        while True:
            status = self.status()
            if true(status):
                return status
            expect(time.monotonic() < ends, f"{self.slot.name}: not {what} within {within_s:g} s; it reads {_words(status)}")
            time.sleep(POLL_S)

    def stays(self, what: str, true: Callable[[dict[str, float]], bool], for_s: float) -> None:
        """CheckError when it changes."""
        ends = time.monotonic() + for_s
        while time.monotonic() < ends:
            status = self.status()
            expect(true(status), f"{self.slot.name}: no longer {what}; it reads {_words(status)}")
            time.sleep(POLL_S)

    def ready(self) -> None:
        """Stop it and wait."""
        self.tell("stop")
        self.until("READY", lambda status: status["status"] == 0, 10.0)


def _words(status: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in status.items())


def nodes_on(line: Line, units: range) -> list[Tested]:
    """Nodes with a built-in map."""
    found: list[Tested] = []
    for unit in units:
        try:
            info = line.read(unit, INFO_START, 8, once=True)
            name = map_of(info)
            if name is None:
                continue
            map = built_in()[name]
            found.append(Tested(line, unit, info, map, line.read(unit, CODES_START, len(map.places))))
        except (NoAnswerError, RefusedError):
            continue
    return found
