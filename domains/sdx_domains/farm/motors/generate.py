"""Minutes of a made-up house of the kind that TANGO2 records: unheated, eight window motors, worked by a grower. Start at generate().

The climate is this project's greenhouse model under generated weather. w1-w4 are the outer windows (left low, right low, left high, right
high), w5-w8 the inner ones behind them; air passes as far as both of a pair stand open. The grower looks now and then, opens in steps when it
is warm and getting warmer, shuts for rain, wind and the night, and is not always consistent: rules of thumb of this project, not a recording.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse import step as house
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.state import initial
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    AIR_RH_PCT,
    AIR_TEMP_C,
    MEASURED,
    OUT_RH_PCT,
    OUT_TEMP_C,
    RAIN_MM_H,
    SOLAR_W_M2,
    VENT_LEE,
    VENT_WIND,
    WIND_DIR_DEG,
    WIND_M_S,
)
from sdx_domains.farm.motors.minutes import Minutes, settings
from sdx_domains.farm.world.climate import generate as weather_of

STAGES = ((0, 1, 4, 5), (2, 3, 6, 7))
"""Motors that a grower moves together: low windows first, then the high ones; outer and inner of a pair at once."""
LUX_PER_W_M2 = 110.0
BASE_C, TOP_C = 5.0, 30.0
"""Growing degree days of cabbage are counted between these."""


@dataclass
class Grower:
    """Habits drawn by seed, and what is under way."""

    rng: np.random.Generator
    target_c: float = field(init=False)
    step_pct: int = field(init=False)
    look_min: float = field(init=False)
    next_look: int = 0
    rain_since: int | None = None

    def __post_init__(self) -> None:
        self.target_c = float(self.rng.uniform(23.0, 26.0))
        self.step_pct = int(self.rng.choice([10, 15, 20]))
        self.look_min = float(self.rng.uniform(12.0, 30.0))

    def moves(
        self, minute: int, hour: float, temp_c: float, rise_k: float, rain: bool, wind_m_s: float, openings: NDArray[np.float64]
    ) -> None:
        """Changes `openings` in place, %, as this grower would at this minute."""
        self.rain_since = (self.rain_since if self.rain_since is not None else minute) if rain else None
        if self.rain_since is not None and minute - self.rain_since >= 3:
            openings[:] = 0.0
            return
        if hour < 7.0 or hour > 17.5:
            if hour > 17.5 and openings.any():
                openings[:] = 0.0
            return
        if minute < self.next_look or rain:
            return
        self.next_look = minute + 1 + int(self.rng.exponential(self.look_min))
        if wind_m_s > 8.0 and openings[[1, 3]].max() > 20.0:
            openings[[1, 3]] = 20.0
            return
        error = temp_c + 2.0 * rise_k - self.target_c + self.rng.normal(0.0, 0.5)
        if error > 1.5:
            stage = next((stage for stage in STAGES if openings[list(stage)].max() < 100.0), None)
            if stage is not None:
                openings[list(stage)] = np.minimum(100.0, openings[list(stage)] + self.step_pct * (1 + (error > 5.0)))
        elif error < -2.0:
            stage = next((stage for stage in reversed(STAGES) if openings[list(stage)].max() > 0.0), None)
            if stage is not None:
                openings[list(stage)] = np.maximum(0.0, openings[list(stage)] - self.step_pct)


def generate(days: int, seed: int, first_day: date = date(2026, 3, 20), site: str = "jeonju") -> Minutes:
    """`days` days from local midnight of `first_day` on. ValueError: no days; KeyError: unknown site."""
    weather = weather_of(site, first_day, days, seed)
    parameters = Parameters.read("published")
    par, state = parameters.array(), initial(parameters, air_temp_c=10.0, lai=1.5)
    rng = np.random.default_rng([seed, 8])
    grower, openings, measured = Grower(rng), np.zeros(8), np.zeros(MEASURED)
    actuators, flows = np.zeros(ACTUATORS), np.zeros(house.FLOWS)
    temps: list[float] = []
    rows: list[tuple[float, ...]] = []
    gdd = 0.0
    for minute in range(days * 1440):
        t_s = 60.0 * minute
        outside = weather.at(t_s)
        house.measure(state, outside, actuators, par, measured)
        temp_c = round(float(measured[AIR_TEMP_C] + rng.normal(0.0, 0.1)), 1)
        temps.append(temp_c)
        gdd += max(0.0, min(temp_c, TOP_C) - BASE_C) / 1440.0
        rain = float(outside[RAIN_MM_H] > 0.05)
        sun = min(100_000.0, outside[SOLAR_W_M2] * LUX_PER_W_M2)
        humidity = min(100.0, max(0.0, float(measured[AIR_RH_PCT] + rng.normal(0.0, 0.8))))
        rows.append((
            outside[OUT_TEMP_C], outside[OUT_RH_PCT], outside[WIND_M_S], outside[WIND_DIR_DEG], rain, temp_c, humidity, sun,
            *openings, 20.0 + minute // 1440, gdd,
        ))  # fmt: skip
        rise_k = (temps[-1] - temps[max(0, len(temps) - 16)]) / 3.0
        grower.moves(minute, weather.local_hour(t_s), temp_c, rise_k, rain > 0.0, float(outside[WIND_M_S]), openings)
        passage = np.minimum(openings[:4], openings[4:]) / 100.0
        actuators[VENT_LEE], actuators[VENT_WIND] = passage[[0, 2]].mean(), passage[[1, 3]].mean()
        house.step(state, outside, actuators, par, 60.0, flows)
    names = ["out_temp", "out_humi", "out_wind_speed", "out_wind_direction", "out_rain", "temp", "humi", "SI", *settings()["motors"]]
    times = pd.date_range(weather.start, periods=len(rows), freq=timedelta(minutes=1), name="ts")
    table = pd.DataFrame(rows, columns=[*names, "days_after_planting", "growing_degree_days"], index=times).round(2)
    return Minutes(table, ())
