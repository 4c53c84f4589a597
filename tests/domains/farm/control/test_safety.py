"""The safety filter: each interlock by name, and no sequence of commands leaves the box."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.farm.control.limits import limits
from sdx_domains.farm.control.safety import FAULT_CO2, FAULT_LAMP, FAULT_WATER
from sdx_domains.farm.greenhouse.vectors import ACTUATOR_NAMES

HARD = limits().hard


def run(house, asked, ticks=30, dt_s=60.0, **changes):
    found, rules = {}, set()
    for _ in range(ticks):
        found = house.filter(asked, dt_s, **changes)
        rules |= house.rules()
    assert not house.breaches, house.breaches
    return found, rules


NO_HEAT_OPEN = {"heating_valve": 0.0, "vent_lee": 1.0, "vent_wind": 1.0, "thermal_screen": 0.0, "fog": 1.0}


@pytest.mark.parametrize(
    ("rule", "asked", "changes", "expected"),
    [
        ("cold", NO_HEAT_OPEN, {"air_temp_c": 11.0}, {"heating_valve": 1.0, "vent_lee": 0.0, "vent_wind": 0.0, "thermal_screen": 1.0, "fog": 0.0}),
        ("cold", {"blackout_screen": 0.0}, {"air_temp_c": 4.0}, {"blackout_screen": 1.0}),
        ("hot", {"heating_valve": 1.0, "vent_lee": 0.0, "vent_wind": 0.0}, {"air_temp_c": 35.0}, {"heating_valve": 0.0, "vent_lee": 1.0, "vent_wind": 1.0, "thermal_screen": 0.5}),
        ("lamps_hot", {"lamps": 1.0}, {"air_temp_c": 33.0}, {"lamps": 0.0}),
        ("co2_stop", {"co2_valve": 1.0}, {"air_co2_ppm": 1700.0}, {"co2_valve": 0.0}),
        ("co2_stop", {"co2_valve": 1.0}, {"air_co2_ppm": np.nan}, {"co2_valve": 0.0}),
        ("co2_people", {"vent_lee": 0.0, "vent_wind": 0.0}, {"air_co2_ppm": 5000.0}, {"vent_lee": 0.5, "vent_wind": 0.5}),
        ("co2_vent", {"co2_valve": 1.0, "vent_lee": 1.0}, {}, {"co2_valve": 0.0}),
        ("fog_humid", {"fog": 1.0}, {"air_rh_pct": 86.0}, {"fog": 0.0}),
        ("wind", {"vent_lee": 1.0, "vent_wind": 1.0}, {"wind_m_s": 16.0}, {"vent_lee": 0.2, "vent_wind": 0.0}),
        ("wind", {"vent_lee": 1.0, "vent_wind": 1.0}, {"wind_m_s": 22.0}, {"vent_lee": 0.0, "vent_wind": 0.0}),
        ("wind", {"vent_lee": 1.0, "vent_wind": 1.0}, {"wind_m_s": np.nan}, {"vent_lee": 0.2, "vent_wind": 0.0}),
        ("rain", {"vent_lee": 1.0, "vent_wind": 1.0}, {"rain_mm_h": 2.0}, {"vent_lee": 0.4, "vent_wind": 0.1}),
        ("blind", {"heating_valve": 0.0, "vent_lee": 1.0}, {"air_temp_c": np.nan, "out_temp_c": 3.0}, {"heating_valve": 0.5, "vent_lee": 0.1}),
        ("blind", {"heating_valve": 0.0}, {"air_temp_c": 293.15, "out_temp_c": 3.0}, {"heating_valve": 0.5}),
        ("water_cap", {"irrigation_valve": 1.0}, {"substrate_wc_pct": 96.0}, {"irrigation_valve": 0.0}),
        ("no_number", {"vent_lee": np.nan}, {}, {"vent_lee": 0.0}),
        ("range", {"vent_lee": -3.0}, {}, {"vent_lee": 0.0}),
        ("range", {"thermal_screen": 70.0}, {}, {"thermal_screen": 1.0}),
    ],
)  # fmt: skip
def test_interlock(loop, rule, asked, changes, expected):
    found, rules = run(loop(), asked, **changes)
    assert rule in rules
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fault", "device", "rule"),
    [(FAULT_LAMP, "lamps", "lamp_fault"), (FAULT_WATER, "irrigation_valve", "water_fault"), (FAULT_CO2, "co2_valve", "co2_stop")],
)
def test_what_the_alarms_know_stops_the_device(loop, fault, device, rule):
    house = loop()
    assert house.filter({device: 1.0})[device] > 0.0
    house.faults[fault] = 1.0
    assert house.filter({device: 1.0})[device] == 0.0 and rule in house.rules()


def test_wet_air_is_dried_after_an_hour_and_not_before(loop):
    house = loop()
    for minute in range(90):
        found = house.filter({"heating_valve": 0.0, "vent_lee": 0.0}, air_rh_pct=93.0, air_temp_c=18.0, leaf_temp_c=18.0)
        assert minute >= 59 or "wet" not in house.rules()
    assert found["heating_valve"] == pytest.approx(HARD.dry_heat) and found["vent_lee"] == pytest.approx(HARD.dry_vent)


def test_leaves_near_the_dew_point_are_dried(loop):
    house = loop()
    changes = {"air_rh_pct": 88.0, "air_temp_c": 18.0, "leaf_temp_c": 16.5}  # dew point 16.0 C
    _, rules = run(house, {"heating_valve": 0.0, "vent_lee": 0.0}, ticks=14, **changes)
    assert "wet" not in rules
    _, rules = run(house, {"heating_valve": 0.0, "vent_lee": 0.0}, ticks=5, **changes)
    assert "wet" in rules


def test_heating_against_open_vents_ends(loop):
    house = loop(heating_valve=0.6, vent_lee=0.8, vent_wind=0.4)
    minutes = 0
    while min(house.filter({"heating_valve": 0.6, "vent_lee": 0.8, "vent_wind": 0.4})["heating_valve"], 1.0) > 0.05:
        minutes += 1
    assert 14 <= minutes <= 30 and not house.breaches


def test_motors_move_no_faster(loop):
    house, last = loop(), 0.0
    for dt_s in (1.0, 60.0, 300.0):
        found = house.filter({"vent_lee": 1.0}, dt_s)["vent_lee"]
        assert found - last == pytest.approx(HARD.vent_rate_min * dt_s / 60.0)
        last = found
    assert "slew" in house.rules()


def test_lamps_burn_and_rest_their_shortest_times(loop):
    house = loop()
    states = [house.filter({"lamps": float(minute % 2 == 0)})["lamps"] > 0.0 for minute in range(240)]
    runs = np.diff(np.flatnonzero(np.diff(np.array([not states[0], *states], dtype=int))))
    assert min(runs) >= 15 and not house.breaches
    burning = runs[0::2] if states[0] else runs[1::2]
    assert min(burning) >= 30


def test_fog_pump_starts_ten_times_an_hour_at_most(loop):
    house = loop()
    states = [house.filter({"fog": float(second // 70 % 2)}, 5.0)["fog"] > 0.0 for second in range(0, 7200, 5)]
    starts = np.flatnonzero(np.diff(np.array([False, *states], dtype=int)) == 1) * 5.0
    assert len(starts) >= 20
    assert all((starts[(starts > t - 3600.0) & (starts <= t)]).size <= HARD.pump_starts_h for t in starts)
    assert not house.breaches


def test_a_shot_ends_after_five_minutes_and_a_day_after_its_cap(loop):
    house, water, longest, now = loop(), 0.0, 0.0, 0.0
    house.hour = 0.0
    for _ in range(23 * 60):
        found = house.filter({"irrigation_valve": 1.0}, substrate_wc_pct=60.0)["irrigation_valve"]
        now = now + 60.0 * found if found else 0.0
        longest, water = max(longest, now), water + found * HARD.pump_l_m2_min
    assert longest <= HARD.shot_most_s + 1e-6
    assert 11.0 < water <= HARD.water_day_l_m2 + 1e-6
    assert not house.breaches


def test_six_hours_of_darkness(loop):
    house, lit = loop(), 0
    house.hour = 0.0
    for _ in range(24 * 60 - 1):
        lit += house.filter({"lamps": 1.0}, solar_w_m2=0.0)["lamps"] > 0.0
    assert lit == pytest.approx(18 * 60, abs=1)


NUMBER = st.one_of(st.floats(0, 1), st.floats(), st.sampled_from([float("nan"), float("inf"), -1.0, 273.15]))
SENSED = {
    "air_temp_c": st.one_of(st.floats(-10, 45), NUMBER), "air_rh_pct": st.one_of(st.floats(20, 100), NUMBER),
    "air_co2_ppm": st.one_of(st.floats(200, 6000), NUMBER), "leaf_temp_c": st.one_of(st.floats(-5, 40), NUMBER),
    "substrate_wc_pct": st.one_of(st.floats(20, 100), NUMBER), "solar_w_m2": st.one_of(st.floats(0, 1000), NUMBER),
    "out_temp_c": st.one_of(st.floats(-25, 40), NUMBER), "wind_m_s": st.one_of(st.floats(0, 30), NUMBER),
    "rain_mm_h": st.one_of(st.just(0.0), st.floats(0, 20), NUMBER),
}  # fmt: skip
TICK = st.tuples(
    st.fixed_dictionaries({name: NUMBER for name in ACTUATOR_NAMES}),
    st.fixed_dictionaries({}, optional=SENSED),
    st.sampled_from([1.0, 60.0, 300.0]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(TICK, min_size=1, max_size=40))
def test_no_sequence_of_commands_leaves_the_box(loop, ticks):
    house = loop()
    for asked, changes, dt_s, faults in ticks:
        house.faults[:] = faults
        found = house.filter(asked, dt_s, **changes)
        assert all(0.0 <= position <= 1.0 for position in found.values())
    assert not house.breaches
