"""A command of the domain in the words of a slot: operation code and the fields of its command block. Start at translate()."""

from dataclasses import dataclass, field

from sdx_domains.equipment import ActuatorCommand
from sdx_ros_nodes.equipment.node_channel import PROPORTIONAL
from sdx_ros_nodes.equipment.register_map import book
from sdx_ros_nodes.equipment.site import DeviceAt, Fitted
from sdx_ros_nodes.equipment.travel import Run, Travel


class UnfitError(ValueError):
    """The device cannot do that; says what and why."""


@dataclass(frozen=True)
class Spoken:
    """What goes into the registers."""

    operation: str
    fields: dict[str, float] = field(default_factory=dict)
    clamped: str = ""
    """What was changed on the way, and why."""
    run: Run | None = None
    """Of a level-1 opener."""

    @property
    def target_pct(self) -> float | None:
        return self.fields.get("position")


def translate(command: ActuatorCommand, fitted: Fitted, travel: Travel | None) -> Spoken:
    """Raises UnfitError."""
    assert isinstance(fitted.at, DeviceAt)
    family = fitted.slot.family
    if command.op == "stop" and not (travel and fitted.at.kind in PROPORTIONAL):
        return Spoken("stop")
    spoken = {"switch": _switch, "opener": _opener, "nutrient": _nutrient}[family](command, fitted, travel)
    if spoken.operation not in book().obeys.get(fitted.slot.type, ()):
        raise UnfitError(f"{fitted.name} is a {fitted.slot.type}: it has no {spoken.operation}")
    if spoken.operation in book().timed and seconds_of(spoken) <= 0:
        raise UnfitError(f"{command.op} of {fitted.name} for {command.duration_s:g} s is shorter than a second")
    return spoken


def seconds_of(spoken: Spoken) -> float:
    return spoken.fields.get("time", spoken.fields.get("on-sec", 0.0))


def _position(command: ActuatorCommand) -> float:
    wanted = command.value.get("position_pct")
    if wanted is None or not 0.0 <= wanted <= 100.0:
        raise UnfitError(f"set_position of {command.device} needs value position_pct from 0 to 100, got {wanted!r}")
    return wanted


def _switch(command: ActuatorCommand, fitted: Fitted, travel: Travel | None) -> Spoken:
    """A position of 50 % or more is on: a relay knows nothing between."""
    if command.op == "set_position":
        wanted = _position(command)
        made = 100.0 if wanted >= 50.0 else 0.0
        clamped = "" if wanted == made else f"from {wanted:g} to {made:g} %: {fitted.name} is a switch"
        return Spoken("on" if made else "stop", clamped=clamped)
    if command.op in ("open", "close"):
        return Spoken("on" if command.op == "open" else "stop")
    return Spoken(command.op, {"time": round(command.duration_s)} if command.op == "timed_on" else {})


def _opener(command: ActuatorCommand, fitted: Fitted, travel: Travel | None) -> Spoken:
    """A valve or dimmer in an opener's place: on is open, and stop shuts it as it does any valve."""
    op = command.op
    assert isinstance(fitted.at, DeviceAt)
    if fitted.at.kind in PROPORTIONAL:
        op = {"on": "open", "timed_on": "timed_open", "stop": "close"}.get(op, op)
    if travel is not None:
        return _reckoned(op, command, fitted, travel)
    if op == "set_position":
        return Spoken(op, {"position": round(_position(command))})
    return Spoken(op, {"time": round(command.duration_s)} if op.startswith("timed") else {})


def _reckoned(op: str, command: ActuatorCommand, fitted: Fitted, travel: Travel) -> Spoken:
    """A level-1 opener: positions, open and close become timed runs, so that its place stays known."""
    if op in ("timed_open", "timed_close"):
        seconds = round(command.duration_s)
        way = 100.0 * seconds / travel.travel_s * (1 if op == "timed_open" else -1)
        here = travel.position_pct
        ends = min(max(here + way, 0.0), 100.0) if here is not None else None
        return Spoken(op, {"time": seconds}, run=Run(op, seconds, ends) if ends is not None else None)
    if op not in ("open", "close", "set_position"):
        raise UnfitError(f"{fitted.name} is an opener: it has no {op}")
    wanted = {"open": 100.0, "close": 0.0}.get(op)
    wanted = _position(command) if wanted is None else wanted
    run = travel.run_to(wanted)
    unknown = travel.position_pct is None and run.ends_pct != wanted
    clamped = f"from {wanted:g} to {run.ends_pct:g} %: where {fitted.name} stands is unknown until it has been at an end" if unknown else ""
    return Spoken(run.operation, {"time": run.seconds} if run.seconds else {}, clamped, run)


def _nutrient(command: ActuatorCommand, fitted: Fitted, travel: Travel | None) -> Spoken:
    """Litres become seconds by the site's rate; EC and pH together make a mixed watering."""
    at, value = fitted.at, command.value
    assert isinstance(at, DeviceAt)
    if command.op not in ("water", "timed_on", "on"):
        raise UnfitError(f"{fitted.name} is a nutrient unit: it has no {command.op}")
    seconds = command.duration_s
    if "l_m2" in value:
        if not at.l_m2_per_s:
            raise UnfitError(f"{fitted.name} cannot water {value['l_m2']:g} l/m2: its l_m2_per_s is not in the site file")
        seconds = value["l_m2"] / at.l_m2_per_s
    if seconds <= 0:
        if command.op == "water" and not value:
            return Spoken("water")
        raise UnfitError(f"{command.op} of {fitted.name} needs value l_m2 or a duration_s above 0")
    first, last = value.get("area_from", at.areas[0]), value.get("area_to", at.areas[1])
    fields = {"start-area": first, "stop-area": last, "on-sec": max(round(seconds), 1)}
    if ("ec_ds_m" in value) != ("ph" in value):
        raise UnfitError(f"{fitted.name}: a mixed watering needs both ec_ds_m and ph, got {dict(value)}")
    if "ec_ds_m" in value:
        return Spoken("water_mixed", fields | {"EC": value["ec_ds_m"], "pH": value["ph"]})
    return Spoken("water_area", fields)
