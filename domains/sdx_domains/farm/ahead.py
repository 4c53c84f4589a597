"""Weather and prices of the next hours as the twin and the rules read them: one row an hour, the first one for now."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse.vectors import (
    ELEC_EUR_KWH,
    OUT_CO2_PPM,
    OUT_RH_PCT,
    OUT_TEMP_C,
    PRICES,
    RAIN_MM_H,
    SKY_TEMP_C,
    SOIL_TEMP_C,
    SOLAR_W_M2,
    WEATHER,
    WIND_DIR_DEG,
    WIND_M_S,
)
from sdx_domains.farm.picture import FarmPicture, Forecast, Measured
from sdx_domains.farm.world import solar

Array = NDArray[np.float64]
HOURS = 72
CLEAR_W_M2 = 50.0
"""Below this the sun is too low to tell clouds."""
CORRECTED_H = 6.0
"""What the forecast is off by now fades out of what is expected with this time constant, hours."""
USUAL = {OUT_TEMP_C: 10.0, OUT_RH_PCT: 80.0, WIND_M_S: 3.0, WIND_DIR_DEG: 225.0, SOLAR_W_M2: 0.0, RAIN_MM_H: 0.0}
"""Where neither a forecast nor a sensor tells."""
OUTSIDE_CO2_PPM = 420.0
USUAL_PRICES = (0.09, 0.30, 0.30, 1.0, 1.6)
"""EUR per kWh heat, kWh electricity, kg CO2, m3 water, kg fruit (van Laatum et al. 2025; water: judgement), where none were told."""
_FORECAST = {SOLAR_W_M2: "solar_w_m2", OUT_TEMP_C: "temp_c", OUT_RH_PCT: "rh_pct", WIND_M_S: "wind_m_s", RAIN_MM_H: "rain_mm_h"}
_SENSED = {
    SOLAR_W_M2: "out_solar_w_m2",
    OUT_TEMP_C: "out_temp_c",
    OUT_RH_PCT: "out_rh_pct",
    WIND_M_S: "wind_m_s",
    WIND_DIR_DEG: "wind_dir_deg",
    RAIN_MM_H: "rain_mm_h",
}
_PRICES = ("heat_eur_kwh", "elec_eur_kwh", "co2_eur_kg", "water_eur_m3", "fruit_eur_kg")
assert len(_PRICES) == PRICES and _PRICES[ELEC_EUR_KWH] == "elec_eur_kwh"


def weather_row(measured: Mapping[str, Measured], clear_w_m2: float, cover: float) -> tuple[Array, float]:
    """(WEATHER,) as measured, the usual where a sensor is out, and the cloud cover 0..1; `cover`: the last one, which stands at night."""
    row = np.zeros(WEATHER)
    for place, quantity in _SENSED.items():
        found = measured.get(quantity)
        row[place] = USUAL[place] if found is None or found.quality == "bad" else found.value
    row[OUT_CO2_PPM] = OUTSIDE_CO2_PPM
    if clear_w_m2 > CLEAR_W_M2:
        cover = float(solar.cloud_cover(np.clip(row[SOLAR_W_M2] / clear_w_m2, 0.0, 1.0)))
    row[SKY_TEMP_C] = solar.sky_temp_c(row[OUT_TEMP_C, None], row[OUT_RH_PCT, None], np.array([cover]))[0]
    row[SOIL_TEMP_C] = row[OUT_TEMP_C]
    return row, cover


def weather_ahead(picture: FarmPicture, hours: int = HOURS) -> Array:
    """(hours + 1, WEATHER): the forecast, set right by what is measured now; where it ends its last day goes on, without one it stays as now."""
    times = picture.t_s + 3600.0 * np.arange(hours + 1, dtype=np.float64)
    now, _ = weather_row(picture.measured, 0.0, 0.5)
    rows = np.tile(now, (hours + 1, 1))
    if picture.forecast is not None:
        fade = np.exp(-np.arange(hours + 1) / CORRECTED_H)
        for place, name in _FORECAST.items():
            column = _column(picture.forecast, name, times)
            if place == SOLAR_W_M2:
                column = column * picture.forecast.solar_factor
            elif place == OUT_TEMP_C:
                column = column + picture.forecast.temp_off_k
            sensed = picture.value(_SENSED[place])
            if place in (OUT_TEMP_C, OUT_RH_PCT, WIND_M_S) and sensed is not None:
                column = column + fade * (sensed - column[0])
            rows[:, place] = column
        rows[:, OUT_RH_PCT] = np.clip(rows[:, OUT_RH_PCT], 5.0, 100.0)
        rows[:, WIND_M_S] = np.maximum(rows[:, WIND_M_S], 0.0)
    return _with_sky(picture, rows, times)


def prices_ahead(picture: FarmPicture, hours: int = HOURS) -> Array:
    """(hours + 1, PRICES): mean of each hour from now on; where they end their last day goes on."""
    if picture.prices is None:
        return np.tile(np.array(USUAL_PRICES), (hours + 1, 1))
    edges = (picture.t_s - picture.prices.start_s) / 3600.0 + np.arange(hours + 2)
    columns: list[Array] = []
    for name in _PRICES:
        known = np.asarray(getattr(picture.prices, name))
        day = known[-24:]
        longer = np.concatenate([known, np.tile(day, 2 + int(max(edges[-1] - len(known), 0.0)) // len(day))])
        spent = np.concatenate([[0.0], np.cumsum(longer)])
        columns.append(np.diff(np.interp(edges, np.arange(len(spent)), spent)))
    return np.stack(columns, axis=1)


def _column(forecast: Forecast, name: str, times: Array) -> Array:
    known = np.asarray(getattr(forecast, name))
    hours = np.maximum((times - forecast.start_s) / 3600.0, 0.0)
    last = len(known) - 1
    beyond = hours > last
    day = min(24, len(known))
    hours = np.where(beyond, hours - day * np.ceil((hours - last) / day), hours)
    return np.interp(hours, np.arange(len(known)), known)


def _with_sky(picture: FarmPicture, rows: Array, times: Array) -> Array:
    """Sky and soil temperature, which nobody measures: clouds from the radiation against a clear sky's, nights between their days."""
    cover = np.full(len(rows), 0.5)
    if picture.lat_deg is not None and picture.lon_deg is not None:
        start = datetime.fromisoformat(picture.utc)
        clear = solar.clear_sky_w_m2(solar.cos_zenith(start, times - picture.t_s, picture.lat_deg, picture.lon_deg))
        told = np.flatnonzero(clear > CLEAR_W_M2)
        if len(told):
            clearness = np.clip(rows[told, SOLAR_W_M2] / clear[told], 0.0, 1.0)
            cover = np.interp(np.arange(len(rows)), told, solar.cloud_cover(clearness))
    rows[:, SKY_TEMP_C] = solar.sky_temp_c(rows[:, OUT_TEMP_C], rows[:, OUT_RH_PCT], cover)
    rows[:, SOIL_TEMP_C] = rows[:, OUT_TEMP_C].mean()
    return rows
