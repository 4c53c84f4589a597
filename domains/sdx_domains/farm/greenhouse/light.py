"""Short-wave radiation: what cover, canopy, floor and air take up of the sun and of the lamps. Start at `shortwave`.

Vanthoor 2011a sections 3 and 5.1; layers of screens and lamps as in Katzin 2020, appendix A.1 and A.2.
"""

from math import exp

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.vectors import BLACKOUT_SCREEN, LAMPS, THERMAL_SCREEN

PAR_SHARE = 0.5
"""Of sunlight; the rest counts as NIR (Vanthoor 2011a, Table 1)."""

COVER_W, CANOPY_W, FLOOR_W, AIR_W, LAMP_SELF_W, ABOVE_W, ABSORBED_UMOL, ABOVE_UMOL = range(8)
"""Places in the result of `shortwave`: taken up by cover, canopy, floor, air, by the lamps themselves; global radiation above the canopy,
W/m2; PAR that the canopy takes up and PAR above it, umol/m2 s."""


@njit(cache=True)
def stacked(tau: float, up: float, down: float, tau_2: float, rho_2: float) -> tuple[float, float, float]:
    """Transmission, reflection to the top and to the bottom of two layers, the lower one the same from both sides.

    Vanthoor 2011a, eqs. 14 and 15; Katzin 2020, A4 to A6.
    """
    between = 1.0 - down * rho_2
    return tau * tau_2 / between, up + tau * tau * rho_2 / between, rho_2 + tau_2 * tau_2 * down / between


@njit(cache=True)
def screen(position: float, tau: float, rho: float) -> tuple[float, float]:
    """Transmission and reflection of a screen that covers `position` (0..1) of the house (Vanthoor 2011a, eq. 16)."""
    return 1.0 - position * (1.0 - tau), position * min(rho, 1.0 - tau)


@njit(cache=True)
def cover(actuators: NDArray[np.float64], par: NDArray[np.float64]) -> tuple[float, float]:
    """Transmission and upward reflection of roof, screens and lamp layer together, the same for PAR and NIR (Katzin 2020, A9 to A13)."""
    tau, rho = screen(actuators[THERMAL_SCREEN], par[p.THERMAL_TAU], par[p.THERMAL_RHO])
    tau, up, down = stacked(par[p.ROOF_TAU], par[p.ROOF_RHO], par[p.ROOF_RHO], tau, rho)
    tau_2, rho_2 = screen(actuators[BLACKOUT_SCREEN], par[p.BLACKOUT_TAU], par[p.BLACKOUT_RHO])
    tau, up, down = stacked(tau, up, down, tau_2, rho_2)
    tau, up, down = stacked(tau, up, down, par[p.LAMP_TAU], 0.0)
    return tau, up


@njit(cache=True)
def nir_shares(up: float, lai: float, par: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of the NIR on the cover that canopy and floor take up (Vanthoor 2011a, eqs. 29 to 33)."""
    canopy_tau = exp(-par[p.EXTINCTION_NIR] * lai)
    canopy_rho = par[p.CANOPY_NIR_RHO] * (1.0 - canopy_tau)
    tau, top, bottom = stacked(1.0 - up, up, up, canopy_tau, canopy_rho)
    between = 1.0 - bottom * par[p.FLOOR_NIR_RHO]
    floor = tau * (1.0 - par[p.FLOOR_NIR_RHO]) / between
    reflected = top + tau * tau * par[p.FLOOR_NIR_RHO] / between
    return max(0.0, 1.0 - floor - reflected), floor


@njit(cache=True)
def shortwave(solar_w_m2: float, lai: float, actuators: NDArray[np.float64], par: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes outside radiation, W/m2, and gives the eight numbers named above, W/m2 of floor and umol/m2 s."""
    tau, up = cover(actuators, par)
    inside = 1.0 - par[p.FRAME_ABSORBED]
    lamps = par[p.LAMP_W_M2] * actuators[LAMPS]
    sun_par, lamp_par, lamp_nir = inside * tau * PAR_SHARE * solar_w_m2, par[p.LAMP_PAR] * lamps, par[p.LAMP_NIR] * lamps
    through = exp(-par[p.EXTINCTION_PAR] * lai)
    # Vanthoor 2011a, eqs. 26 and 28; Katzin 2020, A17 and A18: on the way down, and after reflection from the floor
    par_canopy = (1.0 - par[p.CANOPY_PAR_RHO]) * (1.0 - through) * (1.0 + through * par[p.FLOOR_PAR_RHO])
    par_floor = (1.0 - par[p.FLOOR_PAR_RHO]) * through
    nir_canopy, nir_floor = nir_shares(up, lai, par)
    nir_through = exp(-par[p.EXTINCTION_NIR] * lai)
    lamp_canopy = lamp_par * par_canopy + lamp_nir * (1.0 - par[p.CANOPY_NIR_RHO]) * (1.0 - nir_through)
    lamp_floor = lamp_par * par_floor + lamp_nir * (1.0 - par[p.FLOOR_NIR_RHO]) * nir_through
    nir = (1.0 - PAR_SHARE) * solar_w_m2
    found = np.empty(8)
    # Vanthoor 2011a, eq. 36, for PAR only: eq. 29 counts the NIR that the cover would take up to canopy and floor already
    found[COVER_W] = (1.0 - tau - up) * PAR_SHARE * solar_w_m2
    found[CANOPY_W] = sun_par * par_canopy + inside * nir_canopy * nir + lamp_canopy
    found[FLOOR_W] = sun_par * par_floor + inside * nir_floor * nir + lamp_floor
    # Vanthoor 2011a, eq. 35: what the frame takes up; Katzin 2020, A23: light of the lamps that canopy and floor throw back
    found[AIR_W] = (
        par[p.FRAME_ABSORBED] * (tau * PAR_SHARE * solar_w_m2 + (nir_canopy + nir_floor) * nir)
        + lamp_par
        + lamp_nir
        - lamp_canopy
        - lamp_floor
    )
    found[LAMP_SELF_W] = lamps * (1.0 - par[p.LAMP_COOLED]) - lamp_par - lamp_nir
    found[ABOVE_W] = inside * tau * solar_w_m2 + lamp_par + lamp_nir
    found[ABSORBED_UMOL] = (par[p.SUN_UMOL_J] * sun_par + par[p.LAMP_UMOL_J] * lamp_par) * par_canopy
    found[ABOVE_UMOL] = par[p.SUN_UMOL_J] * sun_par + par[p.LAMP_UMOL_J] * lamp_par
    return found
