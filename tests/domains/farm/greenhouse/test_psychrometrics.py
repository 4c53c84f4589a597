"""Moist air against tabulated values, and there and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.greenhouse.psychrometrics import (
    co2_mg_m3,
    co2_ppm,
    dew_point_c,
    rh_pct,
    saturation_slope_pa_k,
    saturation_vp_pa,
    vp_pa,
    vpd_kpa,
)

TEMPS = st.floats(-20.0, 60.0)


@pytest.mark.parametrize(("temp", "pascal"), [(0.0, 611.2), (10.0, 1228.2), (20.0, 2338.8), (30.0, 4246.0), (40.0, 7384.0)])
def test_saturation_is_that_of_the_tables(temp: float, pascal: float) -> None:
    assert saturation_vp_pa(temp) == pytest.approx(pascal, rel=2e-3)  # Handbook of Chemistry and Physics, vapour pressure of water


def test_known_states_of_air() -> None:
    assert vpd_kpa(20.0, 60.0) == pytest.approx(0.935, abs=0.005)
    assert dew_point_c(20.0, 50.0) == pytest.approx(9.27, abs=0.05)
    assert co2_mg_m3(400.0, 20.0) == pytest.approx(731.6, rel=2e-3)  # 1 ppm = 1.829 mg/m3 at 20 C


@settings(deadline=None, derandomize=True)
@given(TEMPS, st.floats(1.0, 100.0))
def test_humidity_there_and_back(temp: float, rh: float) -> None:
    assert rh_pct(temp, vp_pa(temp, rh)) == pytest.approx(rh)
    dew = dew_point_c(temp, rh)
    assert dew <= temp + 1e-9
    assert saturation_vp_pa(dew) == pytest.approx(vp_pa(temp, rh), rel=1e-9)


@settings(deadline=None, derandomize=True)
@given(TEMPS, st.floats(0.0, 10000.0))
def test_co2_there_and_back(temp: float, ppm: float) -> None:
    assert co2_ppm(co2_mg_m3(ppm, temp), temp) == pytest.approx(ppm)


@settings(deadline=None, derandomize=True)
@given(TEMPS)
def test_the_slope_is_the_derivative(temp: float) -> None:
    step = 1e-3
    difference = (saturation_vp_pa(temp + step) - saturation_vp_pa(temp - step)) / (2 * step)
    assert saturation_slope_pa_k(temp) == pytest.approx(difference, rel=1e-5)


def test_humidity_never_reads_beyond_0_to_100() -> None:
    assert rh_pct(20.0, 9999.0) == 100.0
    assert rh_pct(20.0, -5.0) == 0.0
