"""How the actuators stand, how often they started today and how long they ran, from what they read back."""

from math import isfinite

from sdx_domains.equipment import ActuatorReading
from sdx_domains.farm.beliefs import Report
from sdx_domains.farm.picture import Actuator

RUNNING_PCT = 1.0
"""Above this a device counts as running, or as open."""
FAULT_STATUS = frozenset({1, 3, 4, 5, 6, 101, 102, 103})
"""KS X 3267 status codes of a device that needs somebody: error, voltage, current, temperature, fuse, replace, calibrate, check."""


class Devices:
    """Holds the actuators of one house."""

    def __init__(self) -> None:
        self._last: dict[str, ActuatorReading] = {}
        self._starts: dict[str, int] = {}
        self._runtime_s: dict[str, float] = {}
        self._today = -1
        self._sums: dict[str, tuple[float, float]] = {}
        """Position times seconds, and seconds, since the last mean."""
        self._counted_s: dict[str, float] = {}

    def fold(self, reading: ActuatorReading, report: Report) -> None:
        """Take one reading in; an older one than the one that is held, or a position that is no number, changes nothing."""
        last = self._last.get(reading.device)
        if last is not None and reading.t_s < last.t_s:
            return
        position = reading.position_pct
        if position is not None and not (isfinite(position) and 0.0 <= position <= 100.0):
            report(reading.t_s, "absurd_position", f"{reading.device} says position {position!r} %; dropped")
            return
        if reading.status in FAULT_STATUS:
            report(reading.t_s, "actuator_fault", f"{reading.device} has status {reading.status}")
        if position is None:
            reading = reading.model_copy(update={"position_pct": last.position_pct if last is not None else 0.0})
        if last is not None and (last.position_pct or 0.0) <= RUNNING_PCT < (reading.position_pct or 0.0):
            self._starts[reading.device] = self._starts.get(reading.device, 0) + 1
        if last is not None:
            self._count(last, reading.t_s)
        self._last[reading.device] = reading

    def _count(self, standing: ActuatorReading, until_s: float) -> None:
        """Add the time since it was last counted to the mean of its position."""
        seconds = max(until_s - self._counted_s.get(standing.device, standing.t_s), 0.0)
        total, time = self._sums.get(standing.device, (0.0, 0.0))
        self._sums[standing.device] = (total + (standing.position_pct or 0.0) * seconds, time + seconds)
        self._counted_s[standing.device] = until_s

    def pass_time(self, before_s: float, now_s: float, day: int) -> None:
        """Add the time since the last picture to what runs; a new local day begins its starts at zero."""
        if day != self._today:
            self._today, self._starts = day, {}
        for name, reading in self._last.items():
            if (reading.position_pct or 0.0) > RUNNING_PCT:
                self._runtime_s[name] = self._runtime_s.get(name, 0.0) + max(now_s - before_s, 0.0)

    def mean_positions(self, now_s: float) -> dict[str, float]:
        """0..1 by device, over the time since the last call; a device that says nothing stands as it last said."""
        for reading in self._last.values():
            self._count(reading, now_s)
        found = {
            name: (total / seconds if seconds > 0.0 else self._last[name].position_pct or 0.0) / 100.0
            for name, (total, seconds) in self._sums.items()
        }
        self._sums = {}
        return found

    def troubles(self) -> tuple[str, ...]:
        """Devices at fault or in a person's hands, for the salience."""
        return tuple(
            f"{name}:{reading.status if reading.status in FAULT_STATUS else reading.right}"
            for name, reading in sorted(self._last.items())
            if reading.status in FAULT_STATUS or reading.right != "REMOTE"
        )

    def shift(self, by_s: float) -> None:
        """The clock was set: every remembered time moves with it."""
        self._last = {name: reading.model_copy(update={"t_s": reading.t_s + by_s}) for name, reading in self._last.items()}
        self._counted_s = {name: t_s + by_s for name, t_s in self._counted_s.items()}

    def at(self, now_s: float) -> tuple[Actuator, ...]:
        return tuple(
            Actuator(
                device=name,
                position_pct=float(reading.position_pct or 0.0),
                requested_pct=None,
                status=reading.status,
                right=reading.right,
                age_s=round(max(now_s - reading.t_s, 0.0), 3),
                starts_today=self._starts.get(name, 0),
                runtime_s=round(self._runtime_s.get(name, 0.0), 1),
            )
            for name, reading in sorted(self._last.items())
        )
