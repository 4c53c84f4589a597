"""The crop: carbon is kept, light and CO2 feed it, warmth ripens it, a bad slab holds it back."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.greenhouse.crop import CO2_PER_CH2O, DAY_S, feeding, grow, photosynthesis_umol
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES, Parameters
from sdx_domains.farm.greenhouse.state import (
    BUFFER_MG,
    CANOPY_24H_C,
    CANOPY_C,
    FRUIT_MG,
    HARVESTED_MG,
    LEAF_MG,
    SLAB_EC,
    SLAB_PH,
    STEM_MG,
    WATER_L,
    fruit_mg,
    initial,
)  # fmt: skip

PARAMETERS = Parameters.read()
PAR = PARAMETERS.array()
PARTS = [BUFFER_MG, LEAF_MG, STEM_MG, *range(FRUIT_MG, FRUIT_MG + FRUIT_STAGES), HARVESTED_MG]


def _crop(temp: float = 20.0, lai: float = 2.5) -> np.ndarray:
    state = initial(PARAMETERS, lai=lai)
    state[CANOPY_C] = state[CANOPY_24H_C] = temp
    return state


@settings(deadline=None, derandomize=True)
@given(st.floats(5.0, 35.0), st.floats(0.0, 2.0), st.floats(0.0, 20000.0), st.sampled_from([60.0, 300.0]))
def test_carbon_is_kept(temp: float, assimilated: float, buffer: float, dt_s: float) -> None:
    state = _crop(temp)
    state[BUFFER_MG] = buffer
    before = state[PARTS].sum()
    given_off, _ = grow(state, assimilated, PAR, dt_s)
    assert state[PARTS].sum() - before == pytest.approx((assimilated - given_off / CO2_PER_CH2O) * dt_s, abs=1e-4)
    assert (state[PARTS] >= 0.0).all()


def test_light_response_of_a_tomato_canopy() -> None:
    assert photosynthesis_umol(0.0, 800.0, 20.0, 2.5, PAR) == 0.0
    rates = [photosynthesis_umol(light, 400.0, 20.0, 2.5, PAR) for light in (100.0, 300.0, 600.0, 1200.0)]
    assert all(b > a for a, b in pairwise(rates))
    assert rates[1] / 300.0 > rates[3] / 1200.0  # saturates
    assert 15.0 < rates[2] < 35.0  # canopies of tomato at 600 umol fix 20 to 30 umol/m2 s (Heuvelink 1996)


def test_co2_feeds_with_falling_returns_and_none_is_nothing() -> None:
    at = [photosynthesis_umol(500.0, ppm, 20.0, 2.5, PAR) for ppm in (0.0, 400.0, 700.0, 1000.0)]
    assert at[0] == 0.0
    assert at[2] - at[1] > at[3] - at[2] > 0.0
    assert 1.1 < at[2] / at[1] < 1.6


def test_warm_fruit_ripens_sooner() -> None:
    picked: list[float] = []
    for temp in (16.0, 20.0, 24.0):
        state = _crop(temp)
        for _ in range(24):
            grow(state, 0.5, PAR, DAY_S / 24)
        picked.append(state[HARVESTED_MG] / fruit_mg(state))
    assert picked[0] < picked[1] < picked[2]
    assert picked[1] == pytest.approx(0.033, abs=0.01)  # a fruit takes about 50 days at 20 C (Vanthoor 2011b)


def test_an_empty_buffer_stops_growth_and_goes_no_lower() -> None:
    state = _crop()
    state[BUFFER_MG] = 0.0
    for _ in range(100):
        grow(state, 0.0, PAR, 300.0)
    assert 0.0 <= state[BUFFER_MG] < 1.0


@pytest.mark.parametrize(("place", "value"), [(WATER_L, 1.0), (SLAB_EC, 8.0), (SLAB_EC, 0.3), (SLAB_PH, 8.0), (SLAB_PH, 4.0)])
def test_a_bad_slab_holds_the_crop_back(place: int, value: float) -> None:
    state = _crop()
    assert feeding(state, PAR) == 1.0
    state[place] = value
    assert 0.0 <= feeding(state, PAR) < 0.9
