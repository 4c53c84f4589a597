"""The safe box, told a second time and on its own: what positions may never be, whatever was asked. An oracle for fuzz.py and tests.

It shares only the numbers of limits.yaml with the filter, none of its code; where the filter acts, this looks back and complains.
"""

from math import isfinite

from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.limits import HardLimits
from sdx_domains.farm.greenhouse import vectors as v

BREACHES = (
    "", "no position", "moved too fast", "cold and not heated", "cold and vents not closing", "hot and vents not opening", "hot and heated",
    "CO2 above its stop", "CO2 with vents open", "CO2 without a sensor", "CO2 for people and vents not opening", "fog in humid air",
    "lamps in heat", "lamps in the hours of darkness", "lamps at fault", "heating against open vents", "storm and vents open",
    "windward vents in wind", "leeward vents in wind", "vents in rain", "lamps off too soon", "lamps on too soon", "pump off too soon",
    "pump on too soon", "pump starts too often", "water at fault", "too much water in a day", "shot too long", "water on a full substrate",
)  # fmt: skip
"""What `breach` may answer, by number; 0 is none."""
SEEN_WIND, SEEN_RAIN, LIT, DAY_L, LAST_H, BOTH, SHOT, AGE, LAMP_ON, LAMP_OFF, FOG_ON, FOG_OFF, WATER_ON, WATER_OFF = range(14)
FOG_STARTS, WATER_STARTS = 14, 14 + 64
HISTORY = 14 + 128
SLACK = 1e-9
MOTORS = (v.HEATING, v.THERMAL_SCREEN, v.BLACKOUT_SCREEN, v.VENT_LEE, v.VENT_WIND)


@njit(cache=True)
def rest(history: NDArray) -> None:
    """A history, (HISTORY,), of a house that was at rest for long."""
    history[:] = -1e9
    history[LIT] = history[DAY_L] = history[LAST_H] = history[BOTH] = history[SHOT] = history[AGE] = 0.0
    history[LAMP_OFF] = history[FOG_OFF] = history[WATER_OFF] = 1e9
    history[LAMP_ON] = history[FOG_ON] = history[WATER_ON] = 0.0


@njit(cache=True)
def breach(
    before: NDArray, after: NDArray, measured: NDArray, weather: NDArray, faults: NDArray, hour: float, dt_s: float,
    history: NDArray, hard: HardLimits,
) -> int:  # fmt: skip
    """Which line of the box `after` crosses, 0 for none; 20 min of travel are given to motors that have to reach a place."""
    for place in range(v.ACTUATORS):
        if not (isfinite(after[place]) and 0.0 <= after[place] <= 1.0):
            return 1
    minutes = dt_s / 60.0
    for place in MOTORS:
        rate = hard.heating_rate_min if place == v.HEATING else hard.vent_rate_min if place >= v.VENT_LEE else hard.screen_rate_min
        if abs(after[place] - before[place]) > rate * minutes + SLACK:
            return 2
    _pass_time(weather, hour, dt_s, history)
    found = _climate(before, after, measured, hard)
    if found == 0:
        found = _outside(before, after, measured, weather, dt_s, history, hard)
    if found == 0:
        found = _light_and_gas(before, after, measured, faults, history, hard)
    if found == 0:
        found = _pumps(before, after, measured, faults, dt_s, history, hard)
    _note(before, after, weather, dt_s, history, hard)
    return found


@njit(cache=True)
def _pass_time(weather: NDArray, hour: float, dt_s: float, history: NDArray) -> None:
    history[AGE] += dt_s
    if hour < history[LAST_H]:
        history[LIT] = history[DAY_L] = 0.0
    history[LAST_H] = hour


@njit(cache=True)
def _sure(value: float, low: float, high: float) -> bool:
    return isfinite(value) and low <= value <= high


@njit(cache=True)
def _climate(before: NDArray, after: NDArray, measured: NDArray, hard: HardLimits) -> int:
    """In cold and heat every motor is at its place or on the way to it."""
    temp, co2 = measured[v.AIR_TEMP_C], measured[v.AIR_CO2_PPM]
    people = isfinite(co2) and co2 >= hard.co2_worker_ppm
    if _sure(temp, -30.0, 60.0) and temp < hard.cold_c:
        if after[v.HEATING] < 1.0 and after[v.HEATING] <= before[v.HEATING]:
            return 3
        if not people and (
            (after[v.VENT_LEE] > 0.0 and after[v.VENT_LEE] >= before[v.VENT_LEE])
            or (after[v.VENT_WIND] > 0.0 and after[v.VENT_WIND] >= before[v.VENT_WIND])
        ):
            return 4
    if _sure(temp, -30.0, 60.0) and temp > hard.hot_c and after[v.HEATING] > 0.0 and after[v.HEATING] >= before[v.HEATING]:
        return 6
    return 0


@njit(cache=True)
def _outside(before: NDArray, after: NDArray, measured: NDArray, weather: NDArray, dt_s: float, history: NDArray, hard: HardLimits) -> int:
    """In wind and rain vents are at or below their cap, or on the way down."""
    wind, rain, now = weather[v.WIND_M_S], weather[v.RAIN_MM_H], history[AGE]
    if not _sure(wind, 0.0, 75.0) or wind > hard.wind_m_s:
        history[SEEN_WIND] = now
    if not _sure(rain, 0.0, 500.0) or rain >= hard.rain_mm_h:
        history[SEEN_RAIN] = now
    lee_falls, wind_falls = after[v.VENT_LEE] < before[v.VENT_LEE], after[v.VENT_WIND] < before[v.VENT_WIND]
    if wind > hard.storm_m_s and ((after[v.VENT_LEE] > 0.0 and not lee_falls) or (after[v.VENT_WIND] > 0.0 and not wind_falls)):
        return 16
    if now - history[SEEN_WIND] < hard.weather_hold_s - SLACK:
        if after[v.VENT_WIND] > 0.0 and not wind_falls:
            return 17
        if after[v.VENT_LEE] > hard.wind_lee_most + SLACK and not lee_falls:
            return 18
    if now - history[SEEN_RAIN] < hard.weather_hold_s - SLACK and (
        (after[v.VENT_LEE] > hard.rain_lee_most + SLACK and not lee_falls)
        or (after[v.VENT_WIND] > hard.rain_wind_most + SLACK and not wind_falls)
    ):
        return 19
    calm = now - max(history[SEEN_WIND], history[SEEN_RAIN]) >= hard.weather_hold_s
    lee_stays = after[v.VENT_LEE] <= before[v.VENT_LEE]
    hot = _sure(measured[v.AIR_TEMP_C], -30.0, 60.0) and measured[v.AIR_TEMP_C] > hard.hot_c
    if calm and hot and after[v.VENT_LEE] < 1.0 and lee_stays:
        return 5
    people = isfinite(measured[v.AIR_CO2_PPM]) and measured[v.AIR_CO2_PPM] >= hard.co2_worker_ppm
    if calm and people and after[v.VENT_LEE] < min(hard.co2_clear_vent, hard.heat_vent_open) and lee_stays:
        return 10
    both = before[v.HEATING] > 0.05 and (before[v.VENT_LEE] + before[v.VENT_WIND]) / 2.0 > hard.heat_vent_open
    history[BOTH] = history[BOTH] + dt_s if both else 0.0
    return 15 if history[BOTH] > hard.heat_vent_s + 1.1 * 60.0 / hard.vent_rate_min + 2.0 * dt_s else 0


@njit(cache=True)
def _light_and_gas(before: NDArray, after: NDArray, measured: NDArray, faults: NDArray, history: NDArray, hard: HardLimits) -> int:
    temp, rh, co2 = measured[v.AIR_TEMP_C], measured[v.AIR_RH_PCT], measured[v.AIR_CO2_PPM]
    if after[v.CO2_DOSING] > 0.0:
        if not _sure(co2, 100.0, 1e5) or faults[2] > 0.0:
            return 9
        if co2 > hard.co2_stop_ppm:
            return 7
        if (after[v.VENT_LEE] + after[v.VENT_WIND]) / 2.0 > hard.co2_vent_open + SLACK:
            return 8
    if after[v.FOG] > 0.0 and not (_sure(rh, 1.0, 100.0) and rh <= hard.fog_rh_pct):
        return 11
    if after[v.LAMPS] > 0.0:
        if not (_sure(temp, -30.0, 60.0) and temp <= hard.lamp_hot_c):
            return 12
        if history[LIT] >= 3600.0 * (24.0 - hard.lamp_dark_h):
            return 13
        if faults[1] > 0.0:
            return 14
    return 0


@njit(cache=True)
def _pumps(before: NDArray, after: NDArray, measured: NDArray, faults: NDArray, dt_s: float, history: NDArray, hard: HardLimits) -> int:
    """Shortest times, starts in an hour, water."""
    temp, rh, wc = measured[v.AIR_TEMP_C], measured[v.AIR_RH_PCT], measured[v.SUBSTRATE_WC_PCT]
    lamp_must = (
        not (_sure(temp, -30.0, 60.0) and temp <= hard.lamp_hot_c) or faults[1] > 0.0 or history[LIT] >= 3600.0 * (24.0 - hard.lamp_dark_h)
    )
    if before[v.LAMPS] > 0.0 and after[v.LAMPS] == 0.0 and history[LAMP_ON] < hard.lamp_on_s and not lamp_must:
        return 20
    if before[v.LAMPS] == 0.0 and after[v.LAMPS] > 0.0 and history[LAMP_OFF] < hard.lamp_off_s:
        return 21
    fog_must = not (_sure(rh, 1.0, 100.0) and rh <= hard.fog_rh_pct) or not temp >= hard.cold_c
    if before[v.FOG] > 0.0 and after[v.FOG] == 0.0 and history[FOG_ON] < hard.pump_on_s and not fog_must:
        return 22
    for place, off, starts in ((v.FOG, FOG_OFF, FOG_STARTS), (v.IRRIGATION, WATER_OFF, WATER_STARTS)):
        if before[place] == 0.0 and after[place] > 0.0:
            if history[off] < hard.pump_off_s:
                return 23
            recent = 1
            for mark in history[starts : starts + 64]:
                recent += 1 if history[AGE] - mark < 3600.0 - SLACK else 0
            if recent > hard.pump_starts_h:
                return 24
    if after[v.IRRIGATION] > 0.0:
        if faults[0] > 0.0:
            return 25
        if history[DAY_L] > hard.water_day_l_m2 + SLACK:
            return 26
        # a pump that began runs its shortest time, whatever the shot
        if history[SHOT] + after[v.IRRIGATION] * dt_s > hard.shot_most_s + hard.pump_on_s + SLACK:
            return 27
        if isfinite(wc) and wc >= hard.wc_full_pct:
            return 28
    return 0


@njit(cache=True)
def _note(before: NDArray, after: NDArray, weather: NDArray, dt_s: float, history: NDArray, hard: HardLimits) -> None:
    """Keep what the next look needs."""
    for place, on, off, starts in (
        (v.LAMPS, LAMP_ON, LAMP_OFF, -1), (v.FOG, FOG_ON, FOG_OFF, FOG_STARTS), (v.IRRIGATION, WATER_ON, WATER_OFF, WATER_STARTS),
    ):  # fmt: skip
        if after[place] > 0.0:
            if before[place] == 0.0:
                history[on] = 0.0
                if starts > 0:
                    oldest = starts
                    for slot in range(starts, starts + 64):
                        if history[slot] < history[oldest]:
                            oldest = slot
                    history[oldest] = history[AGE]
            history[on] += dt_s
        else:
            if before[place] > 0.0:
                history[off] = 0.0
            history[off] += dt_s
    history[SHOT] = history[SHOT] + after[v.IRRIGATION] * dt_s if after[v.IRRIGATION] > 0.0 else 0.0
    history[DAY_L] += after[v.IRRIGATION] * dt_s / 60.0 * hard.pump_l_m2_min
    if after[v.LAMPS] > 0.0 or weather[v.SOLAR_W_M2] > hard.lit_w_m2:
        history[LIT] += dt_s
