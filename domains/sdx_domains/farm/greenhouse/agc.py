"""Logs of the Autonomous Greenhouse Challenge, second edition (4TU, doi 10.4121/uuid:88d22c60-21b3-4ea8-90db-20249a5be2a7), as a trace:

    python -m sdx_domains.farm.greenhouse.agc GreenhouseClimate.csv Weather.csv --from 2020-02-01 --days 10 --out trace.csv

fit.py and validate.py take the result. The logs hold no heating valve: it is reckoned back from the pipe's temperature.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from datetime import date
from math import pi
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse.balance import PIPE_VIEW, heat_capacities
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.psychrometrics import KELVIN, STEFAN_BOLTZMANN
from sdx_domains.farm.greenhouse.state import PIPE_C, initial

Array = NDArray[np.float64]
TIME = "%time"
"""Days since 1899-12-30, as spreadsheets count."""
EPOCH = date(1899, 12, 30)
CLIMATE = ("Tair", "Rhair", "CO2air", "PipeLow", "VentLee", "Ventwind", "EnScr", "BlackScr", "AssimLight", "co2_dos")
"""C, %, ppm, C, then 0..100 % of opening, closure or power, then kg/ha h."""
WEATHER = ("Iglob", "Tout", "Rhout", "Windsp")
"""W/m2, C, %, m/s."""
OUTSIDE_CO2_PPM = 415.0
"""Of the years 2019 and 2020; the logs do not hold it."""
STEP_S, GAP_S = 300.0, 3600.0
"""Step of the logs; what is further than this from a logged value is not guessed."""
MG_M2_S = 1e6 / 1e4 / 3600.0
"""Of one kg/ha h."""


def agc_trace(climate: Path, weather: Path, first_day: date, days: int, parameters: Parameters) -> dict[str, Array]:
    """Columns of a trace (trace.py) from local midnight of `first_day` on.

    ValueError names the column that is missing, or the column and time of a gap that is too wide to bridge.
    """
    seconds = np.arange(0.0, days * 86400.0, STEP_S, dtype=np.float64)
    times = np.asarray((first_day - EPOCH).days + seconds / 86400.0, dtype=np.float64)
    inside = {name: _at(climate, name, *_logged(climate, name), times) for name in CLIMATE}
    outside = {name: _at(weather, name, *_logged(weather, name), times) for name in WEATHER}
    pipe, air = inside["PipeLow"], inside["Tair"]
    columns = {
        "t_s": seconds,
        "hour": seconds / 3600.0 % 24.0,
        "air_co2_ppm": inside["CO2air"],
        "air_temp_C": air,
        "air_rh_pct": np.clip(inside["Rhair"], 0.0, 100.0),
        "pipe_temp_C": pipe,
        "outside_solar_W_m2": np.maximum(outside["Iglob"], 0.0),
        "outside_temp_C": outside["Tout"],
        "outside_rh_pct": np.clip(outside["Rhout"], 0.0, 100.0),
        "outside_co2_ppm": np.full(len(times), OUTSIDE_CO2_PPM),
        "outside_wind_m_s": np.maximum(outside["Windsp"], 0.0),
        "heating_valve": heating_valve(pipe, air, parameters),
        "co2_valve": np.clip(MG_M2_S * inside["co2_dos"] / parameters["co2_mg_m2_s"], 0.0, 1.0),
        "thermal_screen": _share(inside["EnScr"]),
        "vent": 0.5 * (_share(inside["VentLee"]) + _share(inside["Ventwind"])),
        "lamps": _share(inside["AssimLight"]),
        "blackout_screen": _share(inside["BlackScr"]),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}


def heating_valve(pipe_c: Array, air_c: Array, parameters: Parameters) -> Array:
    """0..1: heat that the pipes must have got, what they gave off by convection and radiation plus what they took up, over the
    boiler's power (the pipe's balance of step.py turned round; Vanthoor 2011a, eq. 9 and Tables 3 and 4)."""
    over = pipe_c - air_c
    area = pi * parameters["pipe_outer_m"] * parameters["pipe_length_m_m2"]
    radiation = 2.0 * PIPE_VIEW * area * parameters["pipe_emissivity"] * STEFAN_BOLTZMANN * ((pipe_c + KELVIN) ** 4 - (air_c + KELVIN) ** 4)
    given_off = 1.99 * area * np.abs(over) ** 0.32 * over + radiation
    capacity = float(heat_capacities(initial(parameters), parameters.array())[PIPE_C])
    taken_up = np.append(np.diff(pipe_c), 0.0) * capacity / STEP_S
    return np.clip((given_off + taken_up) / parameters["boiler_w_m2"], 0.0, 1.0)


def _share(percent: Array) -> Array:
    return np.clip(percent / 100.0, 0.0, 1.0)


def _logged(path: Path, name: str) -> tuple[Array, Array]:
    """Times and values of a column where it holds a number."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {TIME, name} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}; a log of the challenge's second edition is needed")
        pairs = [(_number(row[TIME]), _number(row[name])) for row in reader]
    table = np.array(pairs).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], table[:, 1]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _at(path: Path, name: str, logged: Array, values: Array, times: Array) -> Array:
    nearest = np.concatenate([[-np.inf], logged, [np.inf]])
    after = np.searchsorted(nearest, times)
    far = np.minimum(times - nearest[after - 1], nearest[after] - times) * 86400.0
    if far.max() > GAP_S:
        day = times[np.argmax(far > GAP_S)]
        raise ValueError(f"{path}: {name} is missing for more than {GAP_S / 3600:g} h about day {day:.3f} since {EPOCH}; choose other days")
    return np.interp(times, logged, values)


def write_trace(path: Path, columns: Mapping[str, Array]) -> None:
    """As CSV, whole or absent."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([f"{value:.6g}" for value in row] for row in zip(*columns.values(), strict=True))
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="agc", description="Turn logs of the Autonomous Greenhouse Challenge into a trace.")
    parser.add_argument("climate", type=Path, help="GreenhouseClimate.csv of a compartment")
    parser.add_argument("weather", type=Path, help="Weather.csv")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, help="first day, YYYY-MM-DD")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True, help="trace to write, .csv")
    given = parser.parse_args(arguments)
    try:
        write_trace(given.out, agc_trace(given.climate, given.weather, given.first, given.days, Parameters.read()))
    except (ValueError, TypeError, OSError) as error:
        parser.error(str(error))
    print(f"written to {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
