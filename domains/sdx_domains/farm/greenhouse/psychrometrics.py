"""Moist air: vapour pressure, humidity, dew point, CO2 concentration. Functions of floats, compiled, for both sides."""

from math import exp, log

from sdx_domains.farm.compiled import njit

PRESSURE_PA = 101325.0
GAS_J_KMOL_K = 8314.0
KELVIN = 273.15
WATER_KG_KMOL = 18.0
CO2_KG_KMOL = 44.0
STEFAN_BOLTZMANN = 5.67e-8
LATENT_J_KG = 2.45e6
"""Heat of evaporation of water (Vanthoor 2011a, Table 1)."""


@njit(cache=True)
def saturation_vp_pa(temp_c: float) -> float:
    """Saturated vapour pressure over water, Pa, for -40..80 C (Tetens 1930 with the constants of Murray 1967)."""
    return 610.78 * exp(17.2694 * temp_c / (temp_c + 237.3))


@njit(cache=True)
def saturation_slope_pa_k(temp_c: float) -> float:
    """Its derivative to temperature, Pa/K."""
    return saturation_vp_pa(temp_c) * 17.2694 * 237.3 / (temp_c + 237.3) ** 2


@njit(cache=True)
def vp_pa(temp_c: float, rh_pct: float) -> float:
    """Vapour pressure, Pa."""
    return saturation_vp_pa(temp_c) * rh_pct / 100.0


@njit(cache=True)
def rh_pct(temp_c: float, vapour_pa: float) -> float:
    """Relative humidity, 0..100 (above saturation it reads 100)."""
    return min(100.0, max(0.0, 100.0 * vapour_pa / saturation_vp_pa(temp_c)))


@njit(cache=True)
def vpd_kpa(temp_c: float, rh: float) -> float:
    """Vapour pressure deficit of the air, kPa."""
    return 0.001 * saturation_vp_pa(temp_c) * (1.0 - rh / 100.0)


@njit(cache=True)
def dew_point_c(temp_c: float, rh: float) -> float:
    """Dew point, C: the saturation equation solved for temperature. Below 0.1 % humidity it is that of 0.1 %."""
    ratio = log(vp_pa(temp_c, max(rh, 0.1)) / 610.78)
    return 237.3 * ratio / (17.2694 - ratio)


@njit(cache=True)
def co2_mg_m3(ppm: float, temp_c: float) -> float:
    """CO2 concentration, mg/m3, at sea level pressure (ideal gas)."""
    return ppm * CO2_KG_KMOL * PRESSURE_PA / (GAS_J_KMOL_K * (temp_c + KELVIN))


@njit(cache=True)
def co2_ppm(mg_m3: float, temp_c: float) -> float:
    """The way back, ppm of volume."""
    return mg_m3 * GAS_J_KMOL_K * (temp_c + KELVIN) / (CO2_KG_KMOL * PRESSURE_PA)
