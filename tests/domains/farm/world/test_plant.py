"""House and controller in a closed loop: the rules keep two days in bounds, an order changes what is held, time and errors behave."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from sdx_domains.contract import Order, Reading
from sdx_domains.equipment import ActuatorCommand, CommandResult, Device
from sdx_domains.farm import NAME
from sdx_domains.farm.control.controller import FarmController
from sdx_domains.farm.control.rules import rule_plan
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.step import HEAT_KWH
from sdx_domains.farm.perceive import GreenhousePerceiver
from sdx_domains.farm.picture import ClockReading
from sdx_domains.farm.world.house import GreenhouseHouse
from sdx_domains.farm.world.plant import ControlledPlant
from sdx_domains.farm.world.plots import draw
from sdx_domains.farm.world.scenarios import FarmScenario, scenario
from sdx_domains.farm.world.scoring import score


def plant_of(case: FarmScenario, seed: int = 0) -> ControlledPlant:
    return ControlledPlant(GreenhouseHouse(case, seed), FarmController(), GreenhousePerceiver(follow=False))


def run(case: FarmScenario, seed: int = 0) -> ControlledPlant:
    plant = plant_of(case, seed)
    while not plant.done:
        plant.step(300.0)
    return plant


CASE = scenario("spring-nl-0@2")


@pytest.fixture(scope="module")
def two_days() -> ControlledPlant:
    return run(CASE)


def test_the_rules_alone_keep_two_days_in_order(two_days: ControlledPlant) -> None:
    found = score(CASE, two_days)
    assert found.days == 2.0 and found.hard_breaches == 0
    assert found.temp_in > 0.8 and found.co2_in > 0.9 and found.temp_min_c > 12.0 and found.temp_max_c < 34.0
    assert found.water_l_m2 > 0.3 and found.heat_kwh_m2 > 0.5 and found.fruit_kg_m2 > 0.05
    assert found.commands > 2000 and found.edit_share < 0.05 and found.refusals == 0
    gained = found.fruit_eur_m2 + found.growth_eur_m2
    spent = found.heat_eur_m2 + found.elec_eur_m2 + found.co2_eur_m2 + found.water_eur_m2
    assert found.profit_eur_m2 == pytest.approx(gained - spent, abs=1e-3)


def test_a_run_repeats_itself(two_days: ControlledPlant) -> None:
    assert score(CASE, run(CASE)) == score(CASE, two_days)


def test_every_reading_is_passed_on_once(two_days: ControlledPlant) -> None:
    readings = two_days.readings()
    assert len(readings) > 2 * 1440 * 10 and not two_days.readings()
    assert readings[0].t_s == 0.0 and readings[-1].t_s == two_days.t_s


def test_a_picture_is_drawn(two_days: ControlledPlant, tmp_path: Path) -> None:
    assert draw(two_days, tmp_path / "run.png", "two days").stat().st_size > 20_000


def test_an_order_changes_what_is_held() -> None:
    warm, plain = plant_of(CASE), plant_of(CASE)
    plan = rule_plan(warm.picture)
    knots = tuple(knot.model_copy(update={"heat_temp_c": 23.0, "vent_temp_c": 29.0}) for knot in plan.knots)
    setpoints = plan.model_copy(update={"knots": knots}).setpoints()
    order = Order(domain=NAME, setpoints=setpoints, issued_s=0.0, valid_for_s=8 * 3600.0, source="human", picture_id="")
    warm.apply(order)
    for plant in (warm, plain):
        plant.step(4 * 3600.0)
    houses = [plant.equipment for plant in (warm, plain)]
    assert all(isinstance(house, GreenhouseHouse) for house in houses)
    temps, heat = (
        [house.trace.column(name, place)[-1] for house in houses if isinstance(house, GreenhouseHouse)]
        for name, place in (("measured", v.AIR_TEMP_C), ("flows", HEAT_KWH))
    )
    assert temps[0] > temps[1] + 1.0 and heat[0] > heat[1]
    assert warm.orders == [(0.0, order)]


def test_steps_need_not_be_whole_minutes() -> None:
    plant = plant_of(CASE)
    plant.step(90.0)
    plant.step(0.5)
    assert plant.t_s == pytest.approx(90.5)


class _Bus:
    """Equipment without a clock of its own, as a real bus is: it answers, and says date and place once."""

    def __init__(self, clock: bool = True) -> None:
        self.sent: list[ActuatorCommand] = []
        self._first: list[Reading] = [
            ClockReading(t_s=0.0, source="bus", utc="2026-03-01T10:00:00Z", lat_deg=52.0, lon_deg=5.0, hours_east=1.0)
        ]
        if not clock:
            self._first = []

    def devices(self) -> Sequence[Device]:
        return (Device(name="heating_valve", kind="valve"),)

    def read(self) -> Sequence[Reading]:
        given, self._first = self._first, []
        return given

    def send(self, command: ActuatorCommand) -> CommandResult:
        self.sent.append(command)
        return CommandResult(command_id=command.id, fate="rejected", detail="no such device")

    def close(self) -> None:
        pass


def test_behind_a_bus_time_is_the_wall_clock() -> None:
    bus = _Bus()
    plant = ControlledPlant(bus, FarmController(), GreenhousePerceiver(follow=False), now_s=500.0)
    first = plant.t_s
    time.sleep(0.02)
    plant.step(1e6)
    assert 500.0 <= first < plant.t_s < 510.0 and not plant.done
    assert bus.sent and len(plant.refusals) == len(bus.sent)


def test_without_date_and_place_nothing_is_moved(caplog: pytest.LogCaptureFixture) -> None:
    bus = _Bus(clock=False)
    plant = ControlledPlant(bus, FarmController(), GreenhousePerceiver(follow=False))
    plant.step(60.0)
    assert not bus.sent and plant.picture is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


FAULTY = ("bias", "co2_dead", "blackout", "leak")


@pytest.mark.parametrize("failure", FAULTY)
def test_a_failure_is_survived_and_told(failure: str) -> None:
    """The failure begins after six hours, not after days as in the suite."""
    whole = scenario(f"winter-nl-21+{failure}@1")
    moved = tuple(
        found.model_copy(update={"from_s": 6 * 3600.0, "until_s": 7 * 3600.0 if failure == "blackout" else np.inf})
        for found in whole.failures
    )
    case = whole.model_copy(update={"failures": moved})
    found = score(case, run(case))
    assert not found.alarm_missed and found.alarm_delay_s is not None and found.alarm_delay_s <= 600.0
    assert found.hard_breaches == 0 and found.temp_min_c > 5.0
