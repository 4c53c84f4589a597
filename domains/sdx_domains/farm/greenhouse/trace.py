"""Recorded runs of a house, a CSV of the columns below at equal steps: read, and replayed through the simulator day by day.

Used to fit the parameters to a house (fit.py) and to tell how far simulation and record are apart (validate.py).
"""

import csv
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.psychrometrics import co2_mg_m3, co2_ppm, rh_pct, vp_pa
from sdx_domains.farm.greenhouse.state import (
    AIR_C,
    CANOPY_24H_C,
    CANOPY_SUM_CD,
    CO2_MG_M3,
    FRUIT_MG,
    HARVESTED_MG,
    PIPE_C,
    VAPOUR_PA,
    WATER_L,
    initial,
    spread_fruit,
)
from sdx_domains.farm.greenhouse.step import FLOWS, step
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    BLACKOUT_SCREEN,
    CO2_DOSING,
    HEATING,
    LAMPS,
    OUT_CO2_PPM,
    OUT_RH_PCT,
    OUT_TEMP_C,
    SKY_TEMP_C,
    SOIL_TEMP_C,
    SOLAR_W_M2,
    THERMAL_SCREEN,
    VENT_LEE,
    VENT_WIND,
    WEATHER,
    WIND_M_S,
)
from sdx_domains.farm.world import solar

Array = NDArray[np.float64]
OBSERVED = ("air_temp_C", "air_rh_pct", "air_co2_ppm", "pipe_temp_C", "canopy_temp_24h_C", "fruit_dry_mg_m2", "canopy_temp_sum_Cd")
"""Columns of the state, in the order of Trace.observed; the last three may be missing."""
NEEDED = 4
OUTSIDE = {
    "outside_solar_W_m2": SOLAR_W_M2,
    "outside_temp_C": OUT_TEMP_C,
    "outside_rh_pct": OUT_RH_PCT,
    "outside_co2_ppm": OUT_CO2_PPM,
    "outside_wind_m_s": WIND_M_S,
}
POSITIONS = {
    "heating_valve": (HEATING,),
    "co2_valve": (CO2_DOSING,),
    "thermal_screen": (THERMAL_SCREEN,),
    "vent": (VENT_LEE, VENT_WIND),
    "lamps": (LAMPS,),
    "blackout_screen": (BLACKOUT_SCREEN,),
}
DAY_S = 86400.0
LATITUDE_DEG = 52.3


@dataclass(frozen=True, eq=False)
class Trace:
    """Row i holds state and weather at i * step_s and the positions from then until the next row."""

    name: str
    step_s: float
    hour: float
    """Local time of the first row."""
    weather: Array
    """(N, WEATHER)."""
    actuators: Array
    """(N, ACTUATORS)."""
    observed: Array
    """(N, len(OBSERVED)); NaN where a column is missing."""

    @property
    def day_rows(self) -> int:
        return round(DAY_S / self.step_s)


def read_trace(path: Path, latitude_deg: float = LATITUDE_DEG) -> Trace:
    """Reads `t_s,hour` and the columns of OBSERVED, OUTSIDE and POSITIONS. ValueError names the column, or row and value, that is wrong."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = ("t_s", "hour", *OBSERVED[:NEEDED], *OUTSIDE, *POSITIONS)
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        raise ValueError(f"{path}: a trace needs {', '.join(missing)}; see greenhouse/trace.py for its columns")
    columns = {name: _column(path, rows, name) for name in rows[0] if name in needed or name in OBSERVED}
    steps = np.diff(columns["t_s"])
    if len(rows) < 3 or steps.min() <= 0.0 or np.ptp(steps) > 1e-6 * steps[0]:
        raise ValueError(f"{path}: t_s must rise by equal steps over three rows or more")
    weather = np.zeros((len(rows), WEATHER))
    for name, place in OUTSIDE.items():
        weather[:, place] = columns[name]
    weather[:, SKY_TEMP_C] = _sky_temp_c(weather, columns["hour"], float(steps[0]), latitude_deg)
    weather[:, SOIL_TEMP_C] = 0.5 * (weather[:, OUT_TEMP_C].mean() + 10.0)
    actuators = np.zeros((len(rows), ACTUATORS))
    for name, places in POSITIONS.items():
        for place in places:
            actuators[:, place] = np.clip(columns[name], 0.0, 1.0)
    observed = np.stack([columns.get(name, np.full(len(rows), np.nan)) for name in OBSERVED], axis=1)
    return Trace(path.stem, float(steps[0]), float(columns["hour"][0]), weather, actuators, observed)


def _column(path: Path, rows: list[dict[str, str]], name: str) -> Array:
    values = np.empty(len(rows))
    for place, row in enumerate(rows):
        try:
            values[place] = float(row[name])
        except (TypeError, ValueError):
            values[place] = np.nan
        if not isfinite(values[place]):
            raise ValueError(f"{path}, row {place + 2}: {name} is {row[name]!r}, a number is needed")
    return values


def _sky_temp_c(weather: Array, hours: Array, step_s: float, latitude_deg: float) -> Array:
    """Sky temperature, which a trace does not hold: cloud cover from each day's sum of radiation over that of a clear sky, between days
    interpolated. The sun's declination follows from the length of the days, as a trace has no date."""
    day = np.arange(len(hours)) // round(DAY_S / step_s)
    sun = weather[:, SOLAR_W_M2]
    light_h = np.mean([(sun[day == number] > 1.0).sum() for number in np.unique(day)]) * step_s / 3600.0
    latitude = np.radians(latitude_deg)
    declination = np.clip(np.arctan(-np.cos(np.pi * np.clip(light_h, 4.0, 20.0) / 24.0) / np.tan(latitude)), -0.41, 0.41)
    noon = float(np.average(hours, weights=sun)) if sun.max() > 0.0 else 12.0
    angle = (hours - noon) * np.pi / 12.0
    height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    clear = solar.clear_sky_w_m2(np.maximum(height, 0.0))
    clearness = np.array(
        [min(1.0, sun[day == n].sum() / clear[day == n].sum()) if clear[day == n].sum() > 0.0 else 0.5 for n in np.unique(day)]
    )
    cover = solar.cloud_cover(clearness)
    middle = (np.unique(day) + 0.5) * DAY_S / step_s
    return solar.sky_temp_c(weather[:, OUT_TEMP_C], weather[:, OUT_RH_PCT], np.interp(np.arange(len(hours)), middle, cover))


def start_state(trace: Trace, parameters: Parameters) -> Array:
    """The state at the first row: what is observed, the rest at rest with it (state.initial)."""
    temp, rh, co2 = trace.observed[0, :3]
    state = initial(parameters, air_temp_c=temp, air_rh_pct=rh, co2_ppm=co2, soil_temp_c=float(trace.weather[0, SOIL_TEMP_C]))
    observe(state, trace.observed[0], parameters)
    return state


def observe(state: Array, row: Array, parameters: Parameters) -> None:
    """Sets what a row of OBSERVED tells and leaves the rest as the simulation has it."""
    state[AIR_C], state[PIPE_C] = row[0], row[3]
    state[VAPOUR_PA] = vp_pa(row[0], row[1])
    state[CO2_MG_M3] = co2_mg_m3(row[2], row[0])
    if isfinite(row[4]):
        state[CANOPY_24H_C] = row[4]
    if isfinite(row[5]):
        spread_fruit(state, parameters, row[5])
        state[HARVESTED_MG] = 0.0
    if isfinite(row[6]):
        state[CANOPY_SUM_CD] = row[6]


def replay(trace: Trace, parameters: Parameters, *, spin_up: bool = True, step_s: float = 60.0) -> Array:
    """(N, len(OBSERVED)): what the simulator has at each row, in free runs that start anew from the record each midnight.

    What is not observed (screens, cover, floor, soil, leaves, carbohydrate buffer) is carried on from the simulation's own day before; the
    first day is run once beforehand, so that these are no guess. Fruit counts what was picked since midnight.
    """
    par, state = parameters.array(), start_state(trace, parameters)
    if spin_up:
        _run(state, trace.weather[: trace.day_rows + 1], trace.actuators[: trace.day_rows + 1], par, trace.step_s, step_s)
    found = np.empty_like(trace.observed)
    for first in _midnights(trace):
        observe(state, trace.observed[first], parameters)
        last = min(first + trace.day_rows - (_since_midnight(trace) if first == 0 else 0), len(trace.weather) - 1)
        states = _run(state, trace.weather[first : last + 1], trace.actuators[first : last + 1], par, trace.step_s, step_s)
        found[first : last + 1] = _as_observed(states)
    return found


def _since_midnight(trace: Trace) -> int:
    return round(trace.hour * 3600.0 / trace.step_s)


def _midnights(trace: Trace) -> list[int]:
    """Rows at which a free run starts: the first one and every midnight."""
    return [0, *(row for row in range(trace.day_rows - _since_midnight(trace), len(trace.weather) - 1, trace.day_rows) if row > 0)]


def _as_observed(states: Array) -> Array:
    found = np.empty((len(states), len(OBSERVED)))
    for place, state in enumerate(states):
        found[place] = (
            state[AIR_C],
            rh_pct(state[AIR_C], state[VAPOUR_PA]),
            co2_ppm(state[CO2_MG_M3], state[AIR_C]),
            state[PIPE_C],
            state[CANOPY_24H_C],
            state[FRUIT_MG : HARVESTED_MG + 1].sum(),
            state[CANOPY_SUM_CD],
        )
    return found


@njit(cache=True)
def _run(state: Array, weather: Array, actuators: Array, par: Array, row_s: float, step_s: float) -> Array:
    """States at each row, (N, STATES); `state` ends as the last. A trace tells nothing of irrigation: the slab stays as it is."""
    states, flows, slab = np.empty((len(weather), len(state))), np.zeros(FLOWS), state[WATER_L:].copy()
    states[0] = state
    steps = max(1, round(row_s / step_s))
    for row in range(len(weather) - 1):
        for part in range(steps):
            share = (part + 0.5) / steps
            step(state, weather[row] + share * (weather[row + 1] - weather[row]), actuators[row], par, row_s / steps, flows)
            state[WATER_L:] = slab
        states[row + 1] = state
    return states
