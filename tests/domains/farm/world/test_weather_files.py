"""Weather files: what was written is read back, EPW means what its dictionary says, and a bad file is named with row, field and value."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.weather_files import read_csv, read_epw, write_csv

HEAD = ["LOCATION,Seoul,-,KOR,IWEC,471080,37.57,126.97,9.0,86.0"] + [f"COMMENTS {i}" for i in range(7)]
PLACE = "# start=2026-03-01T00:00:00+00:00 lat_deg=52 lon_deg=5 hours_east=1\n"
GOOD = PLACE + "t_s,solar_w_m2,temp_c,rh_pct,wind_m_s\n0,0,5,80,2\n3600,10,6,79,3\n7200,20,7,78,4\n"


def _epw_row(hour: int, **changes: str) -> str:
    fields = [
        "2001",
        "1",
        str(hour // 24 + 1),
        str(hour % 24 + 1),
        "60",
        "?9",
        "5.0",
        "2.0",
        "80",
        "101325",
        "0",
        "0",
        "280",
        "100",
        "0",
        "50",
    ]
    fields += ["0", "0", "0", "0", "270", "3.5", "5", "5", "20", "2000", "9", "999999999", "10", "0.1", "0", "88", "0.2", "1.5", "1.0"]
    for place, text in changes.items():
        fields[int(place[1:])] = text
    return ",".join(fields)


def _epw(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join([*HEAD, *rows]) + "\n")
    return path


def test_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    weather = generate("almeria", date(2026, 3, 1), 2, seed=1)
    again = read_csv(write_csv(weather, tmp_path / "w.csv"))
    assert np.allclose(again.rows, weather.rows, rtol=1e-5, atol=1e-4)
    assert (again.start, again.lat_deg, again.hours_east, again.step_s) == (
        weather.start,
        weather.lat_deg,
        weather.hours_east,
        weather.step_s,
    )
    assert not list(tmp_path.glob("*.part"))


def test_csv_without_the_optional_columns(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(GOOD)
    weather = read_csv(path)
    row = weather.at(1800.0)
    assert row[v.OUT_TEMP_C] == 5.5 and row[v.RAIN_MM_H] == 0.0 and row[v.OUT_CO2_PPM] == 420.0
    assert -30.0 < row[v.SKY_TEMP_C] < 5.5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("7200,20,7,78,4", "7200,20,hot,78,4", "row 5: temp_c: 'hot' is not a number"),
        ("7200,20,7,78,4", "7200,20,nan,78,4", "row 5: temp_c: 'nan' is not a number"),
        ("7200,20,7,78,4", "7200,20,7,178,4", "row 5: rh_pct: 178 is outside 0..100"),
        ("7200,20,7,78,4", "7200,20,7,78", "row 5: 4 fields, the header has 5"),
        ("7200,20,7,78,4", "9000,20,7,78,4", "row 4: t_s must begin at 0 and go on in equal steps"),
        ("wind_m_s", "gusts", "row 2: no column wind_m_s"),
        ("t_s,", "t_s,moon,", "row 2: column 'moon' is unknown"),
        ("lat_deg=52", "lat_deg=152", "row 1: lat_deg: 152 is outside"),
        ("lat_deg=52 ", "", "row 1: lat_deg is missing"),
        ("2026-03-01T00:00:00+00:00", "spring", "row 1: start: 'spring' is no ISO 8601 time"),
    ],
)
def test_csv_errors_name_row_field_and_value(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match="bad.csv: ") as error:
        read_csv(path)
    assert said in str(error.value)


def test_epw_values_stand_for_the_hour_before(tmp_path: Path) -> None:
    rows = [_epw_row(hour, _6=str(float(hour)), _13=str(10 * hour)) for hour in range(48)]
    weather = read_epw(_epw(tmp_path / "seoul.epw", rows))
    assert weather.start == datetime(2000, 12, 31, 15, tzinfo=UTC)  # local midnight of 1 January
    assert (weather.lat_deg, weather.hours_east) == (37.57, 9.0)
    assert weather.at(10 * 3600.0)[v.OUT_TEMP_C] == pytest.approx(9.5)  # between the hours that end at 10 and at 11
    assert weather.at(0.0)[v.RAIN_MM_H] == 1.5
    assert weather.at(0.0)[v.SKY_TEMP_C] == pytest.approx((280.0 / 5.670374e-8) ** 0.25 - 273.15)


def test_epw_without_sky_radiation_and_rain_is_mended_from_clouds(tmp_path: Path) -> None:
    rows = [_epw_row(hour, _12="9999", _33="999", _20="999") for hour in range(24)]
    row = read_epw(_epw(tmp_path / "gaps.epw", rows)).at(3600.0)
    assert -20.0 < row[v.SKY_TEMP_C] < 5.0 and row[v.RAIN_MM_H] == 0.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_6": "99.9"}, "row 12: temp_c: is missing"),
        ({"_6": "warm"}, "row 12: temp_c: 'warm' is not a number"),
        ({"_8": "300"}, "row 12: rh_pct: 300 is outside 0..100"),
        ({"_3": "9"}, "row 12: hour: 9"),
        ({"_21": ""}, "row 12: wind_m_s: is missing"),
    ],
)
def test_epw_errors_name_row_field_and_value(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    rows = [_epw_row(hour, **(changes if hour == 3 else {})) for hour in range(24)]
    with pytest.raises(ValueError, match="x.epw") as error:
        read_epw(_epw(tmp_path / "x.epw", rows))
    assert said in str(error.value)


def test_epw_that_is_none_or_too_short(tmp_path: Path) -> None:
    path = tmp_path / "x.epw"
    path.write_text("hello\n")
    with pytest.raises(ValueError, match="no LOCATION row"):
        read_epw(path)
    with pytest.raises(ValueError, match="2 data rows"):
        read_epw(_epw(path, [_epw_row(0), _epw_row(1)]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200), cut=st.integers(0, len(GOOD)))
def test_no_text_brings_the_readers_down(tmp_path: Path, text: str, cut: int) -> None:
    path = tmp_path / "any"
    for content in (text, GOOD[:cut] + text, "\n".join([*HEAD, text, _epw_row(0)[:cut]])):
        path.write_bytes(content.encode("utf-8", "replace"))
        for read in (read_csv, read_epw):
            try:
                assert np.isfinite(read(path).rows).all()
            except ValueError as error:
                assert str(path) in str(error)


def test_made_up_weather_is_written_by_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdx_domains.farm.world.climate", "jeonju", "2026-06-20", "1", str(tmp_path / "w.csv"), "--seed", "3"]
    subprocess.run(command, check=True, capture_output=True)
    assert np.allclose(read_csv(tmp_path / "w.csv").rows, generate("jeonju", date(2026, 6, 20), 1, 3).rows, rtol=1e-5, atol=1e-4)
    refused = subprocess.run([*command[:3], "mars", *command[4:]], check=False, capture_output=True, text=True)
    assert refused.returncode == 2 and "invalid choice: 'mars'" in refused.stderr
