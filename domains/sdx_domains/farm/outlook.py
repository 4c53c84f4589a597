"""What is ahead: the forecast and the prices as last told, and the few words that say when a new decision is worth taking."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from sdx_domains.farm.beliefs import Report
from sdx_domains.farm.picture import Forecast, ForecastReading, Measured, PriceReading, Prices

MAX_HOURS = 240
AHEAD_H = 12
"""So far the weather that changes the mode is looked for."""
HOLD_S = 6 * 3600.0
"""A mode of weather stays this long after it was last seen ahead: forecasts flicker."""
FROST_C, STORM_M_S, RAIN_MM_H, HEAT_C = -1.0, 14.0, 1.0, 30.0
LEARN_TEMP_H, LEARN_SUN_H = 24.0, 72.0
"""So long a forecast's error must last to be held against the next one."""
SUN_PRIOR_W_H = 1500.0
"""Weight of "the forecast of the sun is right", in W h/m2 of radiation seen."""
SOLAR_FACTORS = (0.4, 1.6)
NEW_TEMP_K, NEW_SOLAR_SHARE = 3.0, 0.35
"""A forecast is another one when the mean of its next day differs by so much from the one that was decided on."""
FORECAST_RANGES = {
    "solar_w_m2": (0.0, 1500.0),
    "temp_c": (-60.0, 60.0),
    "rh_pct": (0.0, 100.0),
    "wind_m_s": (0.0, 100.0),
    "rain_mm_h": (0.0, 300.0),
}
PRICE_RANGES = {
    "heat_eur_kwh": (-5.0, 20.0),
    "elec_eur_kwh": (-5.0, 20.0),
    "co2_eur_kg": (0.0, 50.0),
    "water_eur_m3": (0.0, 500.0),
    "fruit_eur_kg": (0.0, 500.0),
}
"""Electricity has been below zero on spot markets."""


class Outlook:
    """Holds what was last told of the future."""

    def __init__(self) -> None:
        self.forecast: Forecast | None = None
        self.prices: Prices | None = None
        self._mode_until_s: dict[str, float] = {}
        self._decided_on: tuple[float, float] | None = None
        self._edition = 0
        self._off_k = 0.0
        self._sun, self._sun_told = SUN_PRIOR_W_H, SUN_PRIOR_W_H
        self._learnt_s: float | None = None

    def fold_forecast(self, reading: ForecastReading, report: Report) -> None:
        if self.forecast is not None and reading.t_s < self.forecast.start_s:
            return
        columns = _columns(reading, FORECAST_RANGES, report)
        if columns is not None:
            factor = min(max(self._sun / self._sun_told, SOLAR_FACTORS[0]), SOLAR_FACTORS[1])
            self.forecast = Forecast.model_construct(
                start_s=reading.t_s,
                issued_s=reading.t_s,
                temp_off_k=round(self._off_k, 3),
                solar_factor=round(factor, 4),
                **columns,
            )
            self._compare(columns)

    def fold_prices(self, reading: PriceReading, report: Report) -> None:
        if self.prices is not None and reading.t_s < self.prices.start_s:
            return
        columns = _columns(reading, PRICE_RANGES, report)
        if columns is not None:
            self.prices = Prices.model_construct(start_s=reading.t_s, **columns)

    def learn(self, measured: Mapping[str, Measured], now_s: float) -> None:
        """Compare what the forecast said of now with what is measured, so that a service that errs one way is set right."""
        before, self._learnt_s = self._learnt_s, now_s
        hours = min((now_s - before) / 3600.0, 1.0) if before is not None else 0.0
        if self.forecast is None or hours <= 0.0:
            return
        temp, sun = (_believed(measured, name) for name in ("out_temp_c", "out_solar_w_m2"))
        told_temp, told_sun = (_told(column, now_s - self.forecast.start_s) for column in (self.forecast.temp_c, self.forecast.solar_w_m2))
        if temp is not None:
            self._off_k += (temp - told_temp - self._off_k) * hours / LEARN_TEMP_H
        if sun is not None:
            fade = 1.0 - hours / LEARN_SUN_H
            self._sun = fade * (self._sun - SUN_PRIOR_W_H) + SUN_PRIOR_W_H + sun * hours
            self._sun_told = fade * (self._sun_told - SUN_PRIOR_W_H) + SUN_PRIOR_W_H + told_sun * hours

    def salience(self, now_s: float, measured: Mapping[str, Measured], troubles: tuple[str, ...]) -> str:
        """Changes when the mode of the weather, the forecast as a whole, a device's or a main sensor's state does."""
        for mode in modes(self.forecast, now_s):
            self._mode_until_s[mode] = now_s + HOLD_S
        self._mode_until_s = {mode: until for mode, until in self._mode_until_s.items() if until > now_s}
        blind = [name for name in ("air_temp_c", "air_rh_pct", "co2_ppm") if name in measured and measured[name].quality == "bad"]
        parts = (sorted(self._mode_until_s), [f"forecast {self._edition}"], troubles, blind)
        return "|".join(",".join(part) for part in parts)

    def shift(self, by_s: float) -> None:
        """The clock was set: every remembered time moves with it."""
        self._mode_until_s = {mode: until + by_s for mode, until in self._mode_until_s.items()}
        self._learnt_s = None
        if self.forecast is not None:
            times = {"start_s": self.forecast.start_s + by_s, "issued_s": self.forecast.issued_s + by_s}
            self.forecast = self.forecast.model_copy(update=times)
        if self.prices is not None:
            self.prices = self.prices.model_copy(update={"start_s": self.prices.start_s + by_s})

    def _compare(self, columns: Mapping[str, tuple[float, ...]]) -> None:
        temps, solar = columns["temp_c"][:24], columns["solar_w_m2"][:24]
        mean = (sum(temps) / len(temps), sum(solar) / len(solar))
        before = self._decided_on
        if before is None or abs(mean[0] - before[0]) > NEW_TEMP_K or abs(mean[1] - before[1]) > NEW_SOLAR_SHARE * max(before[1], 20.0):
            self._decided_on = mean
            self._edition += before is not None


def modes(forecast: Forecast | None, now_s: float) -> tuple[str, ...]:
    """Which of frost, heat, storm and rain the forecast holds for the next hours."""
    if forecast is None:
        return ()
    first = max(int((now_s - forecast.start_s) // 3600.0), 0)
    ahead = slice(first, first + AHEAD_H)
    found = {
        "frost": min(forecast.temp_c[ahead], default=99.0) <= FROST_C,
        "heat": max(forecast.temp_c[ahead], default=-99.0) >= HEAT_C,
        "storm": max(forecast.wind_m_s[ahead], default=0.0) >= STORM_M_S,
        "rain": max(forecast.rain_mm_h[ahead], default=0.0) >= RAIN_MM_H,
    }
    return tuple(mode for mode, expected in found.items() if expected)


def _believed(measured: Mapping[str, Measured], quantity: str) -> float | None:
    found = measured.get(quantity)
    return found.value if found is not None and found.quality == "good" else None


def _told(column: tuple[float, ...], ahead_s: float) -> float:
    """A column at a time after its start, linear between its hours."""
    hour = min(max(ahead_s / 3600.0, 0.0), len(column) - 1.0)
    low = int(hour)
    return column[low] + (hour - low) * (column[min(low + 1, len(column) - 1)] - column[low])


def _columns(reading: ForecastReading | PriceReading, ranges: Mapping[str, tuple[float, float]], report: Report) -> dict[str, Any] | None:
    """Columns as far as all of them are whole; None, and a fault, when that leaves nothing."""
    told = type(reading).__name__
    columns = {name: getattr(reading, name) for name in ranges}
    whole = min(min(len(column) for column in columns.values()), MAX_HOURS)
    for name, (low, high) in ranges.items():
        bad = next((hour for hour, value in enumerate(columns[name][:whole]) if not (isfinite(value) and low <= value <= high)), None)
        if bad is not None:
            what = f"{told} {name} {columns[name][bad]!r} in hour {bad} is not within {low:g}..{high:g}; used up to there"
            report(reading.t_s, "absurd_outlook", what)
            whole = bad
    if whole == 0:
        report(reading.t_s, "empty_outlook", f"{told} has no usable hour; kept the last one")
        return None
    return {name: tuple(map(float, column[:whole])) for name, column in columns.items()}
