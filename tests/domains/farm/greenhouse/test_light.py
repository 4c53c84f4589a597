"""Short-wave radiation: layers, shares that add up, lamps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.greenhouse.light import ABOVE_UMOL, ABOVE_W, AIR_W, CANOPY_W, COVER_W, FLOOR_W, LAMP_SELF_W, cover, shortwave, stacked
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.vectors import ACTUATORS, BLACKOUT_SCREEN, LAMPS, THERMAL_SCREEN

PARAMETERS = Parameters.read()
SHARE = st.floats(0.0, 1.0)


def _at(**positions: float) -> np.ndarray:
    places = {"thermal": THERMAL_SCREEN, "blackout": BLACKOUT_SCREEN, "lamps": LAMPS}
    actuators = np.zeros(ACTUATORS)
    for name, value in positions.items():
        actuators[places[name]] = value
    return actuators


def test_a_second_layer_of_nothing_changes_nothing() -> None:
    assert stacked(0.6, 0.2, 0.15, 1.0, 0.0) == pytest.approx((0.6, 0.2, 0.15))


@settings(deadline=None, derandomize=True)
@given(SHARE, SHARE, SHARE)
def test_layers_neither_make_nor_lose_light(thermal: float, blackout: float, lai: float) -> None:
    actuators = _at(thermal=thermal, blackout=blackout)
    tau, up = cover(actuators, PARAMETERS.array())
    assert tau >= 0.0 and up >= 0.0 and tau + up <= 1.0 + 1e-12
    found = shortwave(800.0, 4.0 * lai, actuators, PARAMETERS.array())
    inside = found[[COVER_W, CANOPY_W, FLOOR_W, AIR_W]]
    assert (inside >= -1e-9).all() and inside.sum() <= 800.0 + 1e-9


def test_screens_darken_and_the_blackout_darkens_most() -> None:
    par = PARAMETERS.array()
    clear, thermal, black = (shortwave(500.0, 3.0, _at(**{n: 1.0} if n else {}), par)[ABOVE_UMOL] for n in ("", "thermal", "blackout"))
    assert clear > thermal > 10 * black > 0.0
    assert clear == pytest.approx(500 * PARAMETERS["roof_tau"] * 0.9 * 0.5 * 4.6 * 0.95, rel=0.03)


def test_power_of_the_lamps_is_all_accounted_for() -> None:
    found = shortwave(0.0, 2.5, _at(lamps=1.0), PARAMETERS.array())
    kept = PARAMETERS["lamp_w_m2"] * (1 - PARAMETERS["lamp_cooled"])
    assert found[[CANOPY_W, FLOOR_W, AIR_W, LAMP_SELF_W]].sum() == pytest.approx(kept)
    assert found[ABOVE_UMOL] == pytest.approx(116 * 0.31 * 5.2, rel=1e-6)
    assert found[ABOVE_W] == pytest.approx(116 * 0.33, rel=1e-6)
