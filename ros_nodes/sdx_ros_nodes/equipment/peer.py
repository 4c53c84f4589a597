"""One node as a master knows it: is it there, is it what the site file says, what do its registers read. Start at Peer.scan()."""

import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import cast

from sdx_domains.contract import Closed
from sdx_domains.equipment import ActuatorReading, ControlRight, Quality, Reading, SensorReading
from sdx_ros_nodes.equipment.line import Line, NoAnswerError, RefusedError
from sdx_ros_nodes.equipment.node_channel import HELD
from sdx_ros_nodes.equipment.register_map import CODES_START, INFO_START, Area, book, decode, size
from sdx_ros_nodes.equipment.site import DeviceAt, Fitted, NodeAt, SensorAt, Site
from sdx_ros_nodes.equipment.travel import Travel

BLOCK = 120
"""Registers of one read; Modbus allows 125."""
GAP = 12
"""Registers that nobody needs are read with their neighbours when they are no more than this."""
DELAY_S, DELAY_MAX_S = 0.5, 30.0
WORN = frozenset({101, 102, 103})
"""Statuses of a sensor whose value is doubtful: replace, calibrate, check."""
SOURCE = "modbus"


class PeerState(Closed):
    """How a node does."""

    url: str
    unit: int
    alive: bool
    detail: str
    """Why it is not, or what it lacks; empty when all is well."""
    serial: int
    scans: int
    lost: int
    """Scans without an answer."""


class Peer:
    """A node. scan() never raises; meet() and status_of() raise what the line raises."""

    def __init__(self, site: Site, node: NodeAt, line: Line, stale_s: float) -> None:
        self.node, self.line, self.map = node, line, site.map_of(node)
        self.fitted = tuple(each for each in site.fitted if each.node is node)
        self.travels: dict[str, Travel] = {}
        self.unfitted: set[str] = set()
        self.plant_s: float | None = None
        self._stale_s = stale_s
        self._met, self._serial = False, 0
        self._why, self._again_s, self._delay_s = "not asked yet", 0.0, DELAY_S
        self._heard_s = time.monotonic()
        self._scans = self._lost = 0
        self._last: list[Reading] = []

    def state(self) -> PeerState:
        absent = f"not fitted: {', '.join(sorted(self.unfitted))}" if self.unfitted else ""
        return PeerState(
            url=self.line.address.url,
            unit=self.node.unit,
            alive=not self._why,
            detail=self._why or absent,
            serial=self._serial,
            scans=self._scans,
            lost=self._lost,
        )

    def meet(self) -> None:
        """At the first contact, and after every silence: is it the node of the site file? NoAnswerError when not, and during a pause."""
        if time.monotonic() < self._again_s:
            raise NoAnswerError(f"{self._why}; asked again in {self._again_s - time.monotonic():.1f} s")
        if self._met:
            return
        info = self.line.read(self.node.unit, INFO_START, 8, once=self._delay_s > DELAY_S)
        told, known = info[:6], self.map.info.registers()
        if told != known:
            raise NoAnswerError(f"its registers 1 to 6 read {told}, but the map {self.node.map!r} of the site file is {known}")
        codes = self.line.read(self.node.unit, CODES_START, len(self.map.places))
        self.unfitted = {each.name for each in self.fitted if codes[each.slot.index - 1] != each.slot.code}
        self._serial = int(decode(["epoch"], info[6:8])["epoch"])
        self._met = True

    def last_opid(self, start: int, items: Sequence[str]) -> int:
        """The OPID that a command block holds, so that a master without a memory does not repeat it. Where it cannot be read: any."""
        try:
            return int(decode(items, self.line.read(self.node.unit, start, size(items)))["opid"])
        except RefusedError:
            return int(time.time()) % 65535

    def status_of(self, fitted: Fitted) -> dict[str, float]:
        """A device's status block, read now."""
        read = fitted.slot.read
        return decode(read.items, self.line.read(self.node.unit, read.start, read.size))

    def scan(self, now_s: Callable[[], float]) -> list[Reading]:
        """Readings of every device. Of a silent node: for a while the last ones, in doubt, then ones without value."""
        self._scans += 1
        try:
            self.meet()
            registers = self._registers()
        except (NoAnswerError, RefusedError) as error:
            return self._silent(str(error), now_s)
        self._why, self._delay_s, self._again_s = "", DELAY_S, 0.0
        self._heard_s = time.monotonic()
        node = self._decoded(self.map.node.read, registers)
        self.plant_s = float(node["epoch"]) if "epoch" in node else None
        t_s = now_s()
        self._last = [self._reading(each, registers, node, t_s) for each in self.fitted]
        return self._last

    def _silent(self, why: str, now_s: Callable[[], float]) -> list[Reading]:
        self._lost += 1
        self.fell_silent(why)
        if time.monotonic() - self._heard_s <= self._stale_s:
            return [each.model_copy(update={"quality": "suspect"}) for each in self._last if isinstance(each, SensorReading)]
        return [_no_answer(each, now_s()) for each in self.fitted]

    def fell_silent(self, why: str) -> None:
        """It is left alone for a while, twice as long each time, and must then say again who it is."""
        if time.monotonic() < self._again_s:
            return
        self._met, self._why = False, why
        self._again_s = time.monotonic() + self._delay_s
        self._delay_s = min(2 * self._delay_s, DELAY_MAX_S)

    def _areas(self) -> list[Area]:
        return [self.map.node.read, *(each.slot.read for each in self.fitted if each.name not in self.unfitted)]

    def _registers(self) -> dict[int, int]:
        """All status registers that are needed, in few reads; only registers that the map has."""
        defined = {
            r for area in (self.map.node.read, *(slot.read for slot in self.map.places)) for r in range(area.start, area.start + area.size)
        }
        registers: dict[int, int] = {}
        for low, high in _runs(self._areas(), defined):
            registers |= dict(zip(range(low, high), self.line.read(self.node.unit, low, high - low), strict=True))
        return registers

    @staticmethod
    def _decoded(area: Area, registers: dict[int, int]) -> dict[str, float]:
        return decode(area.items, [registers[area.start + i] for i in range(area.size)])

    def _reading(self, fitted: Fitted, registers: dict[int, int], node: dict[str, float], t_s: float) -> Reading:
        if fitted.name in self.unfitted:
            return _no_answer(fitted, t_s, book().status("ERROR"))
        fields = self._decoded(fitted.slot.read, registers)
        status = int(fields["status"])
        if isinstance(fitted.at, SensorAt):
            value, quality = _value(fields["value"] * fitted.at.scale + fitted.at.offset, status)
            return SensorReading(
                t_s=t_s, source=SOURCE, sensor=fitted.name, quantity=fitted.at.quantity, value=value, status=status, quality=quality
            )
        return ActuatorReading(
            t_s=t_s,
            source=SOURCE,
            device=fitted.name,
            position_pct=self._position(fitted, fields),
            status=status,
            opid=int(fields["opid"]),
            remaining_s=float(fields.get("remain-time", 0.0)),
            right=self._right(fitted, status, node),
        )

    def _position(self, fitted: Fitted, fields: dict[str, float]) -> float | None:
        """As measured; of a level-1 opener as reckoned; a switch and a nutrient unit are at 0 or 100."""
        if "position" in fields:
            return min(max(float(fields["position"]), 0.0), 100.0)
        if fitted.name in self.travels:
            return self.travels[fitted.name].see(int(fields["status"]), fields["remain-time"])
        return 100.0 if fields["status"] in (201, 401, 402) else 0.0

    @staticmethod
    def _right(fitted: Fitted, status: int, node: dict[str, float]) -> ControlRight:
        """As the node's register says; a node without it tells by the device's status."""
        name = next((name for name, code in book().control_rights.items() if code == node.get("control")), "REMOTE")
        return cast(ControlRight, "MANUAL" if name == "REMOTE" and status == HELD[fitted.slot.family] else name)


def _runs(areas: Sequence[Area], defined: set[int]) -> list[tuple[int, int]]:
    """Start and end of the reads that cover the areas."""
    runs: list[tuple[int, int]] = []
    for area in sorted(areas, key=lambda area: area.start):
        end = area.start + area.size
        if runs:
            low, high = runs[-1]
            if area.start - high <= GAP and end - low <= BLOCK and all(r in defined for r in range(high, area.start)):
                runs[-1] = (low, max(high, end))
                continue
        runs.append((area.start, end))
    return runs


def _value(raw: float, status: int) -> tuple[float | None, Quality]:
    """A sensor's value as far as its status lets it be believed."""
    if not isfinite(raw) or (status and status not in WORN):
        return None, "bad"
    return float(f"{raw:.7g}"), "suspect" if status in WORN else "good"


def _no_answer(fitted: Fitted, t_s: float, status: int | None = None) -> Reading:
    status = book().status("NO_ANSWER") if status is None else status
    if isinstance(fitted.at, DeviceAt):
        return ActuatorReading(t_s=t_s, source=SOURCE, device=fitted.name, position_pct=None, status=status)
    return SensorReading(t_s=t_s, source=SOURCE, sensor=fitted.name, quantity=fitted.at.quantity, value=None, status=status, quality="bad")
