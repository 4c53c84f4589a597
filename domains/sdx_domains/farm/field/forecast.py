"""Weather forecasts for a field: what a service would have said, and the ensemble of weathers that is made of it. Start at `issued`, `ensemble`.

The error model, for lead times of L days (0 = today): a day's forecast is informed with probability SKILL exp(-L / SKILL_DAYS), else it
is a day of another year. An informed rain amount is off by a lognormal factor of sd RAIN_SD + RAIN_SD_PER_DAY L; temperature by
TEMP_SD_K + TEMP_SD_PER_DAY L; ET0 by a factor of sd ET0_SD + ET0_SD_PER_DAY L. The figures are a judgement, on the careful side of what
services give: rain known in four days of five for today, in every second after two days, hardly after a week.
"""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.field.weather import Climate

Array = NDArray[np.float64]

DAYS = 10
SKILL, SKILL_DAYS = 0.8, 5.0
RAIN_SD, RAIN_SD_PER_DAY = 0.4, 0.05
TEMP_SD_K, TEMP_SD_PER_DAY = 1.0, 0.25
ET0_SD, ET0_SD_PER_DAY = 0.10, 0.015
YEAR_SHIFT_DAYS = (-6, 0, 6)
"""Each past year stands in the ensemble as it was, and moved by so many days: few years are known."""


def skill(lead_days: NDArray[np.int64]) -> Array:
    """Probability that a day's forecast knows anything."""
    return SKILL * np.exp(-lead_days / SKILL_DAYS)


def issued(truth: Array, others: Array, rng: np.random.Generator) -> Array:
    """A forecast (DAYS or fewer, 4) of `truth` (days from today on); uninformed days are drawn from `others` (years, days, 4)."""
    leads = np.arange(min(DAYS, len(truth)))
    informed = rng.random(len(leads)) < skill(leads)
    years = rng.integers(len(others), size=len(leads))
    said = np.where(informed[:, None], truth[: len(leads)], others[years, leads])
    return _blurred(said, leads, rng)


def ensemble(forecast: Array, years: Array, size: int, rng: np.random.Generator) -> Array:
    """Weathers (size, days, 4) from today to harvest: past years, in whose first days the forecast stands as often as it is informed."""
    chosen = np.resize(np.arange(len(years)), size)
    members = years[chosen].copy()
    leads = np.arange(min(len(forecast), members.shape[1]))
    for member in members:
        informed = rng.random(len(leads)) < skill(leads)
        member[leads] = np.where(informed[:, None], _blurred(forecast[leads], leads, rng), member[leads])
    return members


def _blurred(rows: Array, leads: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Rows with errors of a forecast of these lead times; a mean-preserving factor for rain and ET0."""
    found = rows.copy()
    found[:, :2] += rng.normal(0.0, TEMP_SD_K + TEMP_SD_PER_DAY * leads)[:, None]
    for column, sd in ((2, RAIN_SD + RAIN_SD_PER_DAY * leads), (3, ET0_SD + ET0_SD_PER_DAY * leads)):
        found[:, column] *= np.exp(rng.normal(0.0, sd) - sd**2 / 2.0)
    return found


def past_years(climate: Climate, years: tuple[int, ...], first: date, days: int, shifts: tuple[int, ...] = YEAR_SHIFT_DAYS) -> Array:
    """(years x shifts, days, 4): how the same calendar days were in other years. ValueError when no year has them."""
    starts = [_same_day(first, year) + timedelta(days=shift) for shift in shifts for year in years]
    found = [climate.rows(start, days) for start in starts if climate.has(start, days)]
    if not found:
        raise ValueError(f"climate {climate.name}: none of the years {years} holds {days} days from {first:%d %B} on")
    return np.stack(found)


def _same_day(day: date, year: int) -> date:
    return date(year, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=year)
