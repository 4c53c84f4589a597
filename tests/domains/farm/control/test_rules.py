"""The rules: inside the soft box always; warm in light, lamps where they pay, lean CO2 where it is dear."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.control.limits import limits, outside
from sdx_domains.farm.control.rules import coming_mj, rule_plan, rule_schedule, shipped_rules
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.plan import MAX_HOURS


def sky(hours=48, peak=400.0, start=0.0):
    weather = np.zeros((hours + 1, v.WEATHER))
    clock = (start + np.arange(hours + 1)) % 24
    weather[:, v.SOLAR_W_M2] = peak * np.maximum(np.sin(np.pi * (clock - 6) / 12), 0.0)
    weather[:, v.OUT_TEMP_C] = 8.0
    return weather


def market(hours=48, elec=0.30, co2=0.30):
    return np.tile([0.09, elec, co2, 1.0, 1.6], (hours + 1, 1))


def test_warm_by_day_cool_by_night_with_vents_above():
    rules, table = shipped_rules(), rule_schedule(sky(), market(), 0.0)
    assert table.shape == (49, v.SETPOINTS)
    assert table[2, v.HEAT_TEMP_C] == pytest.approx(rules.night_c)
    assert table[12, v.HEAT_TEMP_C] > rules.night_c
    assert (table[:, v.VENT_TEMP_C] - table[:, v.HEAT_TEMP_C] == pytest.approx(rules.dead_zone_k)) or (
        table[:, v.VENT_TEMP_C] == 30.0
    ).any()


def test_lamps_only_where_light_is_short_and_electricity_cheap():
    dark = sky(peak=60.0)
    assert rule_schedule(dark, market(elec=0.02), 0.0)[:24, v.LAMP_PCT].max() == 100.0
    assert rule_schedule(dark, market(elec=0.40), 0.0)[:, v.LAMP_PCT].max() == 0.0
    assert rule_schedule(sky(peak=700.0), market(elec=0.02), 0.0)[:, v.LAMP_PCT].max() == 0.0
    evening = rule_schedule(dark, market(elec=0.02), 0.0)[18:24, v.LAMP_PCT]
    assert evening.max() == 0.0, "six hours of darkness"


def test_dear_co2_is_spared():
    noon = 12
    assert (
        rule_schedule(sky(), market(co2=2.0), 0.0)[noon, v.CO2_PPM_SET] < rule_schedule(sky(), market(co2=0.05), 0.0)[noon, v.CO2_PPM_SET]
    )


def test_feed_is_weaker_in_much_light():
    assert rule_schedule(sky(peak=800.0), market(), 0.0)[0, v.FEED_EC] < rule_schedule(sky(peak=100.0), market(), 0.0)[0, v.FEED_EC]


def test_coming_light_counts_a_whole_day_to_the_end_of_the_row():
    flat = np.full(30, 100.0)
    assert coming_mj(flat) == pytest.approx(np.full(30, 8.64))
    assert coming_mj(flat[:3]) == pytest.approx(np.full(3, 8.64))


def test_plan_of_a_picture_is_one_that_may_be_held(house):
    for hour in (0.0, 5.5, 12.0, 17.9, 23.99):
        plan = rule_plan(house(hour=hour))
        assert len(plan.knots) == MAX_HOURS and not outside(plan)
    bare = rule_plan(house(hour=3.0, forecast=None, prices=None))
    assert not outside(bare) and bare.knots[0].heat_temp_c == pytest.approx(shipped_rules().night_c, abs=1e-3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(0, 23.99))
def test_any_weather_and_prices_stay_inside_the_box(seed, hour):
    rng = np.random.default_rng(seed)
    weather = rng.uniform([0, -30, 0, 300, 0, 0, 0, -60, -5], [1200, 45, 100, 500, 40, 360, 30, 30, 30], (31, v.WEATHER))
    prices = rng.uniform([-0.1, -0.5, 0, 0, 0.01], [1, 2, 3, 5, 10], (31, v.PRICES))
    table = rule_schedule(weather, prices, hour, 24)
    low, high = limits().box()
    assert table.shape == (25, v.SETPOINTS) and np.isfinite(table).all()
    assert (table >= low).all() and (table <= high).all()
