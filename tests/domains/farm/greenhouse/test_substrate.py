"""The slab: water, salt and acid are kept; drain, drying, enrichment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.state import FEED_EC_NOW, FEED_PH_NOW, SLAB_EC, SLAB_PH, WATER_L, initial
from sdx_domains.farm.greenhouse.substrate import water

PARAMETERS = Parameters.read()
PAR = PARAMETERS.array()


def _slab(litres: float, ec: float = 3.0, feed_ec: float = 2.8) -> np.ndarray:
    state = initial(PARAMETERS)
    state[WATER_L], state[SLAB_EC], state[FEED_EC_NOW], state[FEED_PH_NOW] = litres, ec, feed_ec, 5.6
    return state


@settings(deadline=None, derandomize=True)
@given(st.floats(0.0, 8.0), st.floats(0.0, 8.0), st.floats(0.0, 4.0), st.floats(0.0, 0.5), st.floats(0.0, 0.05))
def test_water_and_salt_are_kept(litres: float, ec: float, feed: float, given_l: float, taken: float) -> None:
    state = _slab(litres, ec, feed)
    mixed_ec = (ec * litres + feed * given_l) / max(litres + given_l, 1e-12)
    drain = water(state, given_l, taken, PAR)
    left = litres + given_l - drain - state[WATER_L]  # taken up
    assert 0.0 <= drain <= litres + given_l
    assert -1e-9 <= left <= taken + 1e-9
    assert 0.0 <= state[WATER_L] <= 8.0 + 1e-9
    if state[WATER_L] > 0.01:
        expected = mixed_ec * (litres + given_l - drain) - 0.55 * mixed_ec * left
        assert state[SLAB_EC] * state[WATER_L] == pytest.approx(min(expected, 20.0 * state[WATER_L]), rel=1e-6, abs=1e-9)


def test_a_full_slab_drains_what_it_is_given() -> None:
    state = _slab(8.0)
    assert water(state, 0.25, 0.0, PAR) == pytest.approx(0.25)
    dry = _slab(5.0)
    assert water(dry, 0.25, 0.0, PAR) == 0.0


def test_salt_rises_when_the_plant_drinks_thinner_than_the_feed_and_drain_takes_it_out() -> None:
    dripping, thrifty = _slab(7.6), _slab(7.6)
    for _ in range(200):
        water(dripping, 0.25, 0.15, PAR)
        water(thrifty, 0.15, 0.15, PAR)
    assert 5.2 > thrifty[SLAB_EC] > dripping[SLAB_EC] > 2.9
    assert 5.6 < dripping[SLAB_PH] < 6.6


def test_an_empty_slab_gives_nothing() -> None:
    state = _slab(0.0)
    assert water(state, 0.0, 0.1, PAR) == 0.0
    assert state[WATER_L] == 0.0
