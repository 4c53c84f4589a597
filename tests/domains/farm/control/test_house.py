"""The controller on the simulated house: planted failures are told at once, and a day under the rules leaves no limit crossed."""

import pytest

from sdx_domains.farm.control.controller import FarmController
from sdx_domains.farm.perceive import GreenhousePerceiver
from sdx_domains.farm.world.failures import Failure
from sdx_domains.farm.world.house import GreenhouseHouse
from sdx_domains.farm.world.plant import ControlledPlant
from sdx_domains.farm.world.scenarios import scenario

AT_S = 7200.0


def run(name, hours, *failures):
    case = scenario(name).model_copy(update={"failures": failures})
    plant = ControlledPlant(GreenhouseHouse(case), FarmController(), GreenhousePerceiver())
    while plant.t_s < 3600.0 * hours:
        plant.step(60.0)
    return plant


def delay_s(plant, kind):
    return next((t_s - AT_S for t_s, alarm in plant.alarms if alarm.kind == kind and t_s >= AT_S), None)


def test_a_day_in_order():
    plant = run("tuning-spring-nl-0@2", 24)
    edits = plant.controller.edits()
    assert edits["commands"] == 24 * 60 + 1 and edits["edited"] <= 0.05 * edits["commands"]
    assert {alarm.severity for _, alarm in plant.alarms} <= {"info"} and not plant.refusals


@pytest.mark.parametrize(
    ("kind", "failure", "within_s"),
    [
        ("sensor_disagrees", Failure(kind="sensor_bias", subject="air_temp_1", from_s=AT_S, size=2.0), 60.0),
        ("co2_sensor_dead", Failure(kind="sensor_dead", subject="co2_1", from_s=AT_S), 60.0),
        ("sensor_flat", Failure(kind="sensor_flat", subject="air_rh_1", from_s=AT_S), 1860.0),
        ("power_cut", Failure(kind="blackout", from_s=AT_S, until_s=AT_S + 3600.0), 120.0),
        ("leak", Failure(kind="leak", from_s=AT_S, size=0.6), 180.0),
        ("device_stuck", Failure(kind="device_stuck", subject="heating_valve", from_s=AT_S), 5 * 3600.0),
    ],
)
def test_a_failure_is_told(kind, failure, within_s):
    """Alarms come with the look that shows the cause; flat sensors take their half hour, a stuck valve until it should move."""
    delay = delay_s(run("tuning-spring-nl-0@2", 8 if kind == "device_stuck" else 3, failure), kind)
    assert delay is not None and delay <= within_s


def test_devices_come_back_after_a_power_cut():
    plant = run("tuning-spring-nl-0@2", 4, Failure(kind="blackout", from_s=AT_S, until_s=AT_S + 3600.0))
    wanted = plant.controller._positions
    standing = {a.device: a.position_pct / 100.0 for a in plant.picture.actuators}
    assert standing["heating_valve"] == pytest.approx(wanted[0], abs=0.12)
    assert "power_cut" not in {alarm.kind for alarm in plant.controller.alarms()}
