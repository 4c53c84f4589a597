"""The control law: set-points and what is measured -> positions. One compiled function for the twin and for the real controller.

Proportional bands after Katzin, PhD thesis, Wageningen 2021, eq. 4.4 and table of set-points (GreenLight). Bands: law.yaml.
`loop.py` puts the safety filter behind it: that is what callers run.
"""

from math import exp, isfinite, log

from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.memory import HELD, LAMPS_BURN, LIGHT_SUM, SHOT_LEFT, SINCE_SHOT
from sdx_domains.farm.control.row import Row
from sdx_domains.farm.control.safety import most_open, ramp
from sdx_domains.farm.greenhouse.psychrometrics import vp_pa, vpd_kpa
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    AIR_CO2_PPM,
    AIR_RH_PCT,
    AIR_TEMP_C,
    BLACKOUT_SCREEN,
    CO2_DOSING,
    CO2_PPM_SET,
    FOG,
    FOG_VPD_KPA,
    HEAT_TEMP_C,
    HEATING,
    IRRIGATION,
    LAMP_PCT,
    LAMPS,
    OUT_RH_PCT,
    OUT_TEMP_C,
    RH_MAX_PCT,
    SCREEN_OUT_TEMP_C,
    SHADE_W_M2,
    SHOT_J_CM2,
    SHOT_L_M2,
    SOLAR_W_M2,
    SUBSTRATE_WC_PCT,
    THERMAL_SCREEN,
    VENT_LEE,
    VENT_TEMP_C,
    VENT_WIND,
)


@njit(cache=True)
def share(value: float, setpoint: float, band: float) -> float:
    """P-band controller, 0.01 at the set-point, 0.99 one band beyond it (Katzin 2021 eq. 4.4, between 0 and 1); NaN in, NaN out."""
    steep = -2.0 / band * log(100.0) * (value - setpoint - band / 2.0)
    return 1.0 / (1.0 + exp(min(max(steep, -60.0), 60.0))) if isfinite(steep) else steep


@njit(cache=True)
def _vents(measured: NDArray, setpoints: NDArray, weather: NDArray, row: Row) -> float:
    """Opening of both sides together, 0..1: for heat or for humidity, not when it is cold (Katzin 2021)."""
    temp, heat = measured[AIR_TEMP_C], setpoints[HEAT_TEMP_C]
    for_heat = share(temp, max(setpoints[VENT_TEMP_C], heat + row.dead_zone_min_k), row.vent_heat_band_k)
    for_rh = share(measured[AIR_RH_PCT], setpoints[RH_MAX_PCT], row.vent_rh_band_pct)
    outside = vp_pa(weather[OUT_TEMP_C], weather[OUT_RH_PCT])
    if outside > vp_pa(temp, measured[AIR_RH_PCT]) - row.drying_pa:
        for_rh = 0.0
    cool = 0.9 * row.heat_vent_open  # where heat may be wanted too, vents stay below where they would shut it off
    for_rh *= cool + (1.0 - cool) * share(temp, heat + row.vent_cold_k, 1.0)
    opening = max(for_heat, for_rh) * (1.0 - share(temp, heat - row.vent_cold_k, row.vent_cold_band_k))
    return 1.0 if opening > 0.95 else opening


@njit(cache=True)
def _lamps(measured: NDArray, setpoints: NDArray, weather: NDArray, memory: NDArray, row: Row) -> float:
    """Lamps by plan, off in much light or heat, with a margin before they come back."""
    back = 0.0 if memory[LAMPS_BURN] > 0.5 else 1.0
    bright = weather[SOLAR_W_M2] > row.lamp_solar_w_m2 - back * row.lamp_solar_back_w_m2
    hot = measured[AIR_TEMP_C] > setpoints[VENT_TEMP_C] + row.lamp_heat_k - back
    burn = setpoints[LAMP_PCT] >= 5.0 and not bright and not hot
    memory[LAMPS_BURN] = 1.0 if burn else 0.0
    return setpoints[LAMP_PCT] / 100.0 if burn else 0.0


@njit(cache=True)
def _fog(measured: NDArray, setpoints: NDArray, last: float, row: Row) -> float:
    """Fog above the deficit, stronger the drier; it stops a margin below, so that the pump does not flutter."""
    deficit = vpd_kpa(measured[AIR_TEMP_C], measured[AIR_RH_PCT])
    start = setpoints[FOG_VPD_KPA] - (row.fog_back_kpa if last > 0.0 else 0.0)
    if not (deficit > start and measured[AIR_RH_PCT] < row.fog_stop_rh_pct):
        return 0.0
    return max(row.fog_least, share(deficit, setpoints[FOG_VPD_KPA], row.fog_band_kpa))


@njit(cache=True)
def _shot(measured: NDArray, setpoints: NDArray, weather: NDArray, dt_s: float, memory: NDArray, row: Row) -> float:
    """Irrigation by light sum, the share of this step in which water runs; a dry substrate gets a shot without light."""
    if isfinite(weather[SOLAR_W_M2]):
        memory[LIGHT_SUM] += max(weather[SOLAR_W_M2], 0.0) * dt_s / 1e4
    memory[SINCE_SHOT] += dt_s
    due = memory[LIGHT_SUM] >= setpoints[SHOT_J_CM2] or measured[SUBSTRATE_WC_PCT] < row.dry_wc_pct
    if (
        memory[SHOT_LEFT] <= 0.0
        and due
        and memory[SINCE_SHOT] >= 60.0 * row.shot_pause_min
        and not measured[SUBSTRATE_WC_PCT] > row.wet_wc_pct
    ):
        memory[SHOT_LEFT], memory[LIGHT_SUM], memory[SINCE_SHOT] = setpoints[SHOT_L_M2], 0.0, 0.0
    step_l_m2 = row.pump_l_m2_min * dt_s / 60.0
    given = min(memory[SHOT_LEFT], step_l_m2)
    memory[SHOT_LEFT] -= given
    return given / step_l_m2


@njit(cache=True)
def control(measured: NDArray, setpoints: NDArray, weather: NDArray, dt_s: float, memory: NDArray, row: Row, positions: NDArray) -> None:
    """Fill `positions` (ACTUATORS, 0..1) for the next `dt_s` seconds.

    Args:
        measured: vectors.MEASURED, as believed.
        setpoints: vectors.SETPOINTS at this moment.
        weather: vectors.WEATHER as measured outside.
        memory: memory.MEMORY numbers of this house.
        row: row.shipped().
    """
    temp, humid = measured[AIR_TEMP_C], measured[AIR_RH_PCT]
    solar, held, minutes = weather[SOLAR_W_M2], memory[HELD:], dt_s / 60.0
    vents = _vents(measured, setpoints, weather, row)
    lamps = _lamps(measured, setpoints, weather, memory, row)
    too_hot = share(temp, setpoints[VENT_TEMP_C] + row.screen_heat_k, row.screen_heat_band_k)
    too_humid = share(humid, setpoints[RH_MAX_PCT] + row.screen_rh_pct, row.screen_rh_band_pct)

    heating = share(temp, setpoints[HEAT_TEMP_C], row.heat_band_k)
    damp = share(humid, setpoints[RH_MAX_PCT] + row.damp_rh_pct, row.damp_rh_band_pct)
    if temp < row.dry_cool_c and vents < row.heat_vent_open:
        heating = max(heating, row.damp_heat * damp)
    positions[HEATING] = ramp(held[HEATING], heating, row.heating_rate_per_min * minutes)
    most_lee, most_wind = most_open(weather, memory, row)
    positions[VENT_LEE] = ramp(held[VENT_LEE], min(most_lee, 2.0 * vents), row.vent_rate_per_min * minutes)
    positions[VENT_WIND] = ramp(held[VENT_WIND], min(most_wind, max(0.0, 2.0 * vents - 1.0)), row.vent_rate_per_min * minutes)

    cold = share(weather[OUT_TEMP_C], setpoints[SCREEN_OUT_TEMP_C], row.screen_band_k)
    dark = share(solar, row.screen_light_w_m2, row.screen_light_band_w_m2)
    screen = cold * dark * min(1.0 - too_hot, 1.0 - too_humid)
    sun = max(share(solar, setpoints[SHADE_W_M2], row.shade_band_w_m2), share(temp, row.hot_c - 1.5, 1.0) if solar > row.lit_w_m2 else 0.0)
    shade = row.shade_most * sun
    positions[THERMAL_SCREEN] = ramp(held[THERMAL_SCREEN], max(screen, shade), row.screen_rate_per_min * minutes)
    night = lamps > 0.0 and solar < row.blackout_solar_w_m2
    blackout = (1.0 - row.blackout_gap * too_humid) * (1.0 - too_hot) if night else 0.0
    positions[BLACKOUT_SCREEN] = ramp(held[BLACKOUT_SCREEN], blackout, row.screen_rate_per_min * minutes)

    positions[LAMPS] = lamps
    light = solar > row.co2_light_w_m2 or lamps > 0.0
    opening = max(0.5 * (positions[VENT_LEE] + positions[VENT_WIND]), 0.5 * (held[VENT_LEE] + held[VENT_WIND]))
    shut = min(max((row.co2_vent_high - opening) / (row.co2_vent_high - row.co2_vent_low), 0.0), 1.0)
    positions[CO2_DOSING] = share(measured[AIR_CO2_PPM], setpoints[CO2_PPM_SET], row.co2_band_ppm) * shut if light else 0.0
    positions[FOG] = _fog(measured, setpoints, held[FOG], row)
    positions[IRRIGATION] = _shot(measured, setpoints, weather, dt_s, memory, row)
    for place in range(ACTUATORS):
        if not isfinite(positions[place]):  # something is not known: gas, lamps, fog and water stop, the rest stays
            positions[place] = held[place] if place in (HEATING, THERMAL_SCREEN, BLACKOUT_SCREEN, VENT_LEE, VENT_WIND) else 0.0
