"""One device of a node: what its last command was, how its status block reads, and which command its registers mean. Knows no Modbus."""

from dataclasses import dataclass
from math import isfinite
from typing import cast

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, ControlRight, Operation
from sdx_ros_nodes.equipment.register_map import book
from sdx_ros_nodes.equipment.site import DeviceAt, Fitted

SETTLE_S = 5.0
"""A device may take this long to begin; before, its read-back "ready" does not end a command. Plant time."""
EXPIRES_S = 60.0
STOP, ON, OPENING, CLOSING, SUPPLYING, READY = 0, 201, 301, 302, 402, 0
HELD = {"switch": 299, "opener": 399, "nutrient": 499}
"""Status of a device that a person has."""
PROPORTIONAL = ("valve", "dimmer")
FAULTS = frozenset({1, 3, 4, 5, 6, 101, 102, 103, *range(900, 1000)})
STARTS = {"on": ON, "timed_on": ON, "open": OPENING, "timed_open": OPENING, "close": CLOSING, "timed_close": CLOSING}


class UnlawfulError(Exception):
    """A command that the node must not take: Modbus exception 03. Says why."""


@dataclass
class Channel:
    """State of one device. Times are the plant's."""

    fitted: Fitted
    status: int = READY
    running: int = 0
    """OPID that is being carried out; 0: none."""
    seen: int = 0
    """OPID of the last command; the same again does nothing."""
    operation: str = "stop"
    acted_s: float = 0.0
    ends_s: float = 0.0
    """Of a timed operation."""
    target_pct: float | None = None
    remaining_s: float = 0.0
    reading: ActuatorReading | None = None

    @property
    def at(self) -> DeviceAt:
        assert isinstance(self.fitted.at, DeviceAt)
        return self.fitted.at

    @property
    def right(self) -> ControlRight:
        return self.reading.right if self.reading else "REMOTE"

    def meant(self, fields: dict[str, float], now_s: float) -> ActuatorCommand:
        """The command that the registers hold.

        Raises:
            UnlawfulError: the device's level does not have the operation, or a time or position is out of range.
        """
        code, opid = int(fields["operation"]), int(fields["opid"])
        name = book().operation_names.get(code, "")
        if name not in book().obeys.get(self.fitted.slot.type, ()):
            raise UnlawfulError(f"{self.fitted.slot.type} does not obey {code} {name}")
        seconds = fields.get("time", fields.get("on-sec", fields.get("hold-time", 0.0)))
        if name in book().timed and seconds <= 0:
            raise UnlawfulError(f"{name} for 0 s")
        if self.at.nutrient:
            op, value, seconds = self._watering(name, fields, seconds)
        else:
            op, value = self._by_time(name, seconds) if self._moved_by_time else self._movement(name, fields)
        return ActuatorCommand(
            id=f"ksx-{self.fitted.node.unit}-{self.fitted.slot.index}-{opid}-{now_s:.3f}",
            device=self.fitted.name,
            op=op,
            value=value,
            duration_s=seconds if name in book().timed or op == "water" else 0.0,
            issued_s=now_s,
            expires_s=now_s + EXPIRES_S,
            issuer="controller",
            reason=f"OPID {opid}",
        )

    @property
    def _moved_by_time(self) -> bool:
        """A valve or dimmer behind a level-1 opener: a valve with a motor, which the equipment knows by its position."""
        return self.at.kind in PROPORTIONAL and self.fitted.slot.type == "retractable/level1"

    def _by_time(self, name: str, seconds: float) -> tuple[Operation, dict[str, float]]:
        here = self.reading.position_pct if self.reading else None
        if here is None:
            raise UnlawfulError(f"where {self.fitted.name} stands is not known")
        way = {"open": 100.0, "close": -100.0}.get(name, 100.0 * seconds / (self.at.travel_s or 120.0))
        way *= {"timed_close": -1.0, "stop": 0.0}.get(name, 1.0)
        return "set_position", {"position_pct": min(max(here + way, 0.0), 100.0)}

    def _movement(self, name: str, fields: dict[str, float]) -> tuple[Operation, dict[str, float]]:
        """A valve or dimmer in an opener's place: open is on, close is position 0."""
        if name == "set_position":
            if fields["position"] > 100:
                raise UnlawfulError(f"position {fields['position']:.0f} %")
            return "set_position", {"position_pct": float(fields["position"])}
        if self.at.opener and self.at.kind in PROPORTIONAL:
            if name == "timed_close":
                raise UnlawfulError(f"a {self.at.kind} has no timed_close")
            if name == "close":
                return "set_position", {"position_pct": 0.0}
            name = {"open": "on", "timed_open": "timed_on"}.get(name, name)
        return cast(Operation, name), {}

    def _watering(self, name: str, fields: dict[str, float], seconds: float) -> tuple[Operation, dict[str, float], float]:
        if name == "stop":
            return "stop", {}, 0.0
        value: dict[str, float] = {}
        if name == "water":
            seconds = self.at.shot_s
        else:
            first, last = fields["start-area"], fields["stop-area"]
            if not 1 <= first <= last:
                raise UnlawfulError(f"areas {first:.0f} to {last:.0f}")
            value |= {"area_from": float(first), "area_to": float(last)}
        if name == "water_mixed":
            if not (isfinite(fields["EC"]) and isfinite(fields["pH"]) and 0.0 <= fields["EC"] <= 20.0 and 0.0 <= fields["pH"] <= 14.0):
                raise UnlawfulError(f"EC {fields['EC']} dS/m, pH {fields['pH']}")
            value |= {"ec_ds_m": float(fields["EC"]), "ph": float(fields["pH"])}
        if self.at.l_m2_per_s:
            value["l_m2"] = seconds * self.at.l_m2_per_s
        return "water", value, seconds

    def acted(self, command: ActuatorCommand, opid: int) -> None:
        """The equipment took the command."""
        self.operation, self.acted_s, self.ends_s = command.op, command.issued_s, 0.0
        self.running = 0 if command.op == "stop" else opid
        self.remaining_s = command.duration_s
        self.target_pct = command.value.get("position_pct")
        if command.op == "on" and self.at.opener:
            self.target_pct = 100.0
        if command.duration_s > 0:
            self.ends_s = command.issued_s + command.duration_s
        if command.op == "set_position":
            here = self.reading.position_pct if self.reading and self.reading.position_pct is not None else 0.0
            self.status = OPENING if (self.target_pct or 0.0) > here else CLOSING
        else:
            self.status = self._started(command.op)
        self._arrive()

    def resume(self, operation: str, acted_s: float, ends_s: float) -> None:
        """A former process told the device to do that, and it may not be over."""
        self.operation, self.running, self.acted_s, self.ends_s = operation, self.seen, acted_s, ends_s
        self.status = self._started(operation)

    def _started(self, operation: str) -> int:
        """Status that a device has while it does that."""
        if operation == "water":
            return SUPPLYING
        status = STARTS.get(operation, READY)
        return OPENING if status == ON and self.at.opener else status

    def see(self, reading: ActuatorReading) -> None:
        """Take a read-back of the device."""
        self.reading = reading
        if reading.status in FAULTS:
            self.status, self.running, self.remaining_s = reading.status, 0, 0.0
            return
        self.remaining_s = (reading.remaining_s or max(self.ends_s - reading.t_s, 0.0)) if self.running else 0.0
        self._arrive()
        if self.running and self._carried_out(reading):
            self.running, self.remaining_s = 0, 0.0
        self.status = self._seen_status(reading)

    def look(self, now_s: float) -> None:
        """Equipment that speaks only of changes said nothing: what it said last still holds."""
        last = self.reading
        if last is not None and last.t_s < now_s:
            left = max(last.remaining_s - (now_s - last.t_s), 0.0)
            self.see(last.model_copy(update={"t_s": now_s, "remaining_s": left}))

    def overdue(self, now_s: float) -> bool:
        """A timed switch or movement that its device does not end: the node must."""
        return bool(self.running and self.ends_s and self.operation not in ("water", "set_position") and now_s > self.ends_s + 2 * SETTLE_S)

    def _arrive(self) -> None:
        """A position that is reached ends its command."""
        here = self.reading.position_pct if self.reading else None
        if self.running and self.target_pct is not None and here is not None and abs(here - self.target_pct) <= 1.0:
            self.running, self.remaining_s, self.status = 0, 0.0, READY

    def _carried_out(self, reading: ActuatorReading) -> bool:
        now_s = reading.t_s
        if now_s <= self.acted_s + SETTLE_S and not (self.ends_s and now_s >= self.ends_s):
            return False
        if self.target_pct is not None:
            return now_s > self.acted_s + 1.5 * (self.at.travel_s or 120.0) + 60.0
        return self._idle(reading)

    def _idle(self, reading: ActuatorReading) -> bool:
        if self.fitted.slot.family == "opener" and self.at.kind not in PROPORTIONAL:
            return reading.status not in (OPENING, CLOSING)
        if self.fitted.slot.family == "nutrient":
            return reading.status not in (ON, 401, SUPPLYING, 403)
        return (reading.position_pct or 0.0) < 50.0 and reading.status != ON

    def _seen_status(self, reading: ActuatorReading) -> int:
        """In the words of the slot's family; while a command runs, never "ready"."""
        family = self.fitted.slot.family
        if reading.status in (OPENING, CLOSING, 401, SUPPLYING, 403) and family != "switch":
            return reading.status
        if self.running:
            return self.status
        if family == "switch":
            return READY if self._idle(reading) else ON
        return SUPPLYING if family == "nutrient" and reading.status == ON else READY
