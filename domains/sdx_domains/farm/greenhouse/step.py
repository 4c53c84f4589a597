"""One step of the greenhouse: `step` moves the state in place, `advance` minutes of them, `measure` gives what sensors would read.

Heat and vapour balances are one linear solve (balance.py), CO2 a second of two unknowns, crop and substrate follow. Steps of 60 s are
the plant's; up to 300 s stays stable and is what a fast roll-out may use. Energy, water and CO2 of every step are booked in `flows`.
"""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.balance import (
    AIR_J_M3_K,
    convect,
    exchange_vapour,
    heat_capacities,
    join,
    leak_flow,
    outside_heat,
    radiate,
    screen_flow,
    solve,
    surfaces,
    vent_flow,
    wet_pressure,
)
from sdx_domains.farm.greenhouse.crop import CH2O_MG_UMOL, CO2_PER_CH2O, age, feeding, grow, photosynthesis_umol
from sdx_domains.farm.greenhouse.light import ABOVE_UMOL, ABSORBED_UMOL, AIR_W, CANOPY_W, COVER_W, FLOOR_W, LAMP_SELF_W, shortwave
from sdx_domains.farm.greenhouse.psychrometrics import (
    LATENT_J_KG,
    co2_mg_m3,
    co2_ppm,
    rh_pct,
    saturation_slope_pa_k,
    saturation_vp_pa,
)
from sdx_domains.farm.greenhouse.state import (
    AIR_C,
    BLACKOUT_SCREEN_C,
    BUFFER_MG,
    CANOPY_C,
    CO2_MG_M3,
    CO2_TOP_MG_M3,
    COVER_C,
    FLOOR_C,
    HEAT_STATES,
    LAMP_C,
    LEAF_MG,
    PIPE_C,
    SLAB_EC,
    SLAB_PH,
    SUN_SINCE_SHOT_J_CM2,
    THERMAL_SCREEN_C,
    TOP_C,
    VAPOUR_PA,
    VAPOUR_TOP_PA,
    WATER_L,
)
from sdx_domains.farm.greenhouse.substrate import water
from sdx_domains.farm.greenhouse.vectors import (
    AIR_CO2_PPM,
    AIR_RH_PCT,
    AIR_TEMP_C,
    CO2_DOSING,
    FOG,
    HEATING,
    IRRIGATION,
    LAMPS,
    LEAF_TEMP_C,
    LIGHT_SUM_J_CM2,
    OUT_CO2_PPM,
    OUT_TEMP_C,
    PAR_UMOL,
    PIPE_TEMP_C,
    SOLAR_W_M2,
    SUBSTRATE_EC,
    SUBSTRATE_PH,
    SUBSTRATE_WC_PCT,
    WIND_M_S,
)

KWH = 3.6e6
# Sums of what crossed the border of the house, per m2 of floor
(
    HEAT_KWH, ELEC_KWH, CO2_KG, WATER_L_USED, DRAIN_L, FRUIT_KG,   # bought, drained, picked (dry matter)
    SUN_KWH, LOST_KWH, TRANSPIRED_L, CONDENSED_L, MIST_L, VENTED_L, CO2_LOST_KG, CO2_FIXED_KG,
) = range(14)  # fmt: skip
FLOWS = 14
"""SUN: taken up by the house, with what the lamps give it; LOST: sensible and radiant to outside, sky and ground; CONDENSED: on cover and
screens; MIST: settled from air above saturation; FIXED: by the crop, net of respiration."""


@njit(cache=True)
def step(
    state: NDArray[np.float64], weather: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64], dt_s: float,
    flows: NDArray[np.float64],
) -> None:  # fmt: skip
    """Moves `state` on by `dt_s` seconds (1..300) under one row of weather and actuator positions 0..1; adds to `flows`."""
    lai = state[LEAF_MG] * par[p.LEAF_AREA_M2_MG]
    light = shortwave(max(weather[SOLAR_W_M2], 0.0), lai, actuators, par)
    through = screen_flow(state[AIR_C], state[TOP_C], actuators, par)
    leak = leak_flow(weather[WIND_M_S], par)
    roof = vent_flow(state[AIR_C], weather, actuators, par) + par[p.LEAK_TOP_SHARE] * leak
    side = (1.0 - par[p.LEAK_TOP_SHARE]) * leak
    fed = feeding(state, par)
    fixed_mg = CH2O_MG_UMOL * fed * _assimilation(state, light[ABSORBED_UMOL], lai, par)
    transpired = _heat_and_vapour(state, weather, actuators, light, par, dt_s, (through, roof, side, fed), flows)
    given_off, picked = grow(state, fixed_mg, par, dt_s)
    taken_mg = _carbon(state, weather, actuators, par, dt_s, (through, roof, side), fixed_mg * CO2_PER_CH2O, given_off, flows)
    state[BUFFER_MG] += (taken_mg / CO2_PER_CH2O - fixed_mg) * dt_s  # what the air really gave
    age(state, dt_s)
    given = par[p.IRRIGATION_L_M2_S] * actuators[IRRIGATION] * dt_s
    drained = water(state, given, transpired, par)
    state[SUN_SINCE_SHOT_J_CM2] += 1e-4 * max(weather[SOLAR_W_M2], 0.0) * dt_s
    if actuators[IRRIGATION] > 0.0:
        state[SUN_SINCE_SHOT_J_CM2] = 0.0
    flows[HEAT_KWH] += par[p.BOILER_W_M2] * actuators[HEATING] * dt_s / KWH
    flows[ELEC_KWH] += (par[p.LAMP_W_M2] * actuators[LAMPS] + par[p.FOG_W_M2] * actuators[FOG]) * dt_s / KWH
    flows[CO2_KG] += 1e-6 * par[p.CO2_MG_M2_S] * actuators[CO2_DOSING] * dt_s
    flows[WATER_L_USED] += given + par[p.FOG_KG_M2_S] * actuators[FOG] * dt_s
    flows[DRAIN_L] += drained
    flows[FRUIT_KG] += 1e-6 * picked


@njit(cache=True)
def _assimilation(state: NDArray[np.float64], par_umol: float, lai: float, par: NDArray[np.float64]) -> float:
    """CO2 fixed, umol/m2 s; a full buffer inhibits it (Vanthoor 2011b, eqs. 10 and 11, B.1)."""
    full = 1.0 / (1.0 + np.exp(5e-4 * (state[BUFFER_MG] - par[p.BUFFER_MAX_MG])))
    return full * photosynthesis_umol(par_umol, co2_ppm(state[CO2_MG_M3], state[AIR_C]), state[CANOPY_C], lai, par)


@njit(cache=True)
def _heat_and_vapour(
    state: NDArray[np.float64], weather: NDArray[np.float64], actuators: NDArray[np.float64], light: NDArray[np.float64],
    par: NDArray[np.float64], dt_s: float, air: tuple[float, float, float, float], flows: NDArray[np.float64],
) -> float:  # fmt: skip
    """Solves temperatures and vapour pressures at the end of the step; returns the water transpired, l/m2."""
    through, roof, side, fed = air
    matrix, right = np.zeros((HEAT_STATES, HEAT_STATES)), np.zeros(HEAT_STATES)
    radiate(matrix, state, actuators, par)
    cover = convect(matrix, state, actuators, par)
    join(matrix, AIR_C, TOP_C, AIR_J_M3_K * through)
    exchange_vapour(matrix, right, state, weather, side, roof, through)
    out, back = outside_heat(state, weather, side, roof, par)
    wet = surfaces(matrix, right, state, actuators, light, cover, fed, par)
    fog = par[p.FOG_KG_M2_S] * actuators[FOG]
    right[VAPOUR_PA] += fog
    right[AIR_C] += light[AIR_W] - LATENT_J_KG * fog
    right[CANOPY_C] += light[CANOPY_W]
    right[COVER_C] += light[COVER_W]
    right[FLOOR_C] += light[FLOOR_W]
    right[LAMP_C] += light[LAMP_SELF_W]
    right[PIPE_C] += par[p.BOILER_W_M2] * actuators[HEATING]
    capacity = heat_capacities(state, par)
    before = state[:HEAT_STATES].copy()
    for place in range(HEAT_STATES):
        matrix[place, place] += capacity[place] / dt_s + out[place]
        right[place] += capacity[place] / dt_s * before[place] + back[place]
    solved = solve(matrix, right)
    state[:HEAT_STATES] = solved
    transpired = dt_s * wet[0] * (wet_pressure(before, solved, CANOPY_C) - solved[VAPOUR_PA])
    mist = _mist(state, AIR_C, VAPOUR_PA, capacity) + _mist(state, TOP_C, VAPOUR_TOP_PA, capacity)
    lost = 0.0
    for place in range(HEAT_STATES):
        lost += out[place] * solved[place] - back[place]
    stored = capacity[VAPOUR_PA] * (state[VAPOUR_PA] - before[VAPOUR_PA]) + capacity[VAPOUR_TOP_PA] * (
        state[VAPOUR_TOP_PA] - before[VAPOUR_TOP_PA]
    )
    flows[SUN_KWH] += (light[AIR_W] + light[CANOPY_W] + light[COVER_W] + light[FLOOR_W] + light[LAMP_SELF_W]) * dt_s / KWH
    flows[LOST_KWH] += lost * dt_s / KWH
    condensed = 0.0
    for place, (body, vapour) in enumerate(((THERMAL_SCREEN_C, VAPOUR_PA), (BLACKOUT_SCREEN_C, VAPOUR_PA), (COVER_C, VAPOUR_TOP_PA))):
        condensed += dt_s * wet[1 + place] * (solved[vapour] - wet_pressure(before, solved, body))
    flows[TRANSPIRED_L] += transpired
    flows[CONDENSED_L] += condensed
    flows[MIST_L] += mist
    flows[VENTED_L] += transpired + fog * dt_s - stored - condensed - mist
    return max(0.0, transpired)


@njit(cache=True)
def _mist(state: NDArray[np.float64], air: int, vapour: int, capacity: NDArray[np.float64]) -> float:
    """Vapour above saturation becomes mist that settles, and warms the air by its latent heat; returns it, kg/m2. Two Newton steps meet the
    saturation line to 0.1 Pa."""
    total = 0.0
    for _ in range(2):
        excess = state[vapour] - saturation_vp_pa(state[air])
        if excess <= 0.0:
            break
        gain = LATENT_J_KG * capacity[vapour] / capacity[air]
        drop = excess / (1.0 + gain * saturation_slope_pa_k(state[air]))
        state[vapour] -= drop
        state[air] += gain * drop
        total += capacity[vapour] * drop
    state[vapour] = max(state[vapour], 1.0)
    return total


@njit(cache=True)
def _carbon(
    state: NDArray[np.float64], weather: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64], dt_s: float,
    air: tuple[float, float, float], fixed_mg: float, given_off_mg: float, flows: NDArray[np.float64],
) -> float:  # fmt: skip
    """CO2 of both compartments (Vanthoor 2011a, eqs. 12, 13, 45, 76), implicit. Uptake is proportional to what is there, so it
    ends at 0; returns it, mg CO2 per m2 s."""
    through, roof, side = air
    outside = co2_mg_m3(weather[OUT_CO2_PPM], weather[OUT_TEMP_C])
    low, high = par[p.AIR_HEIGHT_M] / dt_s, (par[p.HOUSE_HEIGHT_M] - par[p.AIR_HEIGHT_M]) / dt_s
    uptake = fixed_mg / max(state[CO2_MG_M3], 1.0)
    dosed = par[p.CO2_MG_M2_S] * actuators[CO2_DOSING]
    a, d = low + uptake + through + side, high + through + roof
    first = low * state[CO2_MG_M3] + dosed + given_off_mg + side * outside
    second = high * state[CO2_TOP_MG_M3] + roof * outside
    share = a * d - through * through
    state[CO2_MG_M3] = (first * d + through * second) / share
    state[CO2_TOP_MG_M3] = (a * second + through * first) / share
    lost = side * (state[CO2_MG_M3] - outside) + roof * (state[CO2_TOP_MG_M3] - outside)
    flows[CO2_LOST_KG] += 1e-6 * dt_s * lost
    flows[CO2_FIXED_KG] += 1e-6 * dt_s * (uptake * state[CO2_MG_M3] - given_off_mg)
    return uptake * state[CO2_MG_M3]


@njit(cache=True)
def advance(
    state: NDArray[np.float64], actuators: NDArray[np.float64], weather_0: NDArray[np.float64], weather_1: NDArray[np.float64],
    par: NDArray[np.float64], minutes: int, flows: NDArray[np.float64],
) -> None:  # fmt: skip
    """`minutes` one-minute steps with fixed actuators; the weather goes in a straight line from the first row to the second."""
    for minute in range(minutes):
        share = (minute + 0.5) / minutes
        step(state, weather_0 + share * (weather_1 - weather_0), actuators, par, 60.0, flows)


@njit(cache=True)
def measure(
    state: NDArray[np.float64], weather: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64],
    measured: NDArray[np.float64],
) -> None:  # fmt: skip
    """Fills `measured` (MEASURED,) with what ideal sensors would read."""
    lai = state[LEAF_MG] * par[p.LEAF_AREA_M2_MG]
    measured[AIR_TEMP_C] = state[AIR_C]
    measured[AIR_RH_PCT] = rh_pct(state[AIR_C], state[VAPOUR_PA])
    measured[AIR_CO2_PPM] = co2_ppm(state[CO2_MG_M3], state[AIR_C])
    measured[PIPE_TEMP_C] = state[PIPE_C]
    measured[LEAF_TEMP_C] = state[CANOPY_C]
    measured[PAR_UMOL] = shortwave(max(weather[SOLAR_W_M2], 0.0), lai, actuators, par)[ABOVE_UMOL]
    measured[SUBSTRATE_WC_PCT] = 100.0 * state[WATER_L] / par[p.SLAB_L_M2]
    measured[SUBSTRATE_EC] = state[SLAB_EC]
    measured[SUBSTRATE_PH] = state[SLAB_PH]
    measured[LIGHT_SUM_J_CM2] = state[SUN_SINCE_SHOT_J_CM2]
