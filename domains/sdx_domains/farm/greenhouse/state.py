"""Places of the state of one greenhouse and a plausible start. All per square metre of floor; see vectors.py for the other arrays."""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES, Parameters
from sdx_domains.farm.greenhouse.psychrometrics import co2_mg_m3, vp_pa

# The first HEAT_STATES are solved together in step.py, in this order
(
    AIR_C, TOP_C, CANOPY_C, COVER_C, THERMAL_SCREEN_C, BLACKOUT_SCREEN_C, FLOOR_C, SOIL_1_C, SOIL_2_C, SOIL_3_C, PIPE_C, LAMP_C,
    VAPOUR_PA, VAPOUR_TOP_PA,
) = range(14)  # fmt: skip
HEAT_STATES = 14
"""TOP is the air above the screens."""
CO2_MG_M3, CO2_TOP_MG_M3 = 14, 15
CANOPY_24H_C, CANOPY_SUM_CD = 16, 17
"""Mean canopy temperature of the last day, and its sum since planting, degree days."""
BUFFER_MG, LEAF_MG, STEM_MG, FRUIT_MG = 18, 19, 20, 21
"""Carbohydrates, mg CH2O. FRUIT_MG is the youngest of FRUIT_STAGES stages that lie side by side."""
HARVESTED_MG = FRUIT_MG + FRUIT_STAGES
"""Dry matter of fruit picked since the start."""
WATER_L = HARVESTED_MG + 1
"""Water in the substrate."""
SLAB_EC, SLAB_PH = WATER_L + 1, WATER_L + 2
FEED_EC_NOW, FEED_PH_NOW = WATER_L + 3, WATER_L + 4
"""What the mixing unit gives; whoever steers the house writes it here before a step."""
SUN_SINCE_SHOT_J_CM2 = WATER_L + 5
STATES = WATER_L + 6


def initial(
    parameters: Parameters,
    *,
    air_temp_c: float = 18.0,
    air_rh_pct: float = 80.0,
    co2_ppm: float = 450.0,
    soil_temp_c: float = 12.0,
    lai: float = 2.7,
    fruit_dry_g: float = 180.0,
    canopy_sum_cd: float = 2000.0,
) -> NDArray[np.float64]:
    """A bearing tomato crop in a house at rest: everything at air temperature, soil between air and ground, substrate at field capacity.

    Returns (STATES,). The fruit is spread over its stages as it lies in steady growth.
    """
    state = np.zeros(STATES)
    state[:HEAT_STATES] = air_temp_c
    state[SOIL_2_C] = 0.6 * air_temp_c + 0.4 * soil_temp_c
    state[SOIL_3_C] = 0.3 * air_temp_c + 0.7 * soil_temp_c
    state[VAPOUR_PA] = state[VAPOUR_TOP_PA] = vp_pa(air_temp_c, air_rh_pct)
    state[CO2_MG_M3] = state[CO2_TOP_MG_M3] = co2_mg_m3(co2_ppm, air_temp_c)
    state[CANOPY_24H_C], state[CANOPY_SUM_CD] = air_temp_c, canopy_sum_cd
    state[LEAF_MG] = lai / parameters["leaf_area_m2_mg"]
    state[STEM_MG] = 0.8 * state[LEAF_MG]
    state[BUFFER_MG] = 3000.0
    spread_fruit(state, parameters, 1000.0 * fruit_dry_g)
    state[WATER_L] = parameters["slab_l_m2"] * parameters["slab_capacity"]
    state[SLAB_EC], state[SLAB_PH] = 3.0, 5.8
    state[FEED_EC_NOW], state[FEED_PH_NOW] = 2.8, 5.6
    return state


def spread_fruit(state: NDArray[np.float64], parameters: Parameters, fruit_mg: float) -> None:
    """Sets the fruit's dry matter; its stages lie as in steady growth, where each holds what the younger ones have handed on."""
    shares = np.cumsum([parameters[f"fruit_share_{stage}"] for stage in range(1, FRUIT_STAGES + 1)])
    state[FRUIT_MG : FRUIT_MG + FRUIT_STAGES] = fruit_mg * shares / shares.sum()


def fruit_mg(state: NDArray[np.float64]) -> float:
    """Dry matter of the fruit on the plants, mg."""
    return float(state[FRUIT_MG : FRUIT_MG + FRUIT_STAGES].sum())
