"""Every planted fault raises its alarm at the look that shows it, and nothing is raised in a house in order."""

import numpy as np
import pytest

from sdx_domains.contract import Fault, Order
from sdx_domains.farm import NAME
from sdx_domains.farm.control.alarms import Watch
from sdx_domains.farm.control.safety import FAULT_CO2, FAULT_LAMP, FAULT_WATER
from sdx_domains.farm.picture import Actuator

T_S = 864_000.0


def kinds(watch):
    return {alarm.kind: alarm.severity for alarm in watch.alarms()}


@pytest.fixture
def look(house):
    """look(watch, t_s, **changes) of a house at that moment."""

    def one(watch, t_s, **changes):
        return watch.look(house(**changes).model_copy(update={"t_s": t_s, "faults": changes.get("faults", ())}), t_s)

    return one


def test_a_house_in_order_raises_nothing(look):
    watch = Watch()
    flags = [look(watch, T_S + 60.0 * minute) for minute in range(120)]
    assert not watch.alarms() and not np.any(flags)


@pytest.mark.parametrize(
    ("kind", "severity", "changes"),
    [
        ("chilling", "critical", {"air_temp_c": 9.0}), ("frost", "critical", {"air_temp_c": 4.0}), ("heat", "critical", {"air_temp_c": 39.0}),
        ("co2_high", "warning", {"co2_ppm": 1700.0}), ("co2_people", "critical", {"co2_ppm": 5000.0}),
        ("co2_evacuate", "critical", {"co2_ppm": 30_000.0}), ("tank_low", "critical", {"tank_level_pct": 5.0}),
    ],
)  # fmt: skip
def test_a_limit_crossed_is_told_at_once(look, kind, severity, changes):
    watch = Watch()
    look(watch, T_S)
    look(watch, T_S + 5.0, **changes)
    assert kinds(watch) == {kind: severity}


def test_alarms_go_some_minutes_after_their_cause(look):
    watch = Watch()
    look(watch, T_S, air_temp_c=9.0)
    since = watch.alarms()[0].since_s
    look(watch, T_S + 200.0)
    assert watch.alarms()[0].since_s == since
    look(watch, T_S + 400.0)
    assert not watch.alarms()


def spoiled(picture, quantity, **changes):
    measured = dict(picture.measured)
    measured[quantity] = measured[quantity].model_copy(update=changes)
    return picture.model_copy(update={"measured": measured})


def test_a_dead_co2_sensor_stops_dosing(house):
    watch = Watch()
    watch.look(house(), T_S)
    flags = watch.look(spoiled(house(), "co2_ppm", quality="bad"), T_S + 5.0)
    assert kinds(watch) == {"co2_sensor_dead": "warning"} and flags[FAULT_CO2] == 1.0


def test_a_sensor_that_an_estimate_stands_in_for_is_dead(house):
    watch = Watch()
    watch.look(house(), T_S)
    watch.look(spoiled(house(), "air_temp_c", quality="suspect", source="estimate"), T_S + 5.0)
    assert kinds(watch) == {"sensor_dead": "critical"}


def test_silence_of_every_sensor_is_a_power_cut(house):
    watch = Watch()
    for minute in range(60):
        watch.look(house(), T_S + 60.0 * minute)
    picture = house()
    aged = {name: found.model_copy(update={"age_s": 120.0}) for name, found in picture.measured.items()}
    watch.look(picture.model_copy(update={"measured": aged}), T_S + 3660.0)
    assert "power_cut" in kinds(watch)


@pytest.mark.parametrize(
    ("kind", "alarm"), [("sensor_apart", "sensor_disagrees"), ("sensor_flat", "sensor_flat"), ("sensor_jump", "sensor_jump")]
)
def test_faults_of_the_picture_become_alarms(house, kind, alarm):
    watch = Watch()
    watch.look(house(faults=(Fault(t_s=T_S, kind=kind, detail="air_temp_1 gives 20.6, the others 18.6"),)), T_S)
    assert kinds(watch) == {alarm: "warning"}


def test_a_stuck_vent_is_told_by_its_read_back(look):
    watch = Watch()
    look(watch, T_S)
    watch.told("vent_lee", 0.5)
    look(watch, T_S + 5.0)
    assert not watch.alarms(), "it has a moment to begin"
    look(watch, T_S + 13.0)
    assert kinds(watch) == {"vent_stuck": "critical"} and watch.astray() == {"vent_lee"}


def test_a_vent_on_its_way_is_not_stuck(look):
    watch = Watch()
    look(watch, T_S)
    watch.told("vent_lee", 1.0)
    for second in range(5, 60, 5):
        look(watch, T_S + second, positions={"vent_lee": 100.0 * second / 60.0})
    assert not watch.alarms()


def test_heating_without_warm_pipes(look):
    watch = Watch()
    for minute in range(30):
        look(watch, T_S + 60.0 * minute, pipe_temp_c=22.0, positions={"heating_valve": 90.0})
    assert kinds(watch) == {"heating_no_effect": "critical"}


def test_open_vents_that_do_not_cool(look):
    watch = Watch()
    for minute in range(30):
        look(watch, T_S + 60.0 * minute, air_temp_c=30.0, air_rh_pct=70.0, positions={"vent_lee": 100.0, "vent_wind": 90.0})
    assert kinds(watch) == {"vent_no_effect": "critical"}


@pytest.fixture
def water(house):
    """water(watch, t_s, flow, valve): what the flow meter and the valve say; the flags that come of it."""

    def one(watch, t_s, flow, valve):
        picture = house(positions={"irrigation_valve": valve})
        meter = picture.measured["tank_level_pct"].model_copy(update={"value": flow, "age_s": 0.0, "source": "flow_1"})
        return watch.look(picture.model_copy(update={"measured": {**picture.measured, "flow_l_min": meter}}), t_s)

    return one


def test_flow_behind_a_shut_valve_is_a_leak_and_thirst_weighs_more_after_two_hours(water):
    watch = Watch()
    water(watch, T_S, 0.1, 0.0)
    assert water(watch, T_S + 12.0, 9.8, 0.0)[FAULT_WATER] == 1.0
    assert kinds(watch) == {"leak": "critical"}
    assert water(watch, T_S + 7300.0, 9.8, 0.0)[FAULT_WATER] == 0.0 and "leak" in kinds(watch)


def test_an_open_valve_without_flow(water):
    watch = Watch()
    water(watch, T_S, 0.0, 100.0)
    assert water(watch, T_S + 5.0, 0.2, 100.0)[FAULT_WATER] == 0.0
    assert water(watch, T_S + 11.0, 0.2, 100.0)[FAULT_WATER] == 1.0 and kinds(watch) == {"no_flow": "critical"}


def test_the_tail_of_a_shot_is_no_leak(water):
    watch = Watch()
    for minute, (flow, valve) in enumerate([(0.0, 0.0), (80.0, 100.0), (80.0, 100.0), (30.0, 0.0), (0.0, 0.0), (0.0, 0.0)]):
        water(watch, T_S + 60.0 * minute, flow, valve)
    assert not watch.alarms()


def test_a_lamp_fault_is_heeded(house):
    watch = Watch()
    fault = Fault(t_s=T_S, kind="actuator_fault", detail="lamps has status 6")
    assert watch.look(house(faults=(fault,)), T_S)[FAULT_LAMP] == 1.0
    assert kinds(watch) == {"device_fault": "critical"}


def test_a_device_in_a_persons_hands_is_told(house):
    watch, picture = Watch(), house()
    held = tuple(
        Actuator(device=a.device, position_pct=a.position_pct, right="MANUAL" if a.device == "fog" else "REMOTE") for a in picture.actuators
    )
    watch.look(picture.model_copy(update={"actuators": held}), T_S)
    assert kinds(watch) == {"manual": "info"}


def test_a_forecast_that_is_off_for_hours(look):
    watch = Watch()
    for minute in range(0, 600, 5):
        look(watch, T_S + 60.0 * minute, out_temp_c=16.0)
        if "forecast_wrong" in kinds(watch):
            break
    assert 60 <= minute <= 300


def order(source, valid_for_s=28_800.0):
    return Order(domain=NAME, setpoints={"x": 1.0}, issued_s=T_S, valid_for_s=valid_for_s, source=source, picture_id="p")


def test_plans_missing_expired_invalid_and_an_agent_gone_silent(look):
    watch = Watch()
    look(watch, T_S)
    watch.order(None, "")
    assert kinds(watch) == {"plan_missing": "info"}
    watch.order(order("fallback"), "")
    assert "model_silent" not in kinds(watch), "no agent was ever there"
    watch.order(order("model"), "")
    watch.order(order("fallback"), "")
    assert kinds(watch)["model_silent"] == "warning"
    watch.order(order("model"), "heat_temp_c 40 at hour 0 is outside 15 to 26")
    assert kinds(watch)["plan_invalid"] == "warning"
    look(watch, T_S + 30_000.0)
    watch.order(order("model"), "the plan expired")
    assert kinds(watch)["plan_expired"] == "warning"
