"""What a forecast service would have said: the true weather to come with errors that grow with the hours ahead. Same seed and time, same words."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import exp, sqrt
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.picture import ForecastReading
from sdx_domains.farm.world.solar import Array, clear_sky_w_m2, cos_zenith
from sdx_domains.farm.world.weather import Weather

Indices = NDArray[np.intp]
SOURCE = "forecast"
ERRORS = ("temp_k", "rh_pct", "wind_log", "cloud_log")
RUN_H = 6
"""A new run of the weather model comes out so often; in between its words stay."""


@cache
def _book() -> Mapping[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "forecast.yaml").read_text(encoding="utf-8"))


class Forecaster:
    """One service for one run. Its errors for a given hour last from issue to issue and shrink as the hour comes nearer."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self._weather, self._seed = weather, seed
        hours = int(weather.end_s // 3600.0) + 1
        self._lasting = _errors(np.random.default_rng([seed, 11]), hours)
        self._wet = np.random.default_rng([seed, 12]).random(hours)

    def issue(self, now_s: float, hours: int = 72, wrong: float = 0.0) -> ForecastReading:
        """The forecast that is out at now_s, hourly from then on: the run of RUN_H hours before or less. `wrong` times the false service's errors.

        Hours beyond the end of the weather repeat its last day.
        """
        first = int(now_s // 3600.0)
        since = first % RUN_H
        last = len(self._wet) - 1
        valid = np.arange(first, first + hours)
        places = np.where(valid <= last, valid, last - 23 + (valid - last - 1) % 24)
        truth = self._truth(now_s, places - first)
        fresh = _errors(np.random.default_rng([self._seed, 13, first - since]), hours + RUN_H)[since : since + hours]
        lasting = _book()["lasting"]
        error = lasting * self._lasting[places] + sqrt(1.0 - lasting**2) * fresh
        ahead = np.arange(since, since + hours)
        temp_error, rh_error, wind_error, cloud_error = (_sd(name, ahead) * error[:, i] for i, name in enumerate(ERRORS))
        false = _book()["wrong"]
        temp = truth[:, v.OUT_TEMP_C] + temp_error + wrong * false["temp_k"]
        rh = np.clip(truth[:, v.OUT_RH_PCT] + rh_error - 2.0 * temp_error + wrong * false["rh_pct"], 10.0, 100.0)
        wind = truth[:, v.WIND_M_S] * np.exp(wind_error) * false["wind_factor"] ** wrong
        times = now_s + 3600.0 * (places - first)
        clear = clear_sky_w_m2(cos_zenith(self._weather.start, times, self._weather.lat_deg, self._weather.lon_deg))
        solar = np.clip(truth[:, v.SOLAR_W_M2] * np.exp(cloud_error) * false["solar_factor"] ** wrong, 0.0, 1.02 * clear)
        columns = (solar, temp, rh, wind, self._rain(truth, places, ahead))
        told = [tuple(column.round(2).tolist()) for column in columns]
        return ForecastReading(
            t_s=now_s, source=SOURCE, solar_w_m2=told[0], temp_c=told[1], rh_pct=told[2], wind_m_s=told[3], rain_mm_h=told[4]
        )

    def _truth(self, now_s: float, offsets: Indices) -> Array:
        """(hours, WEATHER) at now_s + offsets hours."""
        lowest, highest = int(offsets.min()), int(offsets.max())
        table = self._weather.hourly(now_s + 3600.0 * lowest, highest - lowest + 1)
        found: Array = table[offsets - lowest]
        return found

    def _rain(self, truth: Array, places: Indices, ahead: Indices) -> Array:
        """Wet hours may be said dry, and humid dry ones wet, more often the further ahead."""
        chance = _sd("rain_chance", ahead)
        rain = truth[:, v.RAIN_MM_H]
        draw = self._wet[places]
        missed = (rain > 0.05) & (draw < chance)
        invented = (rain <= 0.05) & (draw < 0.5 * chance) & (truth[:, v.OUT_RH_PCT] > 85.0)
        return np.where(missed, 0.0, np.where(invented, 0.6, rain))


def _sd(name: str, ahead: Indices) -> Array:
    row = _book()[name]
    return np.minimum(row["first"] + row["growth"] * ahead**0.7, row["most"])


def _errors(rng: np.random.Generator, hours: int) -> Array:
    """(hours, 4) AR(1) errors of variance 1: temperature, humidity, wind, cloud."""
    from scipy.signal import lfilter  # half a second to load

    out = np.empty((hours, len(ERRORS)))
    noise = rng.standard_normal((len(ERRORS), hours))
    for i, name in enumerate(ERRORS):
        keep = exp(-1.0 / _book()[name]["scale_h"])
        steps = noise[i] * sqrt(1.0 - keep**2)
        steps[0] = noise[i, 0]
        out[:, i] = lfilter([1.0], [1.0, -keep], steps)
    return out
