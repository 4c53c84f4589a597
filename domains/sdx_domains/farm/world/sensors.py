"""What the sensors make of the truth: lag, drifting bias, noise, resolution, missed scans, and failures by schedule."""

from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from sdx_domains.equipment import SensorReading
from sdx_domains.farm.compiled import njit
from sdx_domains.farm.world.failures import Failure
from sdx_domains.farm.world.site import SensorSpec

DAY_S = 86400.0
ERROR = 1
"""KS X 3267 status code of a sensor that is broken."""
SPIKE_SHARE = 0.02
BLOCK = 256
"""Random numbers are drawn for so many scans at once."""
SOURCE = "simulator"
NOISE, DRIFT, LAG, STEP, DROPOUT, EVERY, LOW, HIGH, ANGLE = range(9)
COLUMNS = ("noise_sd", "drift_per_day", "lag_s", "resolution", "dropout", "every_s", "low", "high")
BIAS, LAGGED, DUE_S = range(3)


@njit(cache=True)
def sense(
    t_s: float, dt_s: float, truth: NDArray[np.float64], spec: NDArray[np.float64], memory: NDArray[np.float64],
    gauss: NDArray[np.float64], chance: NDArray[np.float64], value: NDArray[np.float64],
) -> None:  # fmt: skip
    """Fill `value` with what each sensor shows before rounding; NaN where it is not asked now or misses the scan."""
    for i in range(len(truth)):
        follow = 1.0 - np.exp(-dt_s / spec[LAG, i]) if spec[LAG, i] > 0.0 else 1.0
        memory[LAGGED, i] += follow * (truth[i] - memory[LAGGED, i])
        memory[BIAS, i] += gauss[0, i] * spec[DRIFT, i] * (dt_s / DAY_S) ** 0.5
        value[i] = np.nan
        if memory[DUE_S, i] <= t_s + 1e-6:
            memory[DUE_S, i] = t_s + spec[EVERY, i]
            if chance[0, i] >= spec[DROPOUT, i]:
                value[i] = memory[LAGGED, i] + memory[BIAS, i] + spec[NOISE, i] * gauss[1, i]


@njit(cache=True)
def shown(value: NDArray[np.float64], spec: NDArray[np.float64]) -> None:
    """Bring what sensors show into their range and resolution."""
    for i in range(len(value)):
        kept = value[i] % 360.0 if spec[ANGLE, i] > 0.0 else min(max(value[i], spec[LOW, i]), spec[HIGH, i])
        value[i] = round(round(kept / spec[STEP, i]) * spec[STEP, i], 4) if not np.isnan(value[i]) else np.nan


class Sensors:
    """All sensors of one house. The random numbers of a moment do not depend on failures, so that a run and its twin without them compare."""

    def __init__(self, specs: Mapping[str, SensorSpec], quantities: Sequence[str], failures: Sequence[Failure], seed: int) -> None:
        """`quantities`: names of the truth that read() is given. ValueError: a sensor of another quantity, a failure of another sensor."""
        rows = list(specs.values())
        if unknown := [f.subject for f in failures if f.kind.startswith("sensor") and f.subject not in specs]:
            raise ValueError(f"failure of sensor {unknown[0]!r}: there are {', '.join(specs)}")
        if unknown := [row.quantity for row in rows if row.quantity not in quantities]:
            raise ValueError(f"no sensor can measure {unknown[0]!r}; there are {', '.join(quantities)}")
        self._names = tuple(specs)
        self._quantities = tuple(row.quantity for row in rows)
        self._places = np.array([quantities.index(row.quantity) for row in rows])
        self._spec = np.array(
            [[float(getattr(row, name)) for row in rows] for name in COLUMNS] + [[row.quantity == "wind_dir_deg" for row in rows]]
        )
        self._failures = [failure for failure in failures if failure.kind.startswith("sensor")]
        self._rng = np.random.default_rng([seed, 1])
        self._memory = np.zeros((3, len(rows)))
        self._memory[LAGGED] = np.nan
        self._value = np.empty(len(rows))
        self._used = BLOCK
        self._flat: dict[str, float] = {}

    def read(self, t_s: float, dt_s: float, truth: Sequence[float], powered: bool) -> list[SensorReading]:
        """What arrives at t_s, `dt_s` after the last call; nothing without power."""
        if self._used == BLOCK:
            self._gauss = self._rng.standard_normal((BLOCK, 2, len(self._names)))
            self._chance = self._rng.random((BLOCK, 2, len(self._names)))
            self._used = 0
        now, value, memory = np.array(truth)[self._places], self._value, self._memory
        if np.isnan(memory[LAGGED, 0]):
            memory[LAGGED] = now
        gauss, chance = self._gauss[self._used], self._chance[self._used]
        self._used += 1
        sense(t_s, dt_s, now, self._spec, memory, gauss, chance, value)
        if not powered:
            return []
        dead = self._broken(t_s, value, chance[1]) if self._failures else ()
        shown(value, self._spec)
        names, quantities = self._names, self._quantities
        return [
            SensorReading(t_s=t_s, source=SOURCE, sensor=names[i], quantity=quantities[i], value=said)
            if names[i] not in dead
            else SensorReading(t_s=t_s, source=SOURCE, sensor=names[i], quantity=quantities[i], value=None, status=ERROR, quality="bad")
            for i, said in enumerate(value.tolist())
            if not isnan(said)
        ]

    def _broken(self, t_s: float, value: NDArray[np.float64], chance: NDArray[np.float64]) -> set[str]:
        """Apply the failures that hold to `value`; names of the sensors that give no number."""
        dead: set[str] = set()
        for failure in self._failures:
            if not failure.from_s <= t_s < failure.until_s:
                continue
            i = self._names.index(failure.subject)
            if failure.kind == "sensor_bias" or (failure.kind == "sensor_spikes" and chance[i] < SPIKE_SHARE):
                value[i] += failure.size
            elif failure.kind == "sensor_flat" and not isnan(value[i]):
                value[i] = self._flat.setdefault(failure.subject, float(value[i]))
            elif failure.kind == "sensor_gaps" and chance[i] < failure.size:
                value[i] = np.nan
            elif failure.kind == "sensor_dead":
                dead.add(failure.subject)
        return dead
