"""Tariffs of a season, hourly: electricity as a day-ahead market shapes it, heat, CO2, water, fruit. `prices("dear", weather, seed=1)`.

What a grower is told ahead (`told`) are the true prices as far as they are published, and the usual shape beyond.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.picture import PriceReading
from sdx_domains.farm.world.solar import Array, seconds_of_year
from sdx_domains.farm.world.weather import Weather

Indices = NDArray[np.intp]
DAY_H = 24
YEAR_S = 365.25 * 86400.0
SOURCE = "market"


@dataclass(frozen=True)
class Prices:
    """`rows` and `usual` (hours, PRICES): true prices hour by hour, and what anybody would expect without knowing the day."""

    rows: Array
    usual: Array
    first_hour: float
    """Local hour of the day at plant time 0."""
    publish_hour: float

    def at(self, t_s: float) -> Array:
        """The row that holds now; prices stand for a full hour."""
        row: Array = self.rows[min(max(int(t_s // 3600.0), 0), len(self.rows) - 1)]
        return row

    def told(self, now_s: float, hours: int) -> PriceReading:
        """Today's prices, tomorrow's from `publish_hour` on, then electricity as usual and the rest as it stands now."""
        now = int(now_s // 3600.0)
        clock = self.first_hour + now_s / 3600.0
        day = clock // DAY_H
        known = int((day + (2 if clock % DAY_H >= self.publish_hour else 1)) * DAY_H - self.first_hour)
        table = np.repeat(self.at(now_s)[None, :], hours, axis=0)
        for i in range(hours):
            hour = min(now + i, len(self.rows) - 1)
            table[i, v.ELEC_EUR_KWH] = (self.rows if now + i < known else self.usual)[hour, v.ELEC_EUR_KWH]
        columns = [tuple(column) for column in table.round(5).T.tolist()]
        return PriceReading(
            t_s=now_s,
            source=SOURCE,
            heat_eur_kwh=columns[v.HEAT_EUR_KWH],
            elec_eur_kwh=columns[v.ELEC_EUR_KWH],
            co2_eur_kg=columns[v.CO2_EUR_KG],
            water_eur_m3=columns[v.WATER_EUR_M3],
            fruit_eur_kg=columns[v.FRUIT_EUR_KG],
        )


@cache
def _book() -> Mapping[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "prices.yaml").read_text(encoding="utf-8"))


def regimes() -> tuple[str, ...]:
    """Names of the shipped price regimes."""
    return tuple(_book()["regimes"])


def prices(regime: str, weather: Weather, seed: int) -> Prices:
    """Prices over the time of `weather`; its sun presses the noon price. KeyError names the known regimes."""
    if regime not in _book()["regimes"]:
        raise KeyError(f"no price regime {regime!r}; there are {', '.join(regimes())}")
    book = _book()["regimes"][regime]
    rng = np.random.default_rng([seed, *regime.encode()])
    count = int(weather.end_s // 3600.0) + 1
    hours = np.arange(count, dtype=np.float64)
    year = seconds_of_year(weather.start, hours * 3600.0 + weather.hours_east * 3600.0)
    winter = np.cos(2.0 * np.pi * (year / YEAR_S - 20.0 / 365.25))
    first = weather.local_hour(0.0)
    day = ((hours + first) // DAY_H).astype(np.intp)
    rows = np.empty((count, v.PRICES))
    usual, true = _electricity(book["elec_eur_kwh"], weather, rng, (hours + first) % DAY_H, day, winter)
    rows[:, v.ELEC_EUR_KWH] = true
    heat = book["heat_eur_kwh"]
    rows[:, v.HEAT_EUR_KWH] = heat["mean"] * (1.0 + heat["winter"] * winter) * np.exp(_daily(rng, day, heat["spread"], 12.0))
    rows[:, v.CO2_EUR_KG] = book["co2_eur_kg"]
    rows[:, v.WATER_EUR_M3] = book["water_eur_m3"]
    months = np.array(_book()["fruit_eur_kg"])
    middles = (np.arange(-1, 13) + 0.5) * YEAR_S / 12.0
    season = np.interp(year % YEAR_S, middles, [months[-1], *months, months[0]])
    rows[:, v.FRUIT_EUR_KG] = book["fruit_level"] * season * np.exp(_daily(rng, day, _book()["fruit_spread"], 10.0))
    expected = rows.copy()
    expected[:, v.ELEC_EUR_KWH] = usual
    return Prices(rows, expected, first, float(_book()["publish_hour"]))


def _daily(rng: np.random.Generator, day: Indices, spread: float, days: float) -> Array:
    """A level that changes from day to day: AR(1) with this correlation time, standard deviation `spread`."""
    keep = exp(-1.0 / days)
    level = np.empty(int(day.max()) + 1)
    level[0] = spread * rng.standard_normal()
    for i in range(1, len(level)):
        level[i] = keep * level[i - 1] + spread * (1.0 - keep**2) ** 0.5 * rng.standard_normal()
    return level[day]


def _electricity(
    book: Mapping[str, float], weather: Weather, rng: np.random.Generator, clock: Array, day: Indices, winter: Array
) -> tuple[Array, Array]:
    """(usual, true) price by hour."""

    def peak(hour: float, width: float) -> Array:
        return np.exp(-0.5 * ((clock - hour) / width) ** 2)

    weekday = ((weather.start.weekday() + (weather.start.hour + weather.hours_east) // DAY_H + day) % 7).astype(int)
    quiet = np.where(weekday >= 5, book["weekend"], 1.0)
    peaks = book["morning"] * peak(8.0, 1.6) + book["evening"] * peak(19.0, 2.2)
    night = book["night"] * (peak(3.0, 3.0) + peak(27.0, 3.0))
    summer = 0.5 * (1.0 - winter)
    level = book["mean"] * (1.0 + book["winter"] * winter) * quiet
    usual = level * np.maximum(1.0 + peaks - night - book["noon"] * (0.3 + 0.7 * summer) * peak(13.0, 2.2), 0.02)
    sun = weather.hourly(0.0, len(clock))[:, v.SOLAR_W_M2]
    sunny = np.bincount(day, sun) / np.maximum(np.bincount(day), 1)
    bright = np.clip(sunny / max(float(sunny.mean()), 1.0), 0.3, 2.0)[day]
    dip = book["noon"] * (0.3 + 0.7 * summer) * bright * peak(13.0, 2.2)
    scarce = (rng.random(int(day.max()) + 1) < book["scarcity"])[day]
    high = peaks * np.where(scarce, book["scarcity_factor"], 1.0)
    drift = np.exp(_daily(rng, day, book["spread"], 3.0) - 0.5 * book["spread"] ** 2 + 0.03 * rng.standard_normal(len(clock)))
    return usual, level * drift * np.where(scarce, 1.25, 1.0) * np.maximum(1.0 + high - night - dip, -0.1)
