"""What is believed of each quantity, from sensors that may be many, late, broken or lying: voting, ages, plausible ranges.

Start at Beliefs.fold and Beliefs.at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isfinite
from statistics import fmean, median

import yaml

from sdx_domains.equipment import Quality, SensorReading
from sdx_domains.farm.control.detect import SensorWatch
from sdx_domains.farm.picture import Measured

Report = Callable[[float, str, str], None]
FORGET_S = 6 * 3600.0
"""A quantity that nobody measured for so long is not in the picture any more."""
READY = 0
DOUBTED: Mapping[str, Quality] = {"sensor_flat": "bad", "sensor_jump": "suspect"}
"""What a sensor counts as while a detector finds it out: one that jumped may yet be right, where the others say so too."""


@dataclass(frozen=True, slots=True)
class Believable:
    """A row of quantities.yaml."""

    low: float
    high: float
    stale_s: float
    agree: float


@dataclass(slots=True)
class _Sensor:
    """The last usable word of one sensor."""

    t_s: float
    value: float
    quality: Quality


@cache
def believable() -> Mapping[str, Believable]:
    """Rows of quantities.yaml by quantity."""
    rows = yaml.safe_load((files(__package__ or "") / "quantities.yaml").read_text(encoding="utf-8"))
    return {
        name: Believable(low=float(row["range"][0]), high=float(row["range"][1]), stale_s=float(row["stale_s"]), agree=float(row["agree"]))
        for name, row in rows.items()
    }


class Beliefs:
    """Holds the sensors of one house."""

    def __init__(self) -> None:
        self._sensors: dict[str, dict[str, _Sensor]] = {}
        self._watch = SensorWatch()

    def fold(self, reading: SensorReading, report: Report) -> bool:
        """Take one reading in; False, and a fault reported, when there is no usable value in it."""
        limits = believable().get(reading.quantity)
        if limits is None:
            report(
                reading.t_s, "unknown_quantity", f"{reading.sensor} measures {reading.quantity!r}, which is not in quantities.yaml; dropped"
            )
            return False
        sensors = self._sensors.setdefault(reading.quantity, {})
        last = sensors.get(reading.sensor)
        if last is not None and reading.t_s < last.t_s:
            return False  # an older word than the one that is held: late or twice, no harm
        if reading.status != READY or reading.quality == "bad" or reading.value is None:
            report(
                reading.t_s, "sensor_not_ready", f"{reading.sensor} ({reading.quantity}) has status {reading.status}, value {reading.value}"
            )
            if last is not None:
                last.quality = "bad"
            return False
        if not (isfinite(reading.value) and limits.low <= reading.value <= limits.high):
            what = f"{reading.sensor} gave {reading.quantity} {reading.value!r}, not within {limits.low:g}..{limits.high:g}; dropped"
            report(reading.t_s, "absurd_value", what)
            return False
        kind, detail = self._watch.look(reading)
        if kind:
            report(reading.t_s, kind, detail)
        quality = DOUBTED.get(kind, reading.quality)
        sensors[reading.sensor] = _Sensor(reading.t_s, float(reading.value), quality)
        return True

    def at(self, now_s: float, report: Report) -> dict[str, Measured]:
        """What is believed now, by quantity."""
        found = {name: self._one(name, sensors, now_s, report) for name, sensors in self._sensors.items() if sensors}
        return {name: measured for name, measured in found.items() if measured.age_s <= FORGET_S}

    def shift(self, by_s: float) -> None:
        """The clock was set: every remembered time moves with it."""
        self._watch.shift(by_s)
        for sensors in self._sensors.values():
            for sensor in sensors.values():
                sensor.t_s += by_s

    def _one(self, quantity: str, sensors: Mapping[str, _Sensor], now_s: float, report: Report) -> Measured:
        """Median of those that agree; one that stands apart from two that agree is reported and does not count."""
        limits = believable()[quantity]
        if len(sensors) == 1:  # the common case, kept short: it runs for every quantity on every tick
            ((name, only),) = sensors.items()
            age = max(now_s - only.t_s, 0.0)
            return _measured(only.value, "bad" if age > limits.stale_s else only.quality, age, name)
        usable = {name: s for name, s in sensors.items() if s.quality != "bad" and now_s - s.t_s <= limits.stale_s}
        if not usable:
            name, newest = max(sensors.items(), key=lambda item: item[1].t_s)
            return _measured(newest.value, "bad", max(now_s - newest.t_s, 0.0), name)
        middle = median(s.value for s in usable.values())
        agreeing = {name: s for name, s in usable.items() if abs(s.value - middle) <= limits.agree}
        if len(agreeing) * 2 <= len(usable):  # no majority: two that differ, or all apart
            report(now_s, "sensors_disagree", f"{quantity}: " + ", ".join(f"{name} {s.value:g}" for name, s in sorted(usable.items())))
            return _measured(middle, "suspect", _age(usable, now_s), f"median of {len(usable)}")
        for name in sorted(usable.keys() - agreeing.keys()):
            report(now_s, "sensor_apart", f"{name} gives {quantity} {usable[name].value:g}, the others {middle:g}; not counted")
        good = [s.value for s in agreeing.values() if s.quality == "good"]
        value = median(good) if len(good) != 2 else fmean(good)
        return _measured(value if good else middle, "good" if good else "suspect", _age(agreeing, now_s), _name_of(agreeing))


def _age(sensors: Mapping[str, _Sensor], now_s: float) -> float:
    return max(now_s - max(s.t_s for s in sensors.values()), 0.0)


def _name_of(sensors: Mapping[str, _Sensor]) -> str:
    return next(iter(sensors)) if len(sensors) == 1 else f"median of {len(sensors)}"


def _measured(value: float, quality: Quality, age_s: float, source: str) -> Measured:
    return Measured(value=round(value, 4), quality=quality, age_s=round(age_s, 3), source=source)
