"""The system of heat and vapour balances of one step: conductances between the parts of the house. Start at `assemble`.

Every flux is written as a conductance times a difference, so that a step of any length is one linear solve and keeps energy and water
exactly (linearised implicit Euler). Fluxes: Vanthoor 2011a, Tables 3 and 4; lamps and blackout screen: Katzin 2020, Tables A1 and A2.
"""

from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.light import ABOVE_W
from sdx_domains.farm.greenhouse.psychrometrics import (
    GAS_J_KMOL_K,
    KELVIN,
    LATENT_J_KG,
    STEFAN_BOLTZMANN,
    WATER_KG_KMOL,
    saturation_slope_pa_k,
    saturation_vp_pa,
    vp_pa,
)
from sdx_domains.farm.greenhouse.state import (
    AIR_C,
    BLACKOUT_SCREEN_C,
    CANOPY_C,
    CO2_MG_M3,
    COVER_C,
    FLOOR_C,
    HEAT_STATES,
    LAMP_C,
    LEAF_MG,
    PIPE_C,
    SOIL_1_C,
    SOIL_2_C,
    SOIL_3_C,
    THERMAL_SCREEN_C,
    TOP_C,
    VAPOUR_PA,
    VAPOUR_TOP_PA,
)
from sdx_domains.farm.greenhouse.vectors import (
    BLACKOUT_SCREEN,
    OUT_RH_PCT,
    OUT_TEMP_C,
    SKY_TEMP_C,
    SOIL_TEMP_C,
    THERMAL_SCREEN,
    VENT_LEE,
    VENT_WIND,
    WIND_M_S,
)

GRAVITY_M_S2 = 9.81
AIR_J_M3_K = 1200.0
"""Heat capacity of air (Vanthoor 2011a, Table 1: 1.2 kg/m3, 1000 J/kg K)."""
AIR_KG_M3_K = 28.96 * 101325.0 / GAS_J_KMOL_K
"""Density of air times its temperature."""
PSYCHROMETRIC_PA_K = 65.8
VAPOUR_KG_K_J = WATER_KG_KMOL / GAS_J_KMOL_K
COVER_SHARE = 0.2
"""Of the roof's heat capacity lies in its two skins (Vanthoor 2011a, eq. 20), here one node."""
LEWIS_KG_J = 6.4e-9
"""From heat to vapour transfer, kg K / (J Pa) (Vanthoor 2011a, eq. 42)."""
PIPE_VIEW = 0.49
"""Share of a pipe's radiation that goes up, and that goes down (Vanthoor 2011a, Table 3)."""
STOWED_W_M2_K = 5.0
"""A screen that is drawn aside follows the air."""


@njit(cache=True)
def vent_flow(air_c: float, weather: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64]) -> float:
    """Air through the roof vents, m3/m2 s: buoyancy and wind (Vanthoor 2011a, eq. 64, each side for half of the area)."""
    mean = 0.5 * (air_c + weather[OUT_TEMP_C]) + KELVIN
    rise = GRAVITY_M_S2 * par[p.VENT_HEIGHT_M] * abs(air_c - weather[OUT_TEMP_C]) / (2.0 * mean)
    ratio = par[p.WINDWARD_RATIO]
    gust = 2.0 * par[p.VENT_WIND] * weather[WIND_M_S] ** 2 / (1.0 + ratio)
    opened = actuators[VENT_LEE] * sqrt(rise + gust) + actuators[VENT_WIND] * sqrt(rise + ratio * gust)
    return 0.25 * par[p.VENT_RATIO] * par[p.VENT_DISCHARGE] * opened


@njit(cache=True)
def leak_flow(wind_m_s: float, par: NDArray[np.float64]) -> float:
    """Leakage, m3/m2 s (Vanthoor 2011a, eq. 70)."""
    return par[p.LEAKAGE] * max(par[p.LEAK_MIN_WIND_M_S], wind_m_s)


@njit(cache=True)
def screen_flow(air_c: float, top_c: float, actuators: NDArray[np.float64], par: NDArray[np.float64]) -> float:
    """Air through the screens to the top compartment, m3/m2 s: the tighter of the two (Vanthoor 2011a, eq. 40; Katzin 2020, A36 to A38)."""
    leak = max(abs(air_c - top_c), 0.01) ** 0.66
    below, above = AIR_KG_M3_K / (air_c + KELVIN), AIR_KG_M3_K / (top_c + KELVIN)
    mean = 0.5 * (below + above)
    fall = sqrt(0.5 * mean * GRAVITY_M_S2 * max(abs(below - above), 4e-5)) / mean
    thermal = actuators[THERMAL_SCREEN] * par[p.THERMAL_LEAK] * leak + (1.0 - actuators[THERMAL_SCREEN]) ** 1.5 * fall
    blackout = actuators[BLACKOUT_SCREEN] * par[p.BLACKOUT_LEAK] * leak + (1.0 - actuators[BLACKOUT_SCREEN]) ** 1.5 * fall
    return min(thermal, blackout)


@njit(cache=True)
def vapour_capacity(height_m: float, temp_c: float) -> float:
    """Water that a column of air takes up, kg/m2 Pa (Vanthoor 2011a, eq. 24)."""
    return VAPOUR_KG_K_J * height_m / (temp_c + KELVIN)


@njit(cache=True)
def heat_capacities(state: NDArray[np.float64], par: NDArray[np.float64]) -> NDArray[np.float64]:
    """J/m2 K of each heat state and kg/m2 Pa of the two vapour states (Vanthoor 2011a, eqs. 18 to 24)."""
    found = np.empty(HEAT_STATES)
    top_m = par[p.HOUSE_HEIGHT_M] - par[p.AIR_HEIGHT_M]
    found[AIR_C], found[TOP_C] = AIR_J_M3_K * par[p.AIR_HEIGHT_M], AIR_J_M3_K * top_m
    found[CANOPY_C] = max(par[p.LEAF_HEAT_J_M2_K] * state[LEAF_MG] * par[p.LEAF_AREA_M2_MG], 60.0)
    found[COVER_C] = COVER_SHARE * np.cos(par[p.COVER_SLOPE_DEG] * pi / 180.0) * par[p.ROOF_HEAT_J_M2_K]
    found[THERMAL_SCREEN_C] = found[BLACKOUT_SCREEN_C] = par[p.SCREEN_HEAT_J_M2_K]
    found[FLOOR_C] = par[p.FLOOR_HEAT_J_M2_K]
    for layer in range(3):
        found[SOIL_1_C + layer] = par[p.SOIL_1_M + layer] * par[p.SOIL_HEAT_J_M3_K]
    steel = (par[p.PIPE_OUTER_M] ** 2 - par[p.PIPE_INNER_M] ** 2) * 7850.0 * 640.0
    found[PIPE_C] = 0.25 * pi * par[p.PIPE_LENGTH_M_M2] * (steel + par[p.PIPE_INNER_M] ** 2 * 1000.0 * 4180.0)
    found[LAMP_C] = par[p.LAMP_HEAT_J_M2_K]
    found[VAPOUR_PA] = vapour_capacity(par[p.AIR_HEIGHT_M], state[AIR_C])
    found[VAPOUR_TOP_PA] = vapour_capacity(top_m, state[TOP_C])
    return found


@njit(cache=True)
def join(matrix: NDArray[np.float64], one: int, other: int, conductance: float) -> None:
    """A flux conductance * (one - other)."""
    matrix[one, one] += conductance
    matrix[other, other] += conductance
    matrix[one, other] -= conductance
    matrix[other, one] -= conductance


@njit(cache=True)
def warmth(matrix: NDArray[np.float64], state: NDArray[np.float64], one: int, other: int, factor: float) -> None:
    """Long-wave exchange between two parts, `factor` = area, view and emissivities (Vanthoor 2011a, eq. 37, as a conductance)."""
    a, b = state[one] + KELVIN, state[other] + KELVIN
    join(matrix, one, other, factor * STEFAN_BOLTZMANN * (a * a + b * b) * (a + b))


@njit(cache=True)
def radiate(matrix: NDArray[np.float64], state: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64]) -> None:
    """Long-wave radiation inside the house: canopy, floor, pipes and lamps to each other and up to screens and cover."""
    lai = state[LEAF_MG] * par[p.LEAF_AREA_M2_MG]
    open_canopy = exp(-par[p.EXTINCTION_FIR] * lai)
    leaves = 1.0 - open_canopy
    pipe = pi * par[p.PIPE_LENGTH_M_M2] * par[p.PIPE_OUTER_M]
    floor = 1.0 - PIPE_VIEW * pipe
    pipe *= par[p.PIPE_EMISSIVITY]
    thermal, blackout = actuators[THERMAL_SCREEN], actuators[BLACKOUT_SCREEN]
    e_thermal, e_blackout, e_cover = par[p.THERMAL_EMISSIVITY], par[p.BLACKOUT_EMISSIVITY], par[p.ROOF_EMISSIVITY]
    past_thermal = 1.0 - thermal * (1.0 - par[p.THERMAL_FIR_TAU])
    past_blackout = 1.0 - blackout * (1.0 - par[p.BLACKOUT_FIR_TAU])
    lamps = par[p.LAMP_AREA] * par[p.LAMP_EMISSIVITY]
    tau = par[p.LAMP_TAU]
    for body, area in (
        (CANOPY_C, tau * leaves),
        (PIPE_C, tau * pipe * PIPE_VIEW * open_canopy),
        (FLOOR_C, tau * floor * open_canopy),
        (LAMP_C, lamps),
    ):
        warmth(matrix, state, body, BLACKOUT_SCREEN_C, area * e_blackout * blackout)
        warmth(matrix, state, body, THERMAL_SCREEN_C, area * e_thermal * thermal * past_blackout)
        warmth(matrix, state, body, COVER_C, area * e_cover * past_thermal * past_blackout)
    warmth(matrix, state, CANOPY_C, FLOOR_C, leaves * floor)
    warmth(matrix, state, PIPE_C, FLOOR_C, pipe * PIPE_VIEW)
    warmth(matrix, state, PIPE_C, CANOPY_C, pipe * PIPE_VIEW * leaves)
    warmth(matrix, state, LAMP_C, FLOOR_C, lamps * floor * open_canopy)
    warmth(matrix, state, LAMP_C, PIPE_C, lamps * pipe * PIPE_VIEW * open_canopy)
    warmth(matrix, state, LAMP_C, CANOPY_C, lamps * leaves)
    warmth(matrix, state, THERMAL_SCREEN_C, COVER_C, e_thermal * e_cover * thermal)
    warmth(matrix, state, BLACKOUT_SCREEN_C, THERMAL_SCREEN_C, e_blackout * e_thermal * thermal * blackout)
    warmth(matrix, state, BLACKOUT_SCREEN_C, COVER_C, e_blackout * e_cover * blackout * past_thermal)


@njit(cache=True)
def convect(matrix: NDArray[np.float64], state: NDArray[np.float64], actuators: NDArray[np.float64], par: NDArray[np.float64]) -> float:
    """Convection and conduction inside the house. Returns the conductance from top air to cover, for condensation."""
    lai = state[LEAF_MG] * par[p.LEAF_AREA_M2_MG]
    join(matrix, CANOPY_C, AIR_C, 2.0 * par[p.LEAF_AIR_W_M2_K] * lai)
    step = state[FLOOR_C] - state[AIR_C]
    join(matrix, AIR_C, FLOOR_C, 1.7 * step ** (1.0 / 3.0) if step > 0.0 else 1.3 * (-step) ** 0.25)
    for body, position in ((THERMAL_SCREEN_C, actuators[THERMAL_SCREEN]), (BLACKOUT_SCREEN_C, actuators[BLACKOUT_SCREEN])):
        join(matrix, AIR_C, body, screen_air(state, body, AIR_C, position) + STOWED_W_M2_K * (1.0 - position))
        join(matrix, TOP_C, body, screen_air(state, body, TOP_C, position))
    cover = par[p.COVER_INSIDE_W] * abs(state[TOP_C] - state[COVER_C]) ** (1.0 / 3.0) * par[p.COVER_RATIO]
    join(matrix, TOP_C, COVER_C, cover)
    pipe = 1.99 * pi * par[p.PIPE_OUTER_M] * par[p.PIPE_LENGTH_M_M2]
    join(matrix, PIPE_C, AIR_C, pipe * abs(state[PIPE_C] - state[AIR_C]) ** 0.32)
    soil = par[p.SOIL_CONDUCTION_W_M_K]
    join(matrix, FLOOR_C, SOIL_1_C, 2.0 / (par[p.FLOOR_RESISTANCE_M2_K_W] + par[p.SOIL_1_M] / soil))
    join(matrix, SOIL_1_C, SOIL_2_C, 2.0 * soil / (par[p.SOIL_1_M] + par[p.SOIL_2_M]))
    join(matrix, SOIL_2_C, SOIL_3_C, 2.0 * soil / (par[p.SOIL_2_M] + par[p.SOIL_3_M]))
    join(matrix, LAMP_C, AIR_C, par[p.LAMP_AIR_W_M2_K])
    return cover


@njit(cache=True)
def screen_air(state: NDArray[np.float64], screen: int, air: int, position: float) -> float:
    """Conductance between a drawn screen and the air on one side, W/m2 K (Vanthoor 2011a, Table 4)."""
    return 1.7 * position * abs(state[air] - state[screen]) ** (1.0 / 3.0)


@njit(cache=True)
def stomata_s_m(above_w_m2: float, co2_mg: float, deficit_pa: float, par: NDArray[np.float64]) -> float:
    """Stomatal resistance, s/m: light, CO2 and vapour deficit at the leaf (Vanthoor 2011a, eqs. 48 to 51; Stanghellini 1987)."""
    day = 1.0 / (1.0 + exp(-(above_w_m2 - 5.0)))
    light = (above_w_m2 + 4.3) / (above_w_m2 + 0.54)
    co2 = min(1.5, 1.0 + (6.1e-7 * day + 1.1e-11 * (1.0 - day)) * (0.554 * co2_mg - 200.0) ** 2)
    dry = min(5.8, 1.0 + (4.3e-6 * day + 5.2e-6 * (1.0 - day)) * deficit_pa**2)
    return par[p.STOMATA_MIN_S_M] * light * co2 * dry


@njit(cache=True)
def evaporate(
    matrix: NDArray[np.float64], right: NDArray[np.float64], state: NDArray[np.float64], body: int, vapour: int, conductance: float
) -> None:
    """Vapour from a wet surface to the air: conductance (kg/m2 s Pa) times saturation at the surface, linear in its temperature, minus
    vapour pressure; with the heat it takes."""
    slope = saturation_slope_pa_k(state[body])
    fixed = saturation_vp_pa(state[body]) - slope * state[body]
    matrix[body, body] += LATENT_J_KG * conductance * slope
    matrix[body, vapour] -= LATENT_J_KG * conductance
    right[body] -= LATENT_J_KG * conductance * fixed
    matrix[vapour, vapour] += conductance
    matrix[vapour, body] -= conductance * slope
    right[vapour] += conductance * fixed


@njit(cache=True)
def condensing(state: NDArray[np.float64], body: int, vapour: int, conductance: float) -> float:
    """Transfer of vapour to a surface that is below the dew point, kg/m2 s Pa, else 0 (Vanthoor 2011a, eq. 42)."""
    return LEWIS_KG_J * conductance if state[vapour] > saturation_vp_pa(state[body]) else 0.0


@njit(cache=True)
def wet_pressure(before: NDArray[np.float64], after: NDArray[np.float64], body: int) -> float:
    """Saturation at a surface at the end of a step, Pa, linear in its temperature as the system has it."""
    return saturation_vp_pa(before[body]) + saturation_slope_pa_k(before[body]) * (after[body] - before[body])


@njit(cache=True)
def surfaces(
    matrix: NDArray[np.float64], right: NDArray[np.float64], state: NDArray[np.float64], actuators: NDArray[np.float64],
    light: NDArray[np.float64], cover_w_m2_k: float, fed: float, par: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Vapour from the leaves, and to screens and cover where these are below the dew point; transfers of the four, kg/m2 s Pa.

    Transpiration: Vanthoor 2011a, eqs. 46 and 47; a dry or salty slab (`fed` below 1) shuts the leaf.
    """
    lai = state[LEAF_MG] * par[p.LEAF_AREA_M2_MG]
    stomata = stomata_s_m(light[ABOVE_W], state[CO2_MG_M3], saturation_vp_pa(state[CANOPY_C]) - state[VAPOUR_PA], par)
    found = np.zeros(4)
    found[0] = 2.0 * AIR_J_M3_K * lai * fed / (LATENT_J_KG * PSYCHROMETRIC_PA_K * (par[p.BOUNDARY_S_M] + stomata))
    found[1] = condensing(state, THERMAL_SCREEN_C, VAPOUR_PA, screen_air(state, THERMAL_SCREEN_C, AIR_C, actuators[THERMAL_SCREEN]))
    found[2] = condensing(state, BLACKOUT_SCREEN_C, VAPOUR_PA, screen_air(state, BLACKOUT_SCREEN_C, AIR_C, actuators[BLACKOUT_SCREEN]))
    found[3] = condensing(state, COVER_C, VAPOUR_TOP_PA, cover_w_m2_k)
    evaporate(matrix, right, state, CANOPY_C, VAPOUR_PA, found[0])
    evaporate(matrix, right, state, THERMAL_SCREEN_C, VAPOUR_PA, found[1])
    evaporate(matrix, right, state, BLACKOUT_SCREEN_C, VAPOUR_PA, found[2])
    evaporate(matrix, right, state, COVER_C, VAPOUR_TOP_PA, found[3])
    return found


@njit(cache=True)
def exchange_vapour(
    matrix: NDArray[np.float64], right: NDArray[np.float64], state: NDArray[np.float64], weather: NDArray[np.float64],
    side_flow: float, roof_flow: float, through: float,
) -> None:  # fmt: skip
    """Vapour that goes with the air: main to top compartment, and both to outside (Vanthoor 2011a, eq. 44)."""
    per_air, per_top = VAPOUR_KG_K_J / (state[AIR_C] + KELVIN), VAPOUR_KG_K_J / (state[TOP_C] + KELVIN)
    outside = VAPOUR_KG_K_J / (weather[OUT_TEMP_C] + KELVIN) * vp_pa(weather[OUT_TEMP_C], weather[OUT_RH_PCT])
    matrix[VAPOUR_PA, VAPOUR_PA] += (through + side_flow) * per_air
    matrix[VAPOUR_PA, VAPOUR_TOP_PA] -= through * per_top
    matrix[VAPOUR_TOP_PA, VAPOUR_TOP_PA] += (through + roof_flow) * per_top
    matrix[VAPOUR_TOP_PA, VAPOUR_PA] -= through * per_air
    right[VAPOUR_PA] += side_flow * outside
    right[VAPOUR_TOP_PA] += roof_flow * outside


@njit(cache=True)
def outside_heat(
    state: NDArray[np.float64], weather: NDArray[np.float64], side_flow: float, roof_flow: float, par: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Conductance from each part to its surroundings, W/m2 K, and the heat that comes back along it, W/m2."""
    out, back = np.zeros(HEAT_STATES), np.zeros(HEAT_STATES)
    cover, sky = state[COVER_C] + KELVIN, weather[SKY_TEMP_C] + KELVIN
    wind = par[p.COVER_RATIO] * (par[p.COVER_OUTSIDE_W] + par[p.COVER_OUTSIDE_WIND] * weather[WIND_M_S])
    radiation = par[p.ROOF_EMISSIVITY] * STEFAN_BOLTZMANN * (cover * cover + sky * sky) * (cover + sky)
    deep = 2.0 * par[p.SOIL_CONDUCTION_W_M_K] / (par[p.SOIL_3_M] + par[p.SOIL_DEEP_M])
    out[COVER_C], back[COVER_C] = wind + radiation, wind * weather[OUT_TEMP_C] + radiation * weather[SKY_TEMP_C]
    out[AIR_C] = AIR_J_M3_K * side_flow
    out[TOP_C] = AIR_J_M3_K * roof_flow
    back[AIR_C], back[TOP_C] = out[AIR_C] * weather[OUT_TEMP_C], out[TOP_C] * weather[OUT_TEMP_C]
    out[SOIL_3_C], back[SOIL_3_C] = deep, deep * weather[SOIL_TEMP_C]
    return out, back


@njit(cache=True)
def solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gauss elimination in place; returns `right`, now the solution. The matrix is diagonally dominant, so that no rows are exchanged."""
    size = len(right)
    for pivot in range(size):
        inverse = 1.0 / matrix[pivot, pivot]
        for row in range(pivot + 1, size):
            factor = matrix[row, pivot] * inverse
            if factor != 0.0:
                for column in range(pivot + 1, size):
                    matrix[row, column] -= factor * matrix[pivot, column]
                right[row] -= factor * right[pivot]
    for row in range(size - 1, -1, -1):
        total = right[row]
        for column in range(row + 1, size):
            total -= matrix[row, column] * right[column]
        right[row] = total / matrix[row, row]
    return right
