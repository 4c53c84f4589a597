"""Weather from files: EnergyPlus EPW and our own CSV, which `write_csv` writes. An error names file, row, field and value."""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world import solar
from sdx_domains.farm.world.solar import Array
from sdx_domains.farm.world.weather import OUTSIDE_CO2_PPM, RANGES, WEATHER_NAMES, Weather

REQUIRED = ("solar_w_m2", "temp_c", "rh_pct", "wind_m_s")
EPW_FIELDS = {"temp_c": (6, 99.9), "rh_pct": (8, 999.0), "infrared": (12, 9999.0), "solar_w_m2": (13, 9999.0), "wind_dir_deg": (20, 999.0),
              "wind_m_s": (21, 999.0), "cover": (22, 99.0), "rain_mm_h": (33, 999.0)}  # fmt: skip
"""Place in a data row and the value that means "missing" (EnergyPlus 24.1, Auxiliary Programs, EPW data dictionary)."""
EPW_HEAD = 8
MOST_ROWS = 2_000_000


def read_epw(path: Path) -> Weather:
    """An EPW file as one year, that of its first row, from 1 January local time on; the years of its months may differ.

    Gaps in temperature, humidity, radiation or wind are an error; missing rain is none, missing sky radiation is reckoned from clouds.

    Raises:
        ValueError: not an EPW file, a value out of range or missing, too few rows; names file, row, field and value.
    """
    lines = _lines(path)
    head = next(lines, (0, [""]))[1]
    if head[0].strip().upper() != "LOCATION" or len(head) < 10:
        raise ValueError(f"{path}: row 1: {','.join(head)[:40]!r} is no LOCATION row of an EPW file")
    lat, lon, east = (_number(path, 1, name, head[place]) for name, place in (("latitude", 6), ("longitude", 7), ("time zone", 8)))
    _check_place(path, lat, lon, east)
    columns: dict[str, list[float]] = {name: [] for name in EPW_FIELDS}
    first_year: int | None = None
    for row, fields in lines:
        if row <= EPW_HEAD:
            continue
        if len(fields) < 32:
            raise ValueError(f"{path}: row {row}: {len(fields)} fields, an EPW row has 35")
        hour = _number(path, row, "hour", fields[3])
        if hour != (row - EPW_HEAD - 1) % 24 + 1:
            raise ValueError(f"{path}: row {row}: hour: {hour:g}, an hourly file without gaps has {(row - EPW_HEAD - 1) % 24 + 1} here")
        if first_year is None:
            first_year = _year(path, row, fields[0])
        for name, (place, missing) in EPW_FIELDS.items():
            value = missing if place >= len(fields) or not fields[place].strip() else _number(path, row, name, fields[place])
            columns[name].append(math.nan if value >= missing else value)
    if first_year is None or len(columns["temp_c"]) < 24:
        raise ValueError(f"{path}: {len(columns['temp_c'])} data rows; a day has 24")
    table = {name: np.array(values) for name, values in columns.items()}
    table["rain_mm_h"] = np.nan_to_num(table["rain_mm_h"])
    table["wind_dir_deg"] = np.nan_to_num(table["wind_dir_deg"])
    cover = np.nan_to_num(table.pop("cover"), nan=5.0) / 10.0
    infrared = table.pop("infrared")
    for name, values in table.items():
        _check(path, name, values, EPW_HEAD + 1)
    reckoned = solar.sky_temp_c(table["temp_c"], table["rh_pct"], cover)
    sky = np.where(infrared > 50.0, solar.sky_temp_of_infrared_c(np.where(infrared > 50.0, infrared, 300.0)), reckoned)
    rows = _rows(table | {"sky_temp_c": sky})
    # a value stands for the hour before its time: its middle is half an hour earlier, and the first row is repeated for 00:00
    half_hours = np.concatenate([rows[:1], (rows[:-1] + rows[1:]) / 2.0, rows[-1:]])
    half_hours[1:-1, v.WIND_DIR_DEG] = rows[1:, v.WIND_DIR_DEG]
    start = datetime(first_year, 1, 1, tzinfo=UTC) - timedelta(hours=east)
    return Weather(start, lat, lon, east, 3600.0, half_hours)


def read_csv(path: Path) -> Weather:
    """Our CSV: first line "# start=<UTC ISO> lat_deg=.. lon_deg=.. hours_east=..", then a header with t_s and columns of WEATHER_NAMES.

    Columns solar_w_m2, temp_c, rh_pct, wind_m_s are needed; rain, direction, CO2, sky and soil may be absent. Steps of t_s are equal.

    Raises:
        ValueError: names file, row, field and value.
    """
    lines = _lines(path)
    start, lat, lon, east = _place(path, ",".join(next(lines, (1, [""]))[1]))
    header = [name.strip() for name in next(lines, (2, [""]))[1]]
    unknown = sorted(set(header) - {"t_s", *WEATHER_NAMES})
    if missing := sorted({"t_s", *REQUIRED} - set(header)):
        raise ValueError(f"{path}: row 2: no column {', '.join(missing)}")
    if unknown or len(set(header)) < len(header):
        raise ValueError(
            f"{path}: row 2: column {(unknown or header)[0]!r} is unknown or twice there; known: t_s, {', '.join(WEATHER_NAMES)}"
        )
    columns: dict[str, list[float]] = {name: [] for name in header}
    for row, fields in lines:
        if len(fields) != len(header):
            raise ValueError(f"{path}: row {row}: {len(fields)} fields, the header has {len(header)}")
        for name, text in zip(header, fields, strict=True):
            columns[name].append(_number(path, row, name, text))
    table = {name: np.array(values) for name, values in columns.items()}
    times = table.pop("t_s")
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    if step <= 0.0 or times[0] != 0.0 or not np.allclose(np.diff(times), step, atol=1e-3):
        bad = int(np.argmax(~np.isclose(np.diff(times), step, atol=1e-3))) if len(times) > 1 and step > 0.0 and times[0] == 0.0 else 0
        raise ValueError(f"{path}: row {bad + 3}: t_s must begin at 0 and go on in equal steps (first step {step:g} s)")
    for name, column in table.items():
        _check(path, name, column, 3)
    return Weather(start, lat, lon, east, step, _rows(table))


def write_csv(weather: Weather, path: Path) -> Path:
    """Write what read_csv reads, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(
            f"# start={weather.start.isoformat()} lat_deg={weather.lat_deg} lon_deg={weather.lon_deg} hours_east={weather.hours_east}\n"
        )
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t_s", *WEATHER_NAMES])
        writer.writerows([f"{i * weather.step_s:g}", *(f"{value:.6g}" for value in row)] for i, row in enumerate(weather.rows))
    part.replace(path)
    return path


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(row number from 1, fields), blank rows left out."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for row, fields in enumerate(csv.reader(file), 1):
                if row > MOST_ROWS:
                    raise ValueError(f"{path}: more than {MOST_ROWS} rows; cut the file")
                if fields:
                    yield row, fields
    except csv.Error as error:
        raise ValueError(f"{path}: not a text table: {error}") from error


def _number(path: Path, row: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path}: row {row}: {name}: {text[:40]!r} is not a number")
    return value


def _year(path: Path, row: int, text: str) -> int:
    value = _number(path, row, "year", text)
    if not 1800 <= value <= 2200:
        raise ValueError(f"{path}: row {row}: year: {value:g} is outside 1800..2200")
    return int(value)


def _check(path: Path, name: str, values: Array, first_row: int) -> None:
    low, high = RANGES[name]
    wrong = ~((values >= low) & (values <= high))
    if wrong.any():
        at = int(np.argmax(wrong))
        said = "is missing" if math.isnan(values[at]) else f"{values[at]:g} is outside {low:g}..{high:g}"
        raise ValueError(f"{path}: row {at + first_row}: {name}: {said}")


def _place(path: Path, line: str) -> tuple[datetime, float, float, float]:
    pairs = dict(word.split("=", 1) for word in line.lstrip("# ").split() if "=" in word)
    if missing := [name for name in ("start", "lat_deg", "lon_deg", "hours_east") if name not in pairs]:
        raise ValueError(
            f"{path}: row 1: {missing[0]} is missing; begin with '# start=2026-03-01T00:00:00+00:00 lat_deg=52 lon_deg=5 hours_east=1'"
        )
    try:
        start = datetime.fromisoformat(pairs["start"])
        start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{path}: row 1: start: {pairs['start'][:40]!r} is no ISO 8601 time") from None
    lat, lon, east = (_number(path, 1, name, pairs[name]) for name in ("lat_deg", "lon_deg", "hours_east"))
    _check_place(path, lat, lon, east)
    return start, lat, lon, east


def _check_place(path: Path, lat: float, lon: float, east: float) -> None:
    for name, value, most in (("lat_deg", lat, 90.0), ("lon_deg", lon, 180.0), ("hours_east", east, 14.0)):
        if abs(value) > most:
            raise ValueError(f"{path}: row 1: {name}: {value:g} is outside {-most:g}..{most:g}")


def _rows(table: dict[str, Array]) -> Array:
    """(N, WEATHER); what is absent: no rain, outdoor CO2, half-clouded sky, soil at the mean temperature of the file."""
    temp, rh = table["temp_c"], table["rh_pct"]
    absent = {
        "co2_ppm": np.full(len(temp), OUTSIDE_CO2_PPM), "wind_dir_deg": np.zeros(len(temp)), "rain_mm_h": np.zeros(len(temp)),
        "sky_temp_c": solar.sky_temp_c(temp, rh, np.full(len(temp), 0.5)), "soil_temp_c": np.full(len(temp), temp.mean()),
    }  # fmt: skip
    return np.column_stack([(absent | table)[name] for name in WEATHER_NAMES])
