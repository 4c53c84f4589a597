"""Roll-outs: the same as stepping by hand, bit-equal when repeated, money that adds up, and answers in the right direction."""

import numpy as np
import pytest

from sdx_domains.farm.control.loop import hold, no_edits, no_faults
from sdx_domains.farm.control.memory import fresh_memory
from sdx_domains.farm.control.row import shipped
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES, Parameters
from sdx_domains.farm.greenhouse.state import AIR_C, BUFFER_MG, FEED_EC_NOW, FEED_PH_NOW, FRUIT_MG, initial
from sdx_domains.farm.greenhouse.step import CO2_KG, ELEC_KWH, FLOWS, FRUIT_KG, HEAT_KWH, WATER_L_USED, measure, step
from sdx_domains.farm.greenhouse.twin import BUFFER_TO_FRUIT, FRUIT_KEPT, Bounds, RollOuts, roll_out
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    CO2_PPM_SET,
    FEED_EC,
    FEED_PH,
    HEAT_TEMP_C,
    LAMP_PCT,
    MEASURED,
    PRICES,
    SETPOINTS,
    SOLAR_W_M2,
    VENT_TEMP_C,
    WEATHER,
)  # fmt: skip

PARAMETERS = Parameters.read()
PAR = PARAMETERS.array()
HOURS = 24
FRUIT = slice(FRUIT_MG, FRUIT_MG + FRUIT_STAGES)


def _weather() -> np.ndarray:
    hours = np.arange(HOURS + 1)
    rows = np.zeros((HOURS + 1, WEATHER))
    rows[:] = [0.0, 8.0, 80.0, 410.0, 4.0, 220.0, 0.0, 0.0, 10.0]
    rows[:, SOLAR_W_M2] = np.maximum(0.0, -450.0 * np.cos(2 * np.pi * hours / 24))
    return rows


def _prices() -> np.ndarray:
    rows = np.tile([0.09, 0.25, 0.3, 1.0, 1.6], (HOURS + 1, 1))
    rows[12:, 1] = 0.1
    return rows


def _plans(*changes: dict[int, float]) -> np.ndarray:
    base = np.tile([18.0, 25.0, 85.0, 800.0, 0.0, 10.0, 900.0, 1.5, 100.0, 0.25, 2.8, 5.8], (HOURS + 1, 1))
    plans = np.stack([base.copy() for _ in changes])
    for plan, change in zip(plans, changes, strict=True):
        for place, value in change.items():
            plan[:, place] = value
    return plans


def _rolled(*changes: dict[int, float], **rest: object) -> RollOuts:
    return roll_out(initial(PARAMETERS), _weather(), _prices(), _plans(*changes), PAR, **rest)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def rolled() -> RollOuts:
    return _rolled({}, {HEAT_TEMP_C: 20.0, VENT_TEMP_C: 26.0}, {LAMP_PCT: 100.0}, {CO2_PPM_SET: 400.0})


def test_a_roll_out_is_the_loop_and_the_plant_stepped_by_hand() -> None:
    weather, plan = _weather(), _plans({HEAT_TEMP_C: 19.0})[0]
    state, memory, flows = initial(PARAMETERS), fresh_memory(), np.zeros(FLOWS)
    measured, positions, means = np.zeros(MEASURED), np.zeros(ACTUATORS), np.zeros(HOURS)
    for minute in range(60 * HOURS):
        hour, share = minute // 60, (minute % 60 + 0.5) / 60
        now = weather[hour] + share * (weather[hour + 1] - weather[hour])
        wanted = plan[hour] + share * (plan[hour + 1] - plan[hour])
        measure(state, now, positions, PAR, measured)
        hold(measured, wanted, now, no_faults(), (6.0 + hour + (minute % 60) / 60) % 24.0, 60.0, memory, shipped(), positions, no_edits())
        state[FEED_EC_NOW], state[FEED_PH_NOW] = wanted[FEED_EC], wanted[FEED_PH]
        step(state, now, positions, PAR, 60.0, flows)
        means[hour] += state[AIR_C] / 60
    rolled = _rolled({HEAT_TEMP_C: 19.0}, hour=6.0)
    assert np.array_equal(rolled.end[0], state) and np.array_equal(rolled.flows[0], flows)
    assert rolled.air_temp_c[0] == pytest.approx(means)


def test_equal_inputs_give_bit_equal_results_alone_or_among_others(rolled: RollOuts) -> None:
    start = initial(PARAMETERS)
    before = start.copy()
    again = roll_out(start, _weather(), _prices(), _plans({}, {LAMP_PCT: 100.0}), PAR)
    assert np.array_equal(start, before)
    for name in ("end", "air_temp_c", "cost_eur_m2", "profit_eur_m2", "flows"):
        assert np.array_equal(getattr(again, name), getattr(rolled, name)[[0, 2]]), name


def test_money_adds_up(rolled: RollOuts) -> None:
    flows, dry = rolled.flows, PARAMETERS["fruit_dry_matter"]
    assert rolled.cost_eur_m2[:, 0] == pytest.approx(0.09 * flows[:, HEAT_KWH])
    assert rolled.cost_eur_m2[:, 2] == pytest.approx(0.3 * flows[:, CO2_KG])
    assert rolled.cost_eur_m2[:, 3] == pytest.approx(0.001 * flows[:, WATER_L_USED])
    assert 0.1 * flows[2, ELEC_KWH] < rolled.cost_eur_m2[2, 1] < 0.25 * flows[2, ELEC_KWH]
    assert rolled.revenue_eur_m2 == pytest.approx(1.6 * flows[:, FRUIT_KG] / dry)
    start = initial(PARAMETERS)
    fruit = 1e-6 * (rolled.end[:, FRUIT].sum(axis=1) - start[FRUIT].sum())
    buffer = 1e-6 * (rolled.end[:, BUFFER_MG] - start[BUFFER_MG])
    assert rolled.growth_eur_m2 == pytest.approx(1.6 / dry * (FRUIT_KEPT * fruit + BUFFER_TO_FRUIT * buffer))
    assert rolled.fruit_kg_m2 == pytest.approx((flows[:, FRUIT_KG] + fruit) / dry)
    assert rolled.profit_eur_m2 == pytest.approx(rolled.revenue_eur_m2 + rolled.growth_eur_m2 - rolled.cost_eur_m2.sum(axis=1))


def test_plans_do_what_they_say(rolled: RollOuts) -> None:
    plain, warm, lit, lean = range(4)
    assert rolled.temp_mean_c[warm] > rolled.temp_mean_c[plain] + 1.0 and rolled.flows[warm, HEAT_KWH] > rolled.flows[plain, HEAT_KWH]
    assert rolled.flows[lit, ELEC_KWH] > 0.3 and rolled.flows[plain, ELEC_KWH] == 0.0
    assert rolled.fruit_kg_m2[lit] + 1e-9 > rolled.fruit_kg_m2[plain]
    assert rolled.co2_mean_ppm[lean] < rolled.co2_mean_ppm[plain] and rolled.flows[lean, CO2_KG] < rolled.flows[plain, CO2_KG]
    assert (rolled.temp_min_c < rolled.temp_mean_c).all() and (rolled.temp_mean_c < rolled.temp_max_c).all()
    assert rolled.air_temp_c.shape == rolled.co2_ppm.shape == (4, HOURS)


def test_time_outside_bounds_and_breaches_are_counted() -> None:
    everything = _rolled({}, bounds=Bounds(50.0, 60.0, 0.0, 100.0, 0.0, 1e5))
    assert everything.temp_out_share[0] == 1.0 and everything.rh_out_share[0] == 0.0 and everything.co2_out_share[0] == 0.0
    assert _rolled({}).hard_breaches[0] == 0.0
    frozen = initial(PARAMETERS, air_temp_c=4.0, soil_temp_c=4.0)
    assert roll_out(frozen, _weather(), _prices(), _plans({}), PAR).hard_breaches[0] == 1.0


def test_longer_steps_tell_nearly_the_same(rolled: RollOuts) -> None:
    coarse = _rolled({}, {HEAT_TEMP_C: 20.0, VENT_TEMP_C: 26.0}, step_s=300.0)
    assert np.abs(coarse.air_temp_c - rolled.air_temp_c[:2]).mean() < 0.6
    assert coarse.fruit_kg_m2 == pytest.approx(rolled.fruit_kg_m2[:2], rel=0.05)


def test_wrong_arrays_are_named() -> None:
    start, weather, prices, plans = initial(PARAMETERS), _weather(), _prices(), _plans({})
    with pytest.raises(ValueError, match="schedules"):
        roll_out(start, weather, prices, plans[:, :-1], PAR)
    with pytest.raises(ValueError, match="prices"):
        roll_out(start, weather, prices[:, :3], plans, PAR)
    weather[3, 1] = np.nan
    with pytest.raises(ValueError, match="weather has no finite"):
        roll_out(start, weather, prices, plans, PAR)
    with pytest.raises(ValueError, match="fill an hour"):
        roll_out(start, _weather(), prices, plans, PAR, step_s=250.0)
    assert plans.shape[2] == SETPOINTS and prices.shape[1] == PRICES
