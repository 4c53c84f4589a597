"""The twin keeps its water, answers to drought as a crop does, and comes close to AquaCrop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from sdx_domains.farm.field import balance
from sdx_domains.farm.field.balance import CC, DRAIN_MM, ET_MM, IRRIGATION_MM, LAYERS, ROOT_M, RUNOFF_MM
from sdx_domains.farm.field.parameters import TH_FC, TH_WP, crop, soil
from sdx_domains.farm.field.plant import AquaCropField, run_ruled
from sdx_domains.farm.field.scenarios import case

MAIZE, LOAM = crop("maize"), soil("sandy_loam")
MILD = np.array([14.0, 28.0, 0.0, 5.0])


def stored_mm(state: np.ndarray) -> float:
    return float(1000.0 * (np.array(balance.LAYER_M) * state[:LAYERS]).sum())


def grown(weather: np.ndarray, amount: np.ndarray | float, th: float = float(LOAM[TH_FC])) -> np.ndarray:
    state = balance.start(np.full(LAYERS, th), MAIZE)
    for day, row in enumerate(weather):
        balance.day(state, day + 1, row, float(np.broadcast_to(amount, len(weather))[day]), MAIZE, LOAM)
    return state


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.22), st.integers(1, 132))
def test_water_is_neither_made_nor_lost(seed: int, th: float, days: int) -> None:
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.3, 20.0, days) * (rng.random(days) < 0.3)
    low = rng.uniform(2.0, 18.0, days)
    weather = np.column_stack([low, low + rng.uniform(2.0, 20.0, days), rain, rng.uniform(0.5, 9.0, days)])
    given_mm = rng.choice([0.0, 0.0, 10.0, 25.0], days)
    before = stored_mm(balance.start(np.full(LAYERS, th), MAIZE))
    state = grown(weather, given_mm, th)
    came = rain.sum() + given_mm.sum()
    went = state[ET_MM] + state[DRAIN_MM] + state[RUNOFF_MM]
    assert stored_mm(state) - before == pytest.approx(came - went, abs=1e-6)
    assert state[IRRIGATION_MM] == pytest.approx(given_mm.sum())
    assert (state[:LAYERS] >= LOAM[TH_WP] / 2.0 - 1e-9).all() and (state[:LAYERS] <= LOAM[TH_FC] + 1e-9).all()
    assert 0.0 <= state[CC] <= MAIZE[balance.CCX] and 0.3 <= state[ROOT_M] <= 2.3
    assert np.isfinite(state).all()


def test_drought_costs_and_irrigation_saves_yield() -> None:
    dry, wet = (balance.yield_t_ha(grown(np.tile(MILD, (132, 1)), mm)) for mm in (0.0, 5.0))
    assert dry < 0.75 * wet
    assert 11.0 < wet < 15.0


def test_water_above_field_capacity_drains_away() -> None:
    state = grown(np.tile(MILD, (3, 1)), 60.0)
    assert state[DRAIN_MM] > 140.0


def test_a_drought_at_flowering_costs_more_than_one_while_ripening() -> None:
    amounts = np.full(132, 5.0)
    late, middle = amounts.copy(), amounts.copy()
    middle[45:80], late[97:132] = 0.0, 0.0
    full, flowering, ripening = (balance.yield_t_ha(grown(np.tile(MILD, (132, 1)), mm)) for mm in (amounts, middle, late))
    assert flowering < ripening <= full * 1.02


@pytest.mark.parametrize("year", [1984, 1986])
@pytest.mark.parametrize("every", [8, 12])
def test_yield_and_evapotranspiration_follow_aquacrop(year: int, every: int) -> None:
    field = AquaCropField(case(f"field-champion-{year}"))
    amounts = np.where(np.arange(field.days) % every == 0, 25.0, 0.0)
    for amount in amounts:
        field.step(float(amount))
    state = grown(field.weather, amounts)
    flux = field.model.get_water_flux()
    assert balance.yield_t_ha(state) == pytest.approx(field.yield_t_ha(), rel=0.03)
    assert state[ET_MM] == pytest.approx(float((flux.Es + flux.Tr)[: field.days].sum()), rel=0.04)


def test_the_season_that_the_reference_table_gives() -> None:
    tonnes, water = run_ruled(case("field-champion-1982"), irrigation_method=1, SMT=[50] * 4)
    assert (round(tonnes, 2), water) == (12.67, 175.0)
