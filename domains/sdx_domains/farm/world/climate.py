"""Weather made up from a site's monthly climate: `generate("nl", date(2026, 3, 1), 60, seed=1)`. Same seed, same weather.

Clouds, temperature, moisture and wind are first-order autoregressive processes with their own time scales (Gaussian inside), tied to one
synoptic process of a few days; each month's mean radiation, temperature, humidity, wind and rain are those of sites.yaml.
"""

from argparse import ArgumentParser
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from math import exp, sqrt
from pathlib import Path

import numpy as np
import yaml
from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world import solar
from sdx_domains.farm.world.solar import Array
from sdx_domains.farm.world.weather import OUTSIDE_CO2_PPM, Weather
from sdx_domains.farm.world.weather_files import write_csv

STEP_S = 300.0
HOUR_S, DAY_S, YEAR_S = 3600.0, 86400.0, 365.25 * 86400.0
DARKEST = 0.08
"""Radiation under the thickest cloud over that of a clear sky."""


class Site(Closed):
    """See sites.yaml. Twelve values each, January first."""

    name: str
    lat_deg: float = Field(ge=-66, le=66)
    lon_deg: float = Field(ge=-180, le=180)
    hours_east: float
    temp_c: tuple[float, ...] = Field(min_length=12, max_length=12)
    amplitude_k: tuple[float, ...] = Field(min_length=12, max_length=12)
    temp_sd_k: tuple[float, ...] = Field(min_length=12, max_length=12)
    rh_pct: tuple[float, ...] = Field(min_length=12, max_length=12)
    wind_m_s: tuple[float, ...] = Field(min_length=12, max_length=12)
    wind_from_deg: float
    solar_mj_m2: tuple[float, ...] = Field(min_length=12, max_length=12)
    rain_mm: tuple[float, ...] = Field(min_length=12, max_length=12)
    rain_mm_h: tuple[float, ...] = Field(min_length=12, max_length=12)


@cache
def sites() -> dict[str, Site]:
    """The shipped sites by short name."""
    text = (files(__package__ or "") / "sites.yaml").read_text(encoding="utf-8")
    return {name: Site.model_validate(row) for name, row in yaml.safe_load(text).items()}


def site(name: str) -> Site:
    """KeyError with the known names."""
    if name not in sites():
        raise KeyError(f"no site {name!r}; there are {', '.join(sites())}")
    return sites()[name]


@dataclass(frozen=True)
class _Times:
    """The moments of a run and what the calendar says of them."""

    start: datetime
    t_s: Array
    year_s: Array
    local_hour: Array

    def of(self, monthly: tuple[float, ...]) -> Array:
        """A monthly climate at each moment: linear between the middles of the months, round the year."""
        middles = (np.arange(-1, 13) + 0.5) * YEAR_S / 12.0
        return np.interp(self.year_s % YEAR_S, middles, [monthly[-1], *monthly, monthly[0]])


def generate(site_name: str, first_day: date, days: int, seed: int, step_s: float = STEP_S) -> Weather:
    """Weather of `days` days from local midnight of `first_day` on. KeyError: unknown site; ValueError: no days."""
    if days < 1:
        raise ValueError(f"weather for {days} days asked for; take 1 or more")
    place = site(site_name)
    start = datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC) - timedelta(hours=place.hours_east)
    t_s = np.arange(round(days * DAY_S / step_s) + 1, dtype=np.float64) * step_s
    year_s = solar.seconds_of_year(start, t_s)
    times = _Times(start, t_s, year_s, (year_s / HOUR_S + place.lon_deg / 15.0) % 24.0)
    rng = np.random.default_rng([seed, *place.name.encode()])
    rows = np.empty((len(t_s), v.WEATHER))
    synoptic = _red(rng, times, 2.5 * DAY_S)
    bright = _brightness(rng, times, synoptic)
    cosine = solar.cos_zenith(start, t_s, place.lat_deg, place.lon_deg)
    clearness = _clearness(place, times, bright)
    rows[:, v.SOLAR_W_M2] = clearness * solar.clear_sky_w_m2(cosine)
    rows[:, v.OUT_TEMP_C], day_mean = _temperature(place, rng, times, synoptic, bright)
    rows[:, v.RAIN_MM_H] = _rain(place, rng, times, bright)
    rows[:, v.OUT_RH_PCT] = _humidity(place, rng, times, rows[:, v.OUT_TEMP_C], day_mean, bright, rows[:, v.RAIN_MM_H])
    rows[:, v.WIND_M_S], rows[:, v.WIND_DIR_DEG] = _wind(place, rng, times, synoptic)
    rows[:, v.OUT_CO2_PPM] = OUTSIDE_CO2_PPM
    cover = solar.cloud_cover(clearness)
    rows[:, v.SKY_TEMP_C] = solar.sky_temp_c(rows[:, v.OUT_TEMP_C], rows[:, v.OUT_RH_PCT], cover)
    rows[:, v.SOIL_TEMP_C] = _soil(place, times)
    return Weather(start, place.lat_deg, place.lon_deg, place.hours_east, step_s, rows)


def _red(rng: np.random.Generator, times: _Times, scale_s: float) -> Array:
    """Red noise: an AR(1) process of mean 0, variance 1 and this correlation time."""
    from scipy.signal import lfilter  # half a second to load

    step = float(times.t_s[1] - times.t_s[0])
    keep = exp(-step / scale_s)
    noise = rng.standard_normal(len(times.t_s)) * sqrt(1.0 - keep**2)
    noise[0] /= sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


def _uniform(gauss: Array) -> Array:
    """Standard normal to uniform 0..1."""
    from scipy.special import ndtr

    return np.asarray(ndtr(gauss))


def _brightness(rng: np.random.Generator, times: _Times, synoptic: Array) -> Array:
    """How bright the sky is, standard normal: days of high and low pressure, fronts of hours, single clouds of minutes."""
    return sqrt(0.5) * synoptic + sqrt(0.35) * _red(rng, times, 5.0 * HOUR_S) + sqrt(0.15) * _red(rng, times, 900.0)


def _clearness(place: Site, times: _Times, bright: Array) -> Array:
    """Radiation over clear-sky radiation, DARKEST..1. With u uniform, DARKEST + (1 - DARKEST) u^p has a mean that p sets to the month's."""
    middles = (np.arange(12) + 0.5) * YEAR_S / 12.0
    new_year = datetime(times.start.year, 1, 1, tzinfo=UTC)
    day = np.arange(0.0, DAY_S, STEP_S)
    clear = [
        float(solar.clear_sky_w_m2(solar.cos_zenith(new_year, np.floor(middle / DAY_S) * DAY_S + day, place.lat_deg, place.lon_deg)).mean())
        for middle in middles
    ]
    share = np.array(place.solar_mj_m2) * 1e6 / DAY_S / np.array(clear)
    power = (1.0 - DARKEST) / (np.clip(share, DARKEST + 0.05, 0.97) - DARKEST) - 1.0
    return DARKEST + (1.0 - DARKEST) * _uniform(bright) ** times.of(tuple(power))


def _temperature(place: Site, rng: np.random.Generator, times: _Times, synoptic: Array, bright: Array) -> tuple[Array, Array]:
    """(temperature, its mean without the daily wave). Clear days swing wide; high pressure means cold in winter, heat in summer."""
    season = -np.cos(2.0 * np.pi * (times.year_s / YEAR_S - 20.0 / 365.25))
    anomaly = 0.9 * _red(rng, times, 3.5 * DAY_S) + 0.35 * season * synoptic + 0.25 * _red(rng, times, 8.0 * HOUR_S)
    mean = times.of(place.temp_c) + times.of(place.temp_sd_k) * anomaly / sqrt(0.9**2 + 0.35**2 * 0.5 + 0.25**2)
    angle = 2.0 * np.pi * (times.local_hour - 15.0) / 24.0
    wave = np.cos(angle) + 0.17 * np.cos(2.0 * angle)  # peak to trough 2.03
    width = 0.45 + 1.1 * _smoothed(_uniform(bright), round(DAY_S / float(times.t_s[1])))
    swing = 0.85 * times.of(place.amplitude_k) - 1.0  # what passing weather leaves of the mean daily range
    return mean + swing / 2.03 * width * wave + 0.2 * _red(rng, times, 1200.0), mean


def _smoothed(values: Array, samples: int) -> Array:
    """Centred running mean; the ends repeat."""
    padded = np.pad(values, (samples // 2, samples - samples // 2), mode="edge")
    sums = np.cumsum(padded)
    return (sums[samples:] - sums[:-samples])[: len(values)] / samples


def _humidity(place: Site, rng: np.random.Generator, times: _Times, temp: Array, mean: Array, bright: Array, rain: Array) -> Array:
    """Relative humidity from a dew point that lies below the day's mean temperature by the month's usual depression."""
    normal = times.of(place.temp_c)
    usual = normal - solar.dew_point_c(normal, times.of(place.rh_pct))
    drier = np.exp(0.30 * _smoothed(bright, round(DAY_S / float(times.t_s[1]))) + 0.22 * _red(rng, times, DAY_S) + 0.06)
    dew = mean - usual * drier + 0.4 * _red(rng, times, 2.0 * HOUR_S)
    humidity = solar.rh_of_dew_point_pct(temp, np.minimum(dew, temp - 0.05))
    return np.clip(np.where(rain > 0.0, np.maximum(humidity, 88.0), humidity), 12.0, 100.0)


def _wind(place: Site, rng: np.random.Generator, times: _Times, synoptic: Array) -> tuple[Array, Array]:
    """(speed, direction): log-normal speeds, stronger by day and in low pressure; directions wander about the prevailing one."""
    spread = 0.42
    gauss = -0.45 * synoptic + sqrt(0.45) * _red(rng, times, 12.0 * HOUR_S) + sqrt(0.3475) * _red(rng, times, 1800.0)
    daily = 1.0 + 0.25 * np.cos(2.0 * np.pi * (times.local_hour - 14.0) / 24.0)
    speed = times.of(place.wind_m_s) * daily * np.exp(spread * gauss - spread**2 / 2.0)
    direction = place.wind_from_deg + 70.0 * _red(rng, times, 1.5 * DAY_S) + 12.0 * _red(rng, times, 1200.0)
    return speed, direction % 360.0


def _rain(place: Site, rng: np.random.Generator, times: _Times, bright: Array) -> Array:
    """Intensity, mm/h: it rains in the month's share of the time, when it is dark above; intensities are exponential."""
    wetness = _uniform(-0.75 * bright + sqrt(1.0 - 0.75**2) * _red(rng, times, 3.0 * HOUR_S))
    share = times.of(place.rain_mm) / (YEAR_S / 12.0 / HOUR_S) / times.of(place.rain_mm_h)
    burst = np.minimum(_uniform(_red(rng, times, 1800.0)), 0.9999)
    return np.where(wetness > 1.0 - share, -np.log1p(-burst) * times.of(place.rain_mm_h), 0.0)


def _soil(place: Site, times: _Times) -> Array:
    """Ground at 2 m: the year's wave, damped to 45 % and seven weeks late (heat conduction into the ground, Hillel 1998)."""
    year = np.array(place.temp_c)
    wave = (year.max() - year.min()) / 2.0 * 0.45
    return year.mean() - wave * np.cos(2.0 * np.pi * ((times.year_s - 49.0 * DAY_S) / YEAR_S - 15.0 / 365.25))


def main() -> None:
    """Write made-up weather as CSV, to look at, to edit, or to run a suite on (`suite(..., folder=..)`)."""
    asked = ArgumentParser(description=main.__doc__)
    asked.add_argument("site", choices=sites())
    asked.add_argument("first_day", type=date.fromisoformat, help="2026-03-01")
    asked.add_argument("days", type=int)
    asked.add_argument("path", type=Path)
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    print(write_csv(generate(given.site, given.first_day, given.days, given.seed), given.path))


if __name__ == "__main__":
    main()
