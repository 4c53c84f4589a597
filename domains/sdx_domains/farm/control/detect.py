"""Detectors: a drift in a stream of errors, a sensor that lies flat or jumps. Plain arithmetic on one number at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from sdx_domains.equipment import SensorReading
from sdx_domains.farm.control.limits import DataLimits, limits

FLAT = ("air_temp_c", "air_rh_pct", "co2_ppm", "leaf_temp_c", "out_temp_c")
"""Quantities that never stand still; the others may (rain, light at night, a tank)."""
ENDS: Mapping[str, tuple[float, float]] = {"air_rh_pct": (1.0, 99.0), "co2_ppm": (151.0, 4990.0)}
"""At the ends of its range a sensor may stand still."""
JUMP = ("air_temp_c", "leaf_temp_c")
BELIEVED_AGAIN = 3
"""A sensor that jumped is believed again after so many readings that follow each other."""


@dataclass(slots=True)
class PageHinkley:
    """Finds when a stream of errors has come to lie above `allowed` on the whole (Page 1954; Hinkley 1970).

    The sum of what lies above `allowed` is compared with its own lowest value; a difference above `threshold` is a change.
    """

    allowed: float
    threshold: float
    excess: float = 0.0

    def found(self, error: float, weight: float = 1.0) -> bool:
        """Take in one error that stands for `weight` (hours, say). A NaN changes nothing."""
        if not isnan(error):
            self.excess = min(max(self.excess + weight * (abs(error) - self.allowed), 0.0), 2.0 * self.threshold)
        return self.excess > self.threshold


@dataclass(slots=True)
class _Trace:
    t_s: float
    value: float
    changed_s: float
    doubted: int = 0


class SensorWatch:
    """Looks at the readings of every sensor, one at a time: `look` says what is wrong with this one."""

    def __init__(self, data: DataLimits | None = None) -> None:
        self._data = data or limits().data
        self._traces: dict[str, _Trace] = {}

    def look(self, reading: SensorReading) -> tuple[str, str]:
        """Kind and detail of a fault ("sensor_flat", "sensor_jump"), or ("", ""). Readings of one sensor in the order of their times."""
        value = reading.value
        if value is None or reading.quantity not in FLAT:
            return "", ""
        trace = self._traces.get(reading.sensor)
        if trace is None or reading.t_s <= trace.t_s:
            self._traces[reading.sensor] = _Trace(reading.t_s, value, reading.t_s)
            return "", ""
        found = self._jumped(reading, trace, value)
        if value != trace.value:
            trace.changed_s = reading.t_s
        trace.t_s, trace.value = reading.t_s, value
        if found:
            return "sensor_jump", found
        low, high = ENDS.get(reading.quantity, (-1e9, 1e9))
        if reading.t_s - trace.changed_s >= self._data.flat_s and low < value < high:
            return "sensor_flat", f"{reading.sensor} has given {value:g} for {(reading.t_s - trace.changed_s) / 60:.0f} min"
        return "", ""

    def shift(self, by_s: float) -> None:
        """The clock was set: every remembered time moves with it."""
        for trace in self._traces.values():
            trace.t_s, trace.changed_s = trace.t_s + by_s, trace.changed_s + by_s

    def _jumped(self, reading: SensorReading, trace: _Trace, value: float) -> str:
        if reading.quantity not in JUMP:
            return ""
        minutes = max((reading.t_s - trace.t_s) / 60.0, 1.0)
        if abs(value - trace.value) > self._data.jump_k_min * minutes:
            trace.doubted = BELIEVED_AGAIN
            return f"{reading.sensor} jumped from {trace.value:g} to {value:g} in {minutes:.0f} min"
        trace.doubted = max(trace.doubted - 1, 0)
        return f"{reading.sensor} jumped lately" if trace.doubted else ""
