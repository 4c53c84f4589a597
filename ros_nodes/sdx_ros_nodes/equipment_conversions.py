"""Messages <-> the words of equipment. Pure functions; ROS units (0..1, UCUM) and ours (percent, unit in the name) meet here alone.

A good air temperature, humidity or illuminance goes out as its standard message; everything else, and any of these that is
suspect or missing, as sdx_msgs/Measurement: the standard types have no word for that. NaN and infinity come in as None.
"""

from math import isfinite, nan
from typing import Any, cast, get_args

import numpy as np

from sdx_domains.contract import Reading
from sdx_domains.equipment import (
    ActuatorCommand,
    ActuatorReading,
    Alarm,
    ControlRight,
    Device,
    DeviceKind,
    Operation,
    Quality,
    SensorReading,
)
from sdx_ros_nodes import topics
from sdx_ros_nodes.conversions import header, seconds
from sdx_ros_nodes.messages import new

STANDARD: dict[str, tuple[topics.Topic, str, float]] = {
    "air_temp_c": (topics.AIR_TEMPERATURE, "temperature", 1.0),
    "air_rh_pct": (topics.AIR_HUMIDITY, "relative_humidity", 0.01),
    "light_lux": (topics.LIGHT, "illuminance", 1.0),
}
"""Quantity -> topic, field of its message, and what one of our units is in the message's."""
UCUM = {
    "_w_m2": "W/m2", "_umol_m2_s": "umol/m2/s", "_mm_h": "mm/h", "_l_min": "L/min", "_ds_m": "dS/m", "_m_s": "m/s", "_j_cm2": "J/cm2",
    "_l_m2": "L/m2", "_ppm": "[ppm]", "_kpa": "kPa", "_lux": "lx", "_deg": "deg", "_pct": "%", "_kwh": "kW.h", "_ph": "[pH]", "_kg": "kg",
    "_m3": "m3", "_c": "Cel", "_h": "h", "_l": "L", "_m": "m", "_s": "s",
}  # fmt: skip
"""Ending of a quantity's name -> unit. The first that fits counts."""
LONGEST_NAME = 100


def unit_of(quantity: str) -> str:
    """UCUM unit of a quantity's name: "co2_ppm" -> "[ppm]"; "1" where the name ends in no known unit."""
    return next((unit for ending, unit in UCUM.items() if quantity.endswith(ending)), "1")


def from_sensor(reading: SensorReading) -> tuple[topics.Topic, Any]:
    """The message of a sensor's reading, and where it goes."""
    standard = STANDARD.get(reading.quantity)
    if standard is not None and reading.value is not None and reading.quality == "good" and reading.status == 0:
        topic, field, scale = standard
        # frame_id names the sensor here: these messages have no other place for it
        return topic, new(topic.type_name, header=header(reading.t_s, reading.sensor), **{field: reading.value * scale})
    return topics.MEASUREMENT, new(
        topics.MEASUREMENT.type_name,
        header=header(reading.t_s, reading.source),
        sensor=reading.sensor,
        quantity=reading.quantity,
        unit=unit_of(reading.quantity),
        value=nan if reading.value is None else reading.value,
        status=reading.status,
        quality=reading.quality,
    )


def sensor_from_standard(quantity: str, message: Any) -> SensorReading:
    """A reading from the standard message of a quantity in STANDARD.

    Raises:
        ValueError: the message names no sensor.
    """
    topic, field, scale = STANDARD[quantity]
    value = _known(getattr(message, field))
    return SensorReading(
        t_s=seconds(message.header.stamp),
        source="ros",
        sensor=_named(message.header.frame_id, f"{topic.name}: frame_id (the sensor)"),
        quantity=quantity,
        value=None if value is None else value / scale,
        quality="bad" if value is None else "good",
    )


def sensor_from_measurement(message: Any) -> SensorReading:
    """The reading in a Measurement.

    Raises:
        ValueError: no sensor or quantity, a unit that is not the quantity's, an unknown quality; says which.
    """
    quantity = _named(message.quantity, "quantity")
    if message.unit != unit_of(quantity):
        raise ValueError(f"{message.sensor}: {quantity} in {message.unit!r}; it is read in {unit_of(quantity)!r} only")
    value = _known(message.value)
    return SensorReading(
        t_s=seconds(message.header.stamp),
        source=message.header.frame_id or "ros",
        sensor=_named(message.sensor, "sensor"),
        quantity=quantity,
        value=value,
        status=message.status,
        quality="bad" if value is None else cast(Quality, _one_of(message.quality, get_args(Quality), "quality")),
    )


def from_actuator(reading: ActuatorReading, kind: str = "") -> Any:
    return new(
        topics.ACTUATOR_STATE.type_name,
        header=header(reading.t_s, reading.source),
        device=reading.device,
        kind=kind,
        position=nan if reading.position_pct is None else reading.position_pct / 100.0,
        status=reading.status,
        opid=reading.opid,
        remaining=reading.remaining_s,
        right=reading.right,
    )


def actuator_from_state(message: Any) -> ActuatorReading:
    """How a device stands. A position outside 0..1 is unknown.

    Raises:
        ValueError: no device, or an unknown control right.
    """
    position, remaining_s = _known(message.position), _known(message.remaining)
    return ActuatorReading(
        t_s=seconds(message.header.stamp),
        source=message.header.frame_id or "ros",
        device=_named(message.device, "device"),
        position_pct=None if position is None or not 0.0 <= position <= 1.0 else position * 100.0,
        status=message.status,
        opid=message.opid,
        remaining_s=remaining_s or 0.0,
        right=cast(ControlRight, _one_of(message.right or "REMOTE", get_args(ControlRight), "right")),
    )


def device_from_state(message: Any) -> Device:
    """The device that tells of itself; one that does not say its kind counts as an opener."""
    return Device(name=message.device, kind=cast(DeviceKind, _one_of(message.kind or "opener", get_args(DeviceKind), "kind")))


def from_command(command: ActuatorCommand) -> Any:
    others = {name: value for name, value in command.value.items() if name != "position_pct"}
    position = command.value.get("position_pct")
    return new(
        topics.ACTUATOR_COMMAND.type_name,
        header=header(command.issued_s),
        id=command.id,
        device=command.device,
        op=command.op,
        position=nan if position is None else position / 100.0,
        names=list(others),
        values=np.array(list(others.values()), dtype=np.float64),
        duration=command.duration_s,
        valid_for=command.expires_s - command.issued_s,
        issuer=command.issuer,
        order_id=command.order_id,
        reason=command.reason,
    )


def command_from_message(message: Any, now_s: float) -> ActuatorCommand:
    """What a device is told.

    Raises:
        ValueError: no id or device, no such operation, a number that is none or out of range, or its time is over; says which.
    """
    values = dict(zip(list(message.names), [float(value) for value in message.values], strict=True))
    if isfinite(message.position):
        values["position_pct"] = float(message.position) * 100.0
    issued_s = seconds(message.header.stamp)
    numbers = {**values, "duration": message.duration, "valid_for": message.valid_for}
    wrong = [name for name, value in numbers.items() if not isfinite(value)]
    if wrong or not 0.0 <= values.get("position_pct", 0.0) <= 100.0 or message.op == "set_position" and "position_pct" not in values:
        raise ValueError(f"command for {message.device!r} has {', '.join(wrong) or 'position'} out of range")
    if message.duration < 0.0 or now_s > issued_s + message.valid_for:
        raise ValueError(f"command for {message.device!r} of {issued_s:.0f} s for {message.valid_for:g} s is over at {now_s:.0f} s")
    return ActuatorCommand(
        id=_named(message.id, "id"),
        device=_named(message.device, "device"),
        op=cast(Operation, _one_of(message.op, get_args(Operation), "op")),
        value=values,
        duration_s=message.duration,
        issued_s=issued_s,
        expires_s=issued_s + message.valid_for,
        issuer=message.issuer,
        order_id=message.order_id,
        reason=message.reason[:1000],
    )


def from_alarm(alarm: Alarm, active: bool = True) -> Any:
    return new(
        topics.ALARM.type_name,
        header=header(max(0.0, alarm.since_s)),
        kind=alarm.kind,
        severity=alarm.severity,
        detail=alarm.detail,
        active=active,
    )


def from_any(reading: Reading, kinds: dict[str, str]) -> tuple[topics.Topic, Any]:
    """The message of any reading of a domain that steers devices; `kinds`: of devices, by name."""
    if isinstance(reading, SensorReading):
        return from_sensor(reading)
    if isinstance(reading, ActuatorReading):
        return topics.ACTUATOR_STATE, from_actuator(reading, kinds.get(reading.device, ""))
    name = type(reading).__name__
    return topics.INFORMATION, new(
        topics.INFORMATION.type_name, header=header(reading.t_s, reading.source), kind=name, id=name, json=reading.model_dump_json()
    )


def information(message: Any, types: dict[str, type[Reading]]) -> Reading:
    """A forecast, prices, a date: what the domain's perceiver takes beside sensors and actuators.

    Raises:
        ValueError: not one of the domain's kinds of reading, or not its JSON (pydantic's error).
    """
    if message.kind not in types:
        raise ValueError(f"no reading of kind {message.kind!r}; known: {', '.join(types) or 'none'}")
    return types[message.kind].model_validate_json(message.json)


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _named(text: str, what: str) -> str:
    if not text or len(text) > LONGEST_NAME:
        raise ValueError(f"{what} must have 1 to {LONGEST_NAME} characters, got {text[:LONGEST_NAME]!r}")
    return text


def _one_of(text: str, known: tuple[str, ...], what: str) -> str:
    if text not in known:
        raise ValueError(f"{what} {text[:LONGEST_NAME]!r} is none of {', '.join(known)}")
    return text
