"""Simulated devices: they take KS X 3267 commands, move at their speed after a delay, read back, time out, stick, and lose power.

Positions are 0..1 (0 shut, off, open screen). Start at Device.tell and Device.advance; a house holds one Device per row of site.yaml.
"""

from dataclasses import dataclass, field
from math import isfinite

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, ControlRight, Operation
from sdx_domains.farm.world.site import DeviceSpec

OPS: dict[str, tuple[Operation, ...]] = {
    "opener": ("stop", "open", "close", "timed_open", "timed_close", "set_position", "set_control"),
    "valve": ("stop", "on", "open", "close", "timed_on", "set_position", "set_control"),
    "dimmer": ("stop", "on", "timed_on", "set_position", "set_control"),
    "switch": ("stop", "on", "timed_on", "set_control"),
    "nutrient": ("stop", "on", "timed_on", "water", "set_control"),
}
"""What each kind understands."""
RIGHTS: dict[float, ControlRight] = {1.0: "LOCAL", 2.0: "REMOTE", 3.0: "MANUAL"}
"""Values of set_control, {"right": 2}: KS X 3267 command 2."""
READY, BUSY, ON, OPENING, CLOSING, SWITCH_HELD, OPENER_HELD, PREPARING, SUPPLYING = 0, 2, 201, 301, 302, 299, 399, 401, 402
LAST_OPID = 65535
KEPT_COMMANDS = 4096
REPORT_S = 300.0
SOURCE = "simulator"
NEVER = float("inf")
FEED_RANGE = {"ec_ds_m": (0.0, 10.0), "ph": (3.0, 9.0)}


@dataclass(slots=True)
class Device:
    """One actuator."""

    name: str
    spec: DeviceSpec
    flow_l_m2_s: float = 0.0
    """Of an irrigation valve, so that "water" knows how long to run."""
    position: float = 0.0
    target: float = 0.0
    begins_s: float = 0.0
    """The movement starts then."""
    until_s: float = NEVER
    """A timed operation ends then."""
    after: float | None = None
    """Position that follows a timed operation; None: where it is."""
    right: ControlRight = "REMOTE"
    opid: int = 0
    stuck: bool = False
    dark_since_s: float = -NEVER
    feed: dict[str, float] = field(default_factory=dict)
    """EC and pH of the water, as the last command for it asked."""
    _fates: dict[str, CommandResult] = field(default_factory=dict)
    _told: tuple[float, float, int, int, str] = (-NEVER, 0.0, 0, 0, "")

    def tell(self, command: ActuatorCommand, now_s: float) -> CommandResult:
        """Take a command. The same id again gives the same answer and does nothing."""
        if command.id in self._fates:
            return self._fates[command.id]
        refusal = self._refusal(command, now_s)
        if refusal:
            result = CommandResult(command_id=command.id, fate="rejected", detail=refusal, opid=self.opid)
        else:
            self.opid = self.opid % LAST_OPID + 1
            detail = self._take(command, now_s)
            result = CommandResult(command_id=command.id, fate="clamped" if detail else "accepted", detail=detail, opid=self.opid)
        if len(self._fates) >= KEPT_COMMANDS:
            del self._fates[next(iter(self._fates))]
        self._fates[command.id] = result
        return result

    def _refusal(self, command: ActuatorCommand, now_s: float) -> str:
        """Why not; "" to go on."""
        op = command.op
        if op not in OPS[self.spec.kind]:
            return f"{self.name} is of kind {self.spec.kind}: {op} is none of {', '.join(OPS[self.spec.kind])}"
        if not now_s <= command.expires_s:
            return f"expired at {command.expires_s:g} s, it is {now_s:g} s"
        if not all(isfinite(value) for value in (*command.value.values(), command.duration_s)):
            return "a value is not a number"
        if op == "set_control":
            return (
                ""
                if command.value.get("right") in RIGHTS
                else f"right {command.value.get('right')!r} is none of 1 LOCAL, 2 REMOTE, 3 MANUAL"
            )
        if self.right != "REMOTE" and command.issuer != "person":
            return f"{self.name} is in {self.right}: a person has it"
        if op.startswith("timed") and command.duration_s <= 0.0:
            return f"{op} for {command.duration_s:g} s"
        if op == "set_position" and "position_pct" not in command.value:
            return "set_position without position_pct"
        if op == "water" and not command.value.get("l_m2", 0.0) > 0.0:
            return f"water needs l_m2 above 0, got {command.value.get('l_m2')!r}"
        return ""

    def _take(self, command: ActuatorCommand, now_s: float) -> str:
        """Carry out; says what was clamped."""
        op, value, clamped = command.op, command.value, ""
        if op == "set_control":
            self.right = RIGHTS[value["right"]]
            return ""
        target, self.until_s, self.after = 1.0, NEVER, None
        if op in ("close", "timed_close") or (op == "stop" and self.spec.kind != "opener"):
            target = 0.0
        elif op == "stop":
            target = self.position
        elif op == "set_position":
            asked = value["position_pct"] / 100.0
            target = min(max(asked, 0.0), 1.0)
            clamped = f"position_pct {value['position_pct']:g} to {100.0 * target:g}" if target != asked else ""
        if op in ("on", "timed_on", "water"):
            clamped = self._mix(value)
        self._move(target, now_s)
        if op in ("timed_on", "timed_open", "timed_close", "water"):
            wanted_s = value["l_m2"] / self.flow_l_m2_s if op == "water" and self.flow_l_m2_s else command.duration_s
            self.until_s = self.begins_s + wanted_s
            self.after = 0.0 if op in ("timed_on", "water") else None
        return clamped

    def _mix(self, value: object) -> str:
        """EC and pH that the water is to have."""
        said = ""
        for name, (low, high) in FEED_RANGE.items():
            if isinstance(value, dict) and name in value:
                self.feed[name] = min(max(value[name], low), high)
                said += "" if self.feed[name] == value[name] else f"{name} {value[name]:g} to {self.feed[name]:g} "
        return said.strip()

    def _move(self, target: float, now_s: float) -> None:
        begins = now_s + self.spec.delay_s
        if (target - self.position) * (self.target - self.position) < 0.0 and self.begins_s <= now_s:
            begins += self.spec.reversal_s
        if target > 0.0 and self.position <= 0.0 and self.spec.restrike_s:
            begins = max(begins, self.dark_since_s + self.spec.restrike_s)
        self.target, self.begins_s = target, begins

    def advance(self, from_s: float, to_s: float, powered: bool) -> float:
        """Move on; the mean effective position between the two moments."""
        if not powered:
            return self._without_power(from_s)
        if self.stuck or (self.position == self.target and self.until_s >= to_s):
            return self.position
        area, t_s = 0.0, from_s
        while t_s < to_s:
            end, before = self._segment(t_s, to_s), self.position
            if self.begins_s <= t_s and self.until_s > t_s:
                most = (end - t_s) / self.spec.travel_s
                self.position += min(max(self.target - self.position, -most), most)
                if abs(self.target - self.position) < 1e-9:
                    self.position = self.target
            area += (end - t_s) * (before + self.position) / 2.0
            t_s = end
            if self.until_s <= t_s:
                self.target = self.position if self.after is None else self.after
                self.begins_s, self.until_s = t_s, NEVER
        if self.position <= 0.0 < area:
            self.dark_since_s = to_s
        return area / (to_s - from_s)

    def _segment(self, t_s: float, to_s: float) -> float:
        """End of the next piece of time in which it stands still or moves evenly."""
        ends = [to_s, self.until_s]
        if self.begins_s > t_s:
            ends.append(self.begins_s)
        else:
            ends.append(t_s + abs(self.target - self.position) * self.spec.travel_s)
        return min(end for end in ends if end > t_s)

    def _without_power(self, now_s: float) -> float:
        """Nothing moves; what needs current falls to its rest and waits there for a new command."""
        if self.spec.unpowered is not None:
            if self.position > self.spec.unpowered:
                self.dark_since_s = now_s
            self.position = self.target = self.spec.unpowered
            self.until_s = NEVER
        return 0.0 if self.spec.needs_power else self.position

    def status(self, now_s: float) -> int:
        """KS X 3267 status code."""
        kind = self.spec.kind
        if self.right != "REMOTE":
            return OPENER_HELD if kind == "opener" else SWITCH_HELD
        if kind == "nutrient":
            return SUPPLYING if self.position > 0.0 else PREPARING if self.target > 0.0 else READY
        moving = self.target != self.position and self.begins_s <= now_s <= self.begins_s + self.spec.travel_s
        if kind == "opener":
            return (OPENING if self.target > self.position else CLOSING) if moving else READY
        return ON if self.position > 0.0 else BUSY if self.target > 0.0 else READY

    def news(self, now_s: float) -> ActuatorReading | None:
        """Read-back, when something changed since the last one or that was REPORT_S ago."""
        status = self.status(now_s)
        last_s, *last = self._told
        if last == [self.position, status, self.opid, self.right] and now_s < last_s + REPORT_S:
            return None
        self._told = (now_s, self.position, status, self.opid, self.right)
        left = self.until_s - now_s
        return ActuatorReading(
            t_s=now_s,
            source=SOURCE,
            device=self.name,
            position_pct=round(100.0 * self.position, 2),
            status=status,
            opid=self.opid,
            remaining_s=round(left, 1) if 0.0 < left < NEVER else 0.0,
            right=self.right,
        )
