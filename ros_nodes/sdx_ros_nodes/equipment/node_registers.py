"""The registers of one node, over any equipment: reads come from read-backs, writes become commands under the rules for OPIDs.

KS X 3267: a command acts only when its OPID is another than the last one and not 0; a refused one (exception 03) changes nothing; in
LOCAL and MANUAL nothing acts. What was seen is on disk before it acts, so that a node that was killed never acts twice.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, Reading, SensorReading
from sdx_ros_nodes.equipment.durable_map import DurableMap
from sdx_ros_nodes.equipment.node_channel import HELD, SETTLE_S, Channel, UnlawfulError
from sdx_ros_nodes.equipment.register_map import CODES_START, INFO_SIZE, INFO_START, Area, Slot, book, decode, encode, size, words
from sdx_ros_nodes.equipment.site import Fitted, NodeAt, SensorAt, Site

ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 2, 3, 4
"""Modbus exception codes."""
ERROR = 1

Send = Callable[[ActuatorCommand], CommandResult]

log = logging.getLogger(__name__)


@dataclass
class Command:
    """A command block. `channel` None: the node's own; `slot` without channel: nothing is fitted."""

    area: Area
    channel: Channel | None
    slot: Slot | None
    registers: list[int]

    @property
    def opid_place(self) -> int:
        """Register of the OPID, from the area's start."""
        return size(self.area.items[: self.area.items.index("opid")])


class NodeRegisters:
    """One unit."""

    def __init__(self, site: Site, node: NodeAt, send: Send, memory: DurableMap, now_s: float, keep_opid: bool) -> None:
        self.unit = node.unit
        self.map = site.map_of(node)
        self.acted = 0
        """Commands that were handed to the equipment."""
        self._send, self._memory, self._keep = send, memory, keep_opid
        self._now_s = now_s
        self._sensors: dict[str, SensorReading] = {}
        fitted = {each.slot.index: each for each in site.fitted if each.node is node}
        self._fitted = fitted
        self._channels = {index: self._remembered(each) for index, each in fitted.items() if not isinstance(each.at, SensorAt)}
        own = memory.get(self._key("node"))
        self._right: int = own.get("right", book().control_rights["REMOTE"])
        self._node_opid: int = own.get("seen", 0)
        self._commands = [self._command(slot, slot.write) for slot in self.map.places if slot.write]
        if self.map.node.write:
            self._commands.insert(0, Command(self.map.node.write, None, None, [0] * size(self.map.node.write.items)))
        self._blocks = self._readable()

    def _key(self, name: str) -> str:
        return f"{self.unit}/{name}"

    def _remembered(self, fitted: Fitted) -> Channel:
        """A channel with what a former process knew. A command goes on if the first read-back says that its device still runs."""
        entry = self._memory.get(self._key(fitted.name))
        channel = Channel(fitted, seen=entry.get("seen", 0))
        if entry.get("operation", "stop") not in ("stop", "set_position"):
            left_s = entry["ends_wall_s"] - time.time() if entry["ends_wall_s"] else 0.0
            channel.resume(entry["operation"], self._now_s - SETTLE_S - 1.0, self._now_s + left_s if entry["ends_wall_s"] else 0.0)
        return channel

    def _command(self, slot: Slot, area: Area) -> Command:
        """A command block; it goes on showing the last OPID, so that a master without a memory does not repeat it."""
        channel = self._channels.get(slot.index)
        command = Command(area, channel, slot, [0] * area.size)
        command.registers[command.opid_place] = channel.seen if channel else 0
        return command

    def _readable(self) -> list[tuple[int, int, Callable[[], list[int]]]]:
        """Start, size and source of every run of registers, in order."""
        info = self.map.info.registers() + words(self.unit, "uint32")
        codes = [slot.code if slot.index in self._fitted else 0 for slot in self.map.places]
        blocks: list[tuple[int, int, Callable[[], list[int]]]] = [
            (INFO_START, INFO_SIZE, lambda: info),
            (CODES_START, len(codes), lambda: codes),
            (self.map.node.read.start, self.map.node.read.size, self._node_status),
        ]
        blocks += [(slot.read.start, slot.read.size, lambda slot=slot: self._status(slot)) for slot in self.map.places]
        blocks += [(each.area.start, len(each.registers), lambda each=each: each.registers) for each in self._commands]
        return sorted(blocks, key=lambda block: block[0])

    @property
    def end(self) -> int:
        """The first register after the last."""
        return max(start + wide for start, wide, _ in self._blocks)

    def read(self, address: int, count: int) -> list[int] | int:
        """Registers, or a Modbus exception code where one of them is not of the map."""
        out: list[int] = []
        for start, wide, source in self._blocks:
            low, high = max(start, address), min(start + wide, address + count)
            if low < high:
                if low != address + len(out):
                    return ILLEGAL_ADDRESS
                out += source()[low - start : high - start]
        return out if len(out) == count else ILLEGAL_ADDRESS

    def _node_status(self) -> list[int]:
        values = {"opid": self._node_opid if self._keep else 0, "control": self._right, "epoch": max(self._now_s, 0.0)}
        return encode(self.map.node.read.items, values)

    def _status(self, slot: Slot) -> list[int]:
        fitted = self._fitted.get(slot.index)
        if fitted is None:
            return [0] * slot.read.size
        channel = self._channels.get(slot.index)
        return self._sensor_status(fitted) if channel is None else self._channel_status(slot, channel)

    def _sensor_status(self, fitted: Fitted) -> list[int]:
        """A sensor that gave no number reads 0 and a status that is not "ready"."""
        assert isinstance(fitted.at, SensorAt)
        reading = self._sensors.get(fitted.name)
        if reading is None or reading.value is None:
            return encode(fitted.slot.read.items, {"value": 0.0, "status": (reading.status if reading else 0) or ERROR})
        raw = (reading.value - fitted.at.offset) / fitted.at.scale
        try:
            return encode(fitted.slot.read.items, {"value": raw, "status": reading.status})
        except ValueError:
            return encode(fitted.slot.read.items, {"value": 0.0, "status": reading.status or ERROR})

    def _channel_status(self, slot: Slot, channel: Channel) -> list[int]:
        held = not self._remote(channel)
        position = channel.reading.position_pct if channel.reading else None
        values = {
            "opid": channel.running or (channel.seen if self._keep else 0),
            "status": HELD[slot.family] if held else channel.status,
            "remain-time": channel.remaining_s,
            "position": position or 0.0,
            "area": channel.at.areas[0] if channel.running else 0,
        }
        return encode(slot.read.items, values)

    def _remote(self, channel: Channel) -> bool:
        return self._right == book().control_rights["REMOTE"] and channel.right == "REMOTE"

    def write(self, address: int, values: Sequence[int], now_s: float) -> int:
        """Take a write; 0 or a Modbus exception code. Either every command in it is lawful, or none acts."""
        parts = self._parted(address, list(values))
        if parts is None:
            return ILLEGAL_ADDRESS
        new = [(command, self._changed(command, at, part)) for command, at, part in parts]
        fresh = [(c, r) for (c, r), (_, at, part) in zip(new, parts, strict=True) if self._is_new(c, r, at, len(part))]
        try:
            meant = [(command, registers, self._lawful(command, registers, now_s)) for command, registers in fresh]
        except UnlawfulError as error:
            log.info("unit %d refused: %s", self.unit, error)
            return ILLEGAL_VALUE
        for command, registers in new:
            command.registers = registers[: len(command.registers)]
        codes = [self._act(command, registers, what) for command, registers, what in meant]
        return max(codes, default=0)

    def _parted(self, address: int, values: list[int]) -> list[tuple[Command, int, list[int]]] | None:
        """A write as (block, place in it, registers); None when a register is not writable.

        CHANGE_CONTROL of a default actuator node has its third register in the place of switch 1's first: one write from the node's
        block on, whose operation has a longer layout, is the node's.
        """
        parts: list[tuple[Command, int, list[int]]] = []
        while values:
            command = next((each for each in self._commands if each.area.start <= address < each.area.start + len(each.registers)), None)
            if command is None:
                return None
            at = address - command.area.start
            wide = len(command.registers) - at
            if command.slot is None and at == 0:
                wide = size(command.area.layout(values[0]))
            parts.append((command, at, values[:wide]))
            address, values = address + wide, values[wide:]
        return parts

    @staticmethod
    def _changed(command: Command, at: int, part: list[int]) -> list[int]:
        return command.registers[:at] + part + command.registers[at + len(part) :]

    def _is_new(self, command: Command, registers: list[int], at: int, count: int) -> bool:
        """Does this write bring another OPID?"""
        place = command.opid_place
        if not at <= place < at + count:
            return False
        seen = command.channel.seen if command.channel else self._node_opid if command.slot is None else 0
        return registers[place] not in (0, seen)

    def _lawful(self, command: Command, registers: list[int], now_s: float) -> ActuatorCommand | int:
        """What it means: a device's command, or the right that the node is to have. UnlawfulError."""
        items = command.area.layout(registers[0])
        fields = decode(items, registers + [0] * max(0, size(items) - len(registers)))
        if command.channel is not None:
            return command.channel.meant(fields, now_s)
        rights = book().control_rights
        if command.slot is not None:
            raise UnlawfulError(f"{command.slot.name} is not fitted")
        wanted = int(fields.get("control", 0))
        if fields["operation"] != book().operations["set_control"] or wanted not in (rights["LOCAL"], rights["REMOTE"]):
            raise UnlawfulError(f"the node does not obey {fields['operation']} with control {wanted}")
        if self._right == rights["MANUAL"]:
            raise UnlawfulError("MANUAL is given back at the node, not from afar")
        return wanted

    def _act(self, command: Command, registers: list[int], meant: ActuatorCommand | int) -> int:
        opid = registers[command.opid_place]
        if isinstance(meant, int):
            self._memory.put(self._key("node"), seen=opid, right=meant)
            self._node_opid, self._right = opid, meant
            return 0
        channel = command.channel
        assert channel is not None
        key, before = self._key(channel.fitted.name), channel.seen
        if not self._remote(channel):
            self._memory.put(key, seen=opid)
            channel.seen = opid
            return 0
        ends = time.time() + meant.duration_s if meant.duration_s else 0.0
        self._memory.put(key, seen=opid, operation=meant.op, ends_wall_s=ends)
        channel.seen = opid
        result = self._send(meant)
        if result.fate in ("rejected", "timeout"):
            log.warning("unit %d: %s of %s: %s", self.unit, meant.op, meant.device, result.detail)
            self._memory.put(key, seen=before, ends_wall_s=0.0)
            channel.seen = before
            return DEVICE_FAILURE
        self.acted += 1
        channel.acted(meant, opid)
        return 0

    def see(self, readings: Sequence[Reading], now_s: float) -> None:
        """Take what the equipment read, and end timed commands that their device does not end."""
        self._now_s = now_s
        channels = {channel.fitted.name: channel for channel in self._channels.values()}
        for reading in readings:
            if isinstance(reading, SensorReading):
                self._sensors[reading.sensor] = reading
            elif isinstance(reading, ActuatorReading) and reading.device in channels:
                channels[reading.device].see(reading)
        for channel in channels.values():
            channel.look(now_s)
            if channel.overdue(now_s):
                self._end(channel, now_s)

    def _end(self, channel: Channel, now_s: float) -> None:
        stop = ActuatorCommand(
            id=f"ksx-{self.unit}-{channel.fitted.slot.index}-end-{now_s:.3f}",
            device=channel.fitted.name,
            op="stop",
            issued_s=now_s,
            expires_s=now_s + 10 * SETTLE_S,
            issuer="safety",
            reason="the time of a timed command is over",
        )
        if self._send(stop).fate not in ("rejected", "timeout"):
            channel.acted(stop, 0)
