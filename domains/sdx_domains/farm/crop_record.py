"""What the crop has had: growing degree days, light, the mean temperature of the last day."""

from collections import deque
from collections.abc import Mapping
from math import isfinite

from sdx_domains.farm.beliefs import Report
from sdx_domains.farm.picture import Crop, CropReading, Measured

BASE_C = 10.0
"""Base temperature of tomato's development, Scholberg et al., Agronomy Journal 92 (2000)."""
DAY_S = 86400.0
GAP_S = 3600.0
"""A longer silence is not counted as time that was measured."""


class CropRecord:
    """Holds one crop's sums."""

    def __init__(self) -> None:
        self.told: CropReading | None = None
        self._gdd = 0.0
        self._dli = 0.0
        self._dli_yesterday: float | None = None
        self._day = -1
        self._temps: deque[tuple[float, float, float]] = deque()
        """(from_s, seconds, degree seconds) of each hour or less, for the 24-h mean."""

    def fold(self, reading: CropReading, report: Report) -> None:
        if not isfinite(reading.planted_s) or reading.planted_s > reading.t_s:
            report(reading.t_s, "bad_crop", f"{reading.crop} planted at {reading.planted_s!r} s, which is not in the past; dropped")
        else:
            self.told = reading

    def at(self, measured: Mapping[str, Measured], before_s: float, now_s: float, day: int) -> Crop:
        """The crop now; the time since the last picture is counted with what is believed now."""
        passed = min(max(now_s - before_s, 0.0), GAP_S)
        temp = _value(measured, "air_temp_c")
        par = _value(measured, "par_umol_m2_s")
        if day != self._day:
            self._dli_yesterday = self._dli if self._day >= 0 else None
            self._day, self._dli = day, 0.0
        self._dli += (par or 0.0) * passed * 1e-6
        if temp is not None:
            self._gdd += max(temp - BASE_C, 0.0) * passed / DAY_S
            self._remember(temp, passed, now_s)
        told = self.told
        seconds = sum(item[1] for item in self._temps)
        mean = sum(item[2] for item in self._temps) / seconds if seconds > 0.0 else (temp if temp is not None else 0.0)
        return Crop.model_construct(
            name=told.crop if told else "unknown",
            stage=told.stage if told else "vegetative",
            days_after_planting=round((now_s - told.planted_s) / DAY_S, 4) if told else 0.0,
            gdd_cd=round(self._gdd, 3),
            dli_mol_m2=round(self._dli, 3),
            dli_yesterday_mol_m2=round(self._dli_yesterday, 3) if self._dli_yesterday is not None else None,
            temp_24h_c=round(mean, 3),
        )

    def shift(self, by_s: float) -> None:
        """The clock was set: every remembered time moves with it."""
        self._temps = deque((start + by_s, seconds, degrees) for start, seconds, degrees in self._temps)
        if self.told is not None:
            self.told = self.told.model_copy(update={"t_s": self.told.t_s + by_s, "planted_s": self.told.planted_s + by_s})

    def _remember(self, temp: float, passed: float, now_s: float) -> None:
        if self._temps and now_s - self._temps[-1][0] <= GAP_S:
            start, seconds, degrees = self._temps[-1]
            self._temps[-1] = (start, seconds + passed, degrees + temp * passed)
        elif passed > 0.0:
            self._temps.append((now_s - passed, passed, temp * passed))
        while self._temps and self._temps[0][0] < now_s - DAY_S:
            self._temps.popleft()


def _value(measured: Mapping[str, Measured], quantity: str) -> float | None:
    found = measured.get(quantity)
    return found.value if found is not None and found.quality != "bad" else None
