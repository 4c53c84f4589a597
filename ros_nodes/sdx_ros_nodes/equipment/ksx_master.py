"""A KS X 3267/3288 master: equipment.Equipment over Modbus TCP or RTU. Start at KsxMaster.read() and send(), or at open_equipment().

Each scan reads a node's status registers in few blocks. A command gets the device's next OPID, which is noted before it leaves, so
that a master that was killed never gives one twice; it is read back until the node shows it. A dead node costs little and is told by
the status of its readings: nothing here raises for it.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.equipment import ActuatorCommand, CommandResult, Device, Reading
from sdx_ros_nodes.equipment.durable_map import DurableMap
from sdx_ros_nodes.equipment.frames import Frame
from sdx_ros_nodes.equipment.history import History
from sdx_ros_nodes.equipment.line import Line, NoAnswerError, RefusedError
from sdx_ros_nodes.equipment.node_channel import HELD
from sdx_ros_nodes.equipment.peer import Peer, PeerState
from sdx_ros_nodes.equipment.register_map import book, encode
from sdx_ros_nodes.equipment.site import DeviceAt, Fitted, Site
from sdx_ros_nodes.equipment.translate import Spoken, UnfitError, seconds_of, translate
from sdx_ros_nodes.equipment.travel import Travel

LAST_OPID = 65535
READ_WITHIN_S = 0.8
"""A scan that takes longer goes on at the next call."""
CONFIRM_S = {False: 0.25, True: 0.6}
"""How long a command is read back, over TCP and over a serial line."""
POLL_S = 0.005
FAULTS = frozenset({1, 3, 4, 5, 6, *range(900, 1000)})
REMEMBERED = 1000
SKIPPED = 100
"""OPIDs that a master leaves out when it starts: a power cut may have lost the note of the last ones that it gave."""


class KsxMaster:
    """Implements equipment.Equipment. One thread calls it.

    Args:
        url: the line of nodes that name none themselves.
        folder: for OPIDs, places of openers and the minute log (history.sqlite); None: nowhere, for trials.
        clock: the plant's, seconds: the time of readings, and what a command's expiry is held against.
        stale_s: a node that was silent for this long gives readings without value, of the host's time.
    """

    def __init__(
        self, site: Site, url: str = "", folder: Path | None = None, clock: Callable[[], float] = time.time, stale_s: float = 15.0
    ) -> None:
        self.site, self._clock = site, clock
        self._memory = DurableMap(folder / "master.sqlite" if folder else None, power_cuts=False)
        self._history = History(folder / "history.sqlite") if folder else None
        self._lines: dict[str, Line] = {}
        self._peers = [Peer(site, node, self._line(node.url or url), stale_s) for node in site.nodes]
        self._next = 0
        self._begun: set[str] = set()
        self._told: dict[str, CommandResult] = {}
        self._homes = {each.name: (peer, each) for peer in self._peers for each in peer.fitted}
        for peer in self._peers:
            for each in peer.fitted:
                if each.slot.type == "retractable/level1" and isinstance(each.at, DeviceAt) and each.at.travel_s:
                    entry = self._memory.get(self._key(peer, each))
                    peer.travels[each.name] = Travel(each.at.travel_s, entry.get("position_pct"))

    def _line(self, url: str) -> Line:
        if url not in self._lines:
            self._lines[url] = Line(url)
        return self._lines[url]

    @staticmethod
    def _key(peer: Peer, fitted: Fitted) -> str:
        return f"{peer.line.address.url} {peer.node.unit}/{fitted.slot.index}"

    @property
    def t_s(self) -> float:
        """The plant's clock, as given."""
        return self._clock()

    @property
    def plant_s(self) -> float | None:
        """Time of a simulated house as its node tells it; None where no node does."""
        return next((peer.plant_s for peer in self._peers if peer.plant_s is not None), None)

    def devices(self) -> Sequence[Device]:
        return [each.device for peer in self._peers for each in peer.fitted]

    def nodes(self) -> list[PeerState]:
        """How each node does: alive, why not, share of unanswered scans."""
        return [peer.state() for peer in self._peers]

    def frames(self, count: int = 50) -> list[Frame]:
        """The last frames on all lines, oldest first."""
        return sorted(frame for line in self._lines.values() for frame in line.frames.last(count))[-count:]

    def read(self) -> Sequence[Reading]:
        """Scan. Nodes that do not fit into this call's time come first in the next."""
        readings = self._scan()
        if self._history is not None:
            self._history.take(readings, self.t_s)
        return readings

    def _scan(self) -> list[Reading]:
        ends = time.monotonic() + READ_WITHIN_S
        readings: list[Reading] = []
        for turn in range(len(self._peers)):
            peer = self._peers[(self._next + turn) % len(self._peers)]
            if turn and time.monotonic() > ends:
                self._next = (self._next + turn) % len(self._peers)
                return readings
            readings += peer.scan(self._clock)
            self._remember_places(peer)
        self._next = 0
        return readings

    def _remember_places(self, peer: Peer) -> None:
        for each in peer.fitted:
            travel = peer.travels.get(each.name)
            if travel is None or travel.run is not None:
                continue
            if self._memory.get(self._key(peer, each)).get("position_pct") != travel.position_pct:
                self._memory.put(self._key(peer, each), position_pct=travel.position_pct)

    def send(self, command: ActuatorCommand) -> CommandResult:
        """See equipment.Equipment. The same command sent twice acts once: the second time it only asks what became of it."""
        known = self._told.get(command.id)
        if known is not None and known.fate != "timeout":
            return known
        result = self._send(command)
        if len(self._told) >= REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[command.id] = result
        return result

    def _send(self, command: ActuatorCommand) -> CommandResult:
        def result(fate: Any, detail: str, opid: int = 0) -> CommandResult:
            return CommandResult(command_id=command.id, fate=fate, detail=detail, opid=opid)

        if command.device not in self._homes:
            return result("rejected", f"no device {command.device!r}; there are {', '.join(self._homes)}")
        peer, fitted = self._homes[command.device]
        if command.expires_s < self.t_s:
            return result("rejected", f"expired at {command.expires_s:g} s, it is {self.t_s:g} s")
        if not isinstance(fitted.at, DeviceAt):
            return result("rejected", f"{command.device} is a sensor")
        try:
            peer.meet()
            if command.op == "set_control":
                return self._set_control(peer, command)
            if command.device in peer.unfitted:
                return result("rejected", f"unit {peer.node.unit} says that nothing is fitted at {fitted.slot.name}")
            return self._tell(peer, fitted, command)
        except UnfitError as error:
            return result("rejected", str(error))
        except RefusedError as error:
            return result("rejected", f"unit {peer.node.unit} refused {command.op} of {command.device}: {error}")
        except NoAnswerError as error:
            peer.fell_silent(str(error))
            return result("timeout", f"unit {peer.node.unit}: {error}", self._memory.get(self._key(peer, fitted)).get("opid", 0))

    def _opid(self, key: str, command: ActuatorCommand, peer: Peer, start: int, items: Sequence[str]) -> int:
        """The next one, noted before it leaves; of a command that is sent again: the one it had."""
        entry = self._memory.get(key)
        if entry.get("command") == command.id:
            return entry["opid"]
        if "opid" not in entry:
            entry["opid"] = peer.last_opid(start, items)
        elif key not in self._begun:
            entry["opid"] += SKIPPED
        self._begun.add(key)
        opid = entry["opid"] % LAST_OPID + 1
        self._memory.put(key, opid=opid, command=command.id)
        return opid

    def _set_control(self, peer: Peer, command: ActuatorCommand) -> CommandResult:
        """The right of the device's whole node: value {"right": 1 LOCAL, 2 REMOTE, 3 MANUAL}."""
        area, code = peer.map.node.write, book().operations["set_control"]
        right = command.value.get("right")
        if area is None or "control" not in area.layout(code):
            raise UnfitError(f"unit {peer.node.unit} has no register for the control right")
        if right is None or right not in book().control_rights.values():
            raise UnfitError(f"set_control needs value right, one of {dict(book().control_rights)}, got {right!r}")
        opid = self._opid(f"{peer.line.address.url} {peer.node.unit}/node", command, peer, area.start, area.layout(code))
        peer.line.write(peer.node.unit, area.start, encode(area.layout(code), {"operation": code, "opid": opid, "control": right}))
        return CommandResult(command_id=command.id, fate="accepted", opid=opid)

    def _tell(self, peer: Peer, fitted: Fitted, command: ActuatorCommand) -> CommandResult:
        """Write, then read back until the node shows it."""
        travel = peer.travels.get(fitted.name)
        if travel is not None:
            before = peer.status_of(fitted)
            if travel.run is not None or before["status"] in (301, 302):
                travel.halt(int(before["status"]), before["remain-time"])
        spoken = translate(command, fitted, travel)
        area, code = fitted.slot.write, book().operations[spoken.operation]
        assert area is not None
        opid = self._opid(self._key(peer, fitted), command, peer, area.start, area.items)
        if travel is not None:  # while it moves, its place is not known to a master that starts anew
            self._memory.put(self._key(peer, fitted), position_pct=None)
        peer.line.write(peer.node.unit, area.start, encode(area.layout(code), spoken.fields | {"operation": code, "opid": opid}))
        if travel is not None and seconds_of(spoken):
            travel.begin(spoken.run)
        return self._read_back(peer, fitted, command, spoken, opid)

    def _read_back(self, peer: Peer, fitted: Fitted, command: ActuatorCommand, spoken: Spoken, opid: int) -> CommandResult:
        ends = time.monotonic() + CONFIRM_S[bool(peer.line.address.baud)]
        status: dict[str, float] = {}
        while True:
            try:
                status = peer.status_of(fitted)
            except (NoAnswerError, RefusedError) as error:
                return self._became(command, spoken, opid, "accepted", f"taken, but not read back: {error}")
            if status["status"] == HELD[fitted.slot.family]:
                return self._became(
                    command, spoken, opid, "rejected", f"{fitted.name} is in a person's hands, status {status['status']:.0f}"
                )
            if status["status"] in FAULTS:
                name = book().statuses.get(int(status["status"]), "a maker's fault")
                return self._became(command, spoken, opid, "rejected", f"{fitted.name} has status {status['status']:.0f}, {name}")
            if _shows(status, spoken, opid):
                return self._became(command, spoken, opid, "confirmed", "")
            if time.monotonic() > ends:
                return self._became(command, spoken, opid, "accepted", "taken; its status does not show it (it may be over already)")
            time.sleep(POLL_S)

    def _became(self, command: ActuatorCommand, spoken: Spoken, opid: int, fate: Any, detail: str) -> CommandResult:
        if spoken.clamped and fate in ("confirmed", "accepted"):
            fate, detail = "clamped", spoken.clamped
        confirmed = self.t_s if fate == "confirmed" else None
        return CommandResult(command_id=command.id, fate=fate, detail=detail, opid=opid, confirmed_s=confirmed)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        self._memory.close()
        if self._history is not None:
            self._history.close()


def _shows(status: dict[str, float], spoken: Spoken, opid: int) -> bool:
    """Does the status block show the command? The 2022 reading has OPID 0 at READY, older nodes keep the last one: both are taken."""
    if status["opid"] == opid:
        return True
    ready = status["status"] == 0
    if spoken.operation == "stop":
        return ready
    position = status.get("position")
    return ready and spoken.target_pct is not None and position is not None and abs(position - spoken.target_pct) <= 1.0
