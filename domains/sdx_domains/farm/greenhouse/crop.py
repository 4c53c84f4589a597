"""The tomato crop: photosynthesis, carbohydrate buffer, growth, respiration, development and harvest. Start at `grow`.

Vanthoor 2011b, with fruit in five stages instead of fifty. Carbohydrates in mg CH2O per m2, flows per second.
"""

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES
from sdx_domains.farm.greenhouse.psychrometrics import KELVIN
from sdx_domains.farm.greenhouse.state import (
    BUFFER_MG,
    CANOPY_24H_C,
    CANOPY_C,
    CANOPY_SUM_CD,
    FRUIT_MG,
    HARVESTED_MG,
    LEAF_MG,
    SLAB_EC,
    SLAB_PH,
    STEM_MG,
    WATER_L,
)

GAS_J_MOL_K = 8.314
CH2O_MG_UMOL = 0.030
CO2_PER_CH2O = 44.0 / 30.0
DAY_S = 86400.0
ACTIVATION_J_MOL, DEACTIVATION_J_MOL, ENTROPY_J_MOL_K, REFERENCE_K = 37e3, 22e4, 710.0, 298.15
"""Of the electron transport's response to temperature (Vanthoor 2011b, eq. 15; Farquhar 1980)."""


@njit(cache=True)
def electron_transport(par_umol: float, canopy_c: float, lai: float, par: NDArray[np.float64]) -> float:
    """Electrons, umol/m2 s (Vanthoor 2011b, eqs. 14 to 16)."""
    kelvin = canopy_c + KELVIN
    rise = exp(ACTIVATION_J_MOL * (kelvin - REFERENCE_K) / (GAS_J_MOL_K * kelvin * REFERENCE_K))
    fall_25 = 1.0 + exp((ENTROPY_J_MOL_K * REFERENCE_K - DEACTIVATION_J_MOL) / (GAS_J_MOL_K * REFERENCE_K))
    fall = 1.0 + exp((ENTROPY_J_MOL_K * kelvin - DEACTIVATION_J_MOL) / (GAS_J_MOL_K * kelvin))
    most = lai * par[p.ELECTRONS_25_UMOL] * rise * fall_25 / fall
    offered, theta = par[p.ELECTRONS_PER_PHOTON] * par_umol, par[p.CURVATURE]
    both = most + offered
    return (both - sqrt(max(0.0, both * both - 4.0 * theta * most * offered))) / (2.0 * theta)


@njit(cache=True)
def photosynthesis_umol(par_umol: float, co2_ppm: float, canopy_c: float, lai: float, par: NDArray[np.float64]) -> float:
    """CO2 fixed less photorespiration, umol/m2 s, never below 0 (Vanthoor 2011b, eqs. 12, 13, 21 to 23)."""
    if par_umol <= 0.0 or lai <= 0.0:
        return 0.0
    shade = 1.0 / max(lai, 1.0)
    compensation = par[p.COMPENSATION_PPM_K] * (shade * canopy_c + 20.0 * (1.0 - shade))
    stomata = par[p.STOMATAL_CO2] * co2_ppm
    if stomata <= compensation:
        return 0.0
    gross = electron_transport(par_umol, canopy_c, lai, par) * (stomata - compensation) / (4.0 * (stomata + 2.0 * compensation))
    return gross * (1.0 - compensation / stomata)


@njit(cache=True)
def feeding(state: NDArray[np.float64], par: NDArray[np.float64]) -> float:
    """0..1: how far water, salt, nutrients and pH of the slab let the crop work.

    Water after Feddes 1978; yield by salt after Maas and Hoffman 1977 with the numbers of Sonneveld and Voogt 2009; shortage of nutrients
    below ec_poor and loss outside pH 5 to 7 are straight lines to 0.3 at EC 0 and at 2 points of pH.
    """
    content = state[WATER_L] / par[p.SLAB_L_M2]
    water = min(1.0, max(0.0, (content - par[p.SLAB_WILTING]) / (par[p.SLAB_DRY] - par[p.SLAB_WILTING])))
    salt = max(0.0, 1.0 - par[p.EC_LOSS] * max(0.0, state[SLAB_EC] - par[p.EC_HARM]))
    poor = min(1.0, 0.3 + 0.7 * max(0.0, state[SLAB_EC]) / par[p.EC_POOR])
    acid = max(0.3, 1.0 - 0.35 * max(0.0, 5.0 - state[SLAB_PH], state[SLAB_PH] - 7.0))
    return water * salt * poor * acid


@njit(cache=True)
def organ_inhibition(state: NDArray[np.float64], par: NDArray[np.float64]) -> tuple[float, float]:
    """How far leaves and stems, and fruit, grow: 0..1 times the growth coefficient of temperature.

    Vanthoor 2011b, eqs. 26 to 28, B.3, B.6.
    """
    mean, now, stage = state[CANOPY_24H_C], state[CANOPY_C], state[CANOPY_SUM_CD] / par[p.GENERATIVE_CD]
    buffer = 1.0 / (1.0 + exp(-5e-3 * (state[BUFFER_MG] - par[p.BUFFER_MIN_MG])))
    daily = 1.0 / (1.0 + exp(-1.1587 * (mean - 15.0))) / (1.0 + exp(1.3904 * (mean - 24.5)))
    instant = 1.0 / (1.0 + exp(-0.869 * (now - 10.0))) / (1.0 + exp(0.5793 * (now - 34.0)))
    generative = 0.5 * (stage + sqrt(stage * stage + 1e-4)) - 0.5 * (stage - 1.0 + sqrt((stage - 1.0) ** 2 + 1e-4))
    growth = buffer * daily * max(0.0, 0.047 * mean + 0.06)
    return growth, growth * instant * generative


@njit(cache=True)
def grow(state: NDArray[np.float64], assimilated_mg: float, par: NDArray[np.float64], dt_s: float) -> tuple[float, float]:
    """Moves carbohydrates for `dt_s`; `assimilated_mg` is CH2O fixed per second. Returns CO2 given off, mg/m2 s, and fruit picked, mg/m2.

    Buffer: Vanthoor 2011b, eqs. 1, 24, 25; respiration: 43 to 45; leaves above lai_max are picked: B.5; fruit ages at the rate of eq. 31.
    The buffer never gives more than it holds.
    """
    vegetative, generative = organ_inhibition(state, par)
    leaf, stem, fruit = vegetative * par[p.GROW_LEAF_MG], vegetative * par[p.GROW_STEM_MG], generative * par[p.GROW_FRUIT_MG]
    breath = par[p.GROWTH_LOSS_LEAF] * leaf + par[p.GROWTH_LOSS_STEM] * stem + par[p.GROWTH_LOSS_FRUIT] * fruit
    wanted, held = (leaf + stem + fruit + breath) * dt_s, state[BUFFER_MG] + assimilated_mg * dt_s
    served = min(1.0, max(0.0, held) / wanted) if wanted > 0.0 else 0.0
    state[BUFFER_MG] = max(0.0, held - served * wanted)
    keep = par[p.KEEP_SHARE] * par[p.KEEP_Q10] ** (0.1 * (state[CANOPY_24H_C] - 25.0)) * dt_s
    kept = keep * (par[p.KEEP_LEAF_1_S] * state[LEAF_MG] + par[p.KEEP_STEM_1_S] * state[STEM_MG])
    state[LEAF_MG] += served * leaf * dt_s - keep * par[p.KEEP_LEAF_1_S] * state[LEAF_MG]
    state[STEM_MG] += served * stem * dt_s - keep * par[p.KEEP_STEM_1_S] * state[STEM_MG]
    state[LEAF_MG] = min(state[LEAF_MG], par[p.LAI_MAX] / par[p.LEAF_AREA_M2_MG])
    ageing = FRUIT_STAGES * max(0.0, par[p.DEVELOP_1_S] + par[p.DEVELOP_1_S_K] * state[CANOPY_24H_C]) * dt_s
    handed = 0.0
    for stage in range(FRUIT_STAGES):
        here = state[FRUIT_MG + stage]
        lost = keep * par[p.KEEP_FRUIT_1_S] * here
        kept += lost
        older = ageing * here
        state[FRUIT_MG + stage] = here + served * fruit * dt_s * par[p.FRUIT_SHARE_1 + stage] - lost - older + handed
        handed = older
    state[HARVESTED_MG] += handed
    return CO2_PER_CH2O * (served * breath + kept / dt_s), handed


@njit(cache=True)
def age(state: NDArray[np.float64], dt_s: float) -> None:
    """The mean canopy temperature of the day, a first-order lag, and the temperature sum (Vanthoor 2011b, eqs. 8 and 9)."""
    state[CANOPY_24H_C] += dt_s / (DAY_S + dt_s) * (state[CANOPY_C] - state[CANOPY_24H_C])
    state[CANOPY_SUM_CD] += max(0.0, state[CANOPY_C]) * dt_s / DAY_S
