"""A KS X 3267/3288 node server over Modbus TCP and RTU whose registers are driven by any Equipment. Start at KsxNode.run()."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pymodbus.constants import ExcCodes
from pymodbus.framer.rtu import FramerRTU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.base import ModbusBaseServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from sdx_domains.equipment import ActuatorCommand, CommandResult, Equipment, SimulatedHouse
from sdx_ros_nodes.equipment.durable_map import DurableMap
from sdx_ros_nodes.equipment.frames import Frames
from sdx_ros_nodes.equipment.node_registers import NodeRegisters
from sdx_ros_nodes.equipment.site import Site

READS, WRITES = (3, 4), (6, 16)
SILENCE_S = 0.25
"""A rest of a frame that is older than this is dropped: its sender has given up."""
BEHIND_MAX_S = 5.0
"""A simulated house is not made to catch up more than this after a pause of the process."""
LEAST_STEP_S = 1.0
"""A simulated house moves by this at least, of its own time: smaller steps cost as much and show nothing more."""

log = logging.getLogger(__name__)


class _ScanningRtu(FramerRTU):
    """Finds requests for these units anywhere in what was heard: on RS-485 a node also hears answers of others and noise."""

    units: frozenset[int] = frozenset()

    def decode(self, data: bytes) -> tuple[int, int, int, bytes]:
        for at in range(len(data) - self.MIN_SIZE + 1):
            rest = data[at:]
            pdu = self.decoder.lookupPduClass(rest) if rest[0] in self.units else None
            wide = pdu.calculateRtuFrameSize(rest) if pdu else 0
            if not wide or len(rest) < wide:
                continue
            frame, crc = rest[: wide - 2], rest[wide - 2 : wide]
            if self.check_CRC(frame, int.from_bytes(crc, "big")):
                return at + wide, rest[0], 0, frame[1:]
        return 0, 0, 0, self.EMPTY


class _Connection(ServerRequestHandler):
    """One master. Answers for its own units only, forgets half frames, keeps the frames for diagnosis."""

    def __init__(self, owner: "ModbusBaseServer", units: frozenset[int], frames: Frames) -> None:
        super().__init__(owner, frames.trace, None, None)
        self._units, self._heard_s = units, 0.0

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if now - self._heard_s > SILENCE_S:
            self.recv_buffer = b""
        self._heard_s = now
        super().data_received(data)

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        used = super().callback_data(data, addr)
        if self.last_pdu and self.last_pdu.dev_id not in self._units:
            self.last_pdu = None
        return used

    def server_send(self, pdu: Any, addr: Any) -> None:
        if pdu and pdu.dev_id in self._units:
            super().server_send(pdu, addr)


class _TcpServer(ModbusTcpServer):
    def __init__(self, node: "KsxNode", host: str, port: int) -> None:
        super().__init__(node.devices(), address=(host, port))
        self._node = node

    def callback_new_connection(self) -> _Connection:
        return _Connection(self, self._node.units, self._node.frames)


class _SerialServer(ModbusSerialServer):
    def __init__(self, node: "KsxNode", port: str, baud: int) -> None:
        super().__init__(node.devices(), port=port, baudrate=baud)
        self._node = node
        self.framer = type("_Framer", (_ScanningRtu,), {"units": node.units})

    def callback_new_connection(self) -> _Connection:
        return _Connection(self, self._node.units, self._node.frames)


class KsxNode:
    """All nodes of a site, over one equipment.

    Args:
        folder: where it remembers what it has acted on; None: nowhere, for trials.
        speed: seconds of a simulated house per second.
        scan_s: between two looks at the equipment.
        keep_opid: as older nodes, show the last OPID at READY, not 0.
    """

    def __init__(
        self,
        equipment: Equipment,
        site: Site,
        folder: Path | None = None,
        speed: float = 1.0,
        scan_s: float = 0.25,
        keep_opid: bool = False,
    ) -> None:
        self.frames = Frames()
        self._equipment, self._speed, self._scan_s = equipment, speed, scan_s
        self._house = cast(SimulatedHouse, equipment) if hasattr(equipment, "step") else None
        self._memory = DurableMap(folder / "node.sqlite" if folder else None)
        self._registers = {node.unit: NodeRegisters(site, node, self._send, self._memory, self.now_s(), keep_opid) for node in site.nodes}
        if len(self._registers) < len(site.nodes):
            raise ValueError("a site whose lines share unit numbers is served line by line: give each its own site file")
        known = {each.name for each in equipment.devices()}
        if unknown := sorted(each.name for each in site.fitted if each.name not in known):
            raise ValueError(f"the site names {', '.join(unknown)}, but the equipment has {', '.join(sorted(known))}")
        self._servers: list[ModbusBaseServer] = []
        self._looked, self._owed_s = time.monotonic(), 0.0
        self._failed = False

    @property
    def units(self) -> frozenset[int]:
        return frozenset(self._registers)

    @property
    def acted(self) -> int:
        """Commands that were handed to the equipment."""
        return sum(registers.acted for registers in self._registers.values())

    def now_s(self) -> float:
        """The plant's clock."""
        return self._house.t_s if self._house else time.time()

    def devices(self) -> list[SimDevice]:
        """As pymodbus serves them: every register passes through here, none is kept there."""
        return [
            SimDevice(unit, simdata=[SimData(0, values=[0] * registers.end, datatype=DataType.REGISTERS)], action=self._action(unit))
            for unit, registers in self._registers.items()
        ]

    def _action(self, unit: int) -> Any:
        async def action(
            function: int, start: int, address: int, count: int, kept: list[int], written: Sequence[int] | None
        ) -> ExcCodes | None:
            registers = self._registers[unit]
            if function not in READS + WRITES:
                return ExcCodes.ILLEGAL_FUNCTION
            if written and (refusal := registers.write(address, [int(word) for word in written], self.now_s())):
                return ExcCodes(refusal)
            found = registers.read(address, count)
            if isinstance(found, int):
                return ExcCodes(found)
            kept[address - start : address - start + count] = found
            return None

        return action

    def _send(self, command: ActuatorCommand) -> CommandResult:
        try:
            return self._equipment.send(command)
        except Exception as error:  # whatever stands behind a node, its bus must go on answering
            log.exception("the equipment failed at %s of %s", command.op, command.device)
            return CommandResult(command_id=command.id, fate="rejected", detail=f"the equipment failed: {error}")

    def look(self) -> None:
        """Move a simulated house on, and take what the equipment read."""
        now = time.monotonic()
        try:
            self._owed_s += min(now - self._looked, BEHIND_MAX_S) * self._speed
            self._looked = now
            if self._house and not self._house.done and self._owed_s >= LEAST_STEP_S:
                owed, self._owed_s = self._owed_s, 0.0
                self._house.step(owed)
            readings = self._equipment.read()
            self._failed = False
        except Exception:
            readings = ()
            if not self._failed:
                log.exception("the equipment cannot be read; its last values stand")
            self._failed = True
        for registers in self._registers.values():
            registers.see(readings, self.now_s())

    async def serve_tcp(self, host: str, port: int) -> None:
        """Begin to answer there. OSError when it cannot."""
        await self._begin(_TcpServer(self, host, port), f"{host}:{port}")

    async def serve_rtu(self, port: str, baud: int = 9600) -> None:
        """Begin to answer on a serial line, 8N1. OSError when it cannot."""
        await self._begin(_SerialServer(self, port, baud), port)

    async def _begin(self, server: ModbusBaseServer, where: str) -> None:
        self._owed_s = LEAST_STEP_S  # the first step may compile; it is over before anybody asks
        self.look()
        if not await server.listen():
            raise OSError(f"cannot serve on {where}: it is taken, absent or not allowed")
        self._servers.append(server)

    async def run(self) -> None:
        """Look at the equipment until cancelled; a serial port that was pulled is opened again."""
        try:
            while True:
                await asyncio.sleep(self._scan_s)
                self.look()
                for server in self._servers:
                    if not server.is_active() and not server.reconnect_task:
                        await server.listen()
        finally:
            await self.close()

    async def close(self) -> None:
        for server in self._servers:
            with suppress(Exception):
                await server.shutdown()
        self._memory.close()
        self._equipment.close()
