"""A plan of set-points: hourly knots for one to six hours, and how it travels inside an Order (a flat mapping of numbers)."""

import re
from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_domains.farm.greenhouse.vectors import SETPOINT_NAMES, SETPOINTS

MAX_HOURS = 6
_KEY = re.compile(r"^(?P<name>[a-z0-9_]+)@(?P<hour>\d+)$")


class Knot(Closed):
    """Set-points at the full hours of a plan; between two knots they are interpolated. Ranges: limits.yaml."""

    heat_temp_c: float
    vent_temp_c: float
    rh_max_pct: float
    co2_ppm: float
    lamp_pct: float
    screen_out_temp_c: float
    shade_w_m2: float
    fog_vpd_kpa: float
    shot_j_cm2: float
    shot_l_m2: float
    feed_ec_ds_m: float
    feed_ph: float

    def row(self) -> NDArray[np.float64]:
        """As an array, in the order of vectors.SETPOINT_NAMES."""
        return np.array([getattr(self, name) for name in SETPOINT_NAMES])

    @classmethod
    def of_row(cls, row: NDArray[np.float64]) -> Self:
        return cls(**{name: round(float(value), 3) for name, value in zip(SETPOINT_NAMES, row, strict=True)})


class Plan(Closed):
    """Knot i holds from start_s + i h on; the last one stands until the order ends."""

    start_s: float
    knots: tuple[Knot, ...] = Field(min_length=1, max_length=MAX_HOURS)

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if not np.isfinite(self.table()).all() or not np.isfinite(self.start_s):
            raise ValueError("a plan holds finite numbers only")
        return self

    def table(self) -> NDArray[np.float64]:
        """(hours, SETPOINTS)."""
        return np.stack([knot.row() for knot in self.knots])

    def at(self, t_s: float) -> NDArray[np.float64]:
        """Set-points at a moment, (SETPOINTS,): linear between knots, the first before them, the last after."""
        table = self.table()
        hours = min(max((t_s - self.start_s) / 3600.0, 0.0), len(table) - 1.0)
        low = min(int(hours), len(table) - 1)
        high = min(low + 1, len(table) - 1)
        return table[low] + (hours - low) * (table[high] - table[low])

    def setpoints(self) -> dict[str, float]:
        """As an Order carries it: {"start_s": .., "heat_temp_c@0": 18.5, ..., "feed_ph@5": 5.8}."""
        flat = {f"{name}@{hour}": getattr(knot, name) for hour, knot in enumerate(self.knots) for name in SETPOINT_NAMES}
        return {"start_s": self.start_s, **flat}

    @classmethod
    def of_setpoints(cls, setpoints: Mapping[str, float]) -> Self:
        """The way back. ValueError names the key that is missing, unknown or no number."""
        hours = 1 + max((int(found["hour"]) for key in setpoints if (found := _KEY.match(key))), default=-1)
        expected = {"start_s"} | {f"{name}@{hour}" for hour in range(min(hours, MAX_HOURS)) for name in SETPOINT_NAMES}
        wrong = sorted(expected ^ set(setpoints))
        if hours == 0 or wrong:
            raise ValueError(f"no plan: {', '.join(wrong[:4]) or 'no knots'} missing or unknown")
        knots = tuple(Knot(**{name: setpoints[f"{name}@{hour}"] for name in SETPOINT_NAMES}) for hour in range(hours))
        return cls(start_s=setpoints["start_s"], knots=knots)


assert len(Knot.model_fields) == SETPOINTS
