"""The simulated house as equipment: its devices change its climate, its meters add up, its failures show, and a seed decides all of it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, Operation, SensorReading
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.step import WATER_L_USED
from sdx_domains.farm.picture import ClockReading, ForecastReading, PriceReading
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.failures import Failure
from sdx_domains.farm.world.house import GreenhouseHouse, weather_of
from sdx_domains.farm.world.scenarios import FarmScenario, scenario
from sdx_domains.farm.world.trace import MONEY
from sdx_domains.farm.world.weather_files import write_csv

CASE = scenario("winter-nl-0@3")


def _with(*failures: Failure) -> FarmScenario:
    return CASE.model_copy(update={"failures": failures})


def _send(house: GreenhouseHouse, device: str, op: Operation = "set_position", **value: float) -> CommandResult:
    command = ActuatorCommand(
        id=f"{device}{op}{house.t_s}",
        device=device,
        op=op,
        value=value,
        issued_s=house.t_s,
        expires_s=house.t_s + 60.0,
        issuer="controller",
    )
    return house.send(command)


def _run(house: GreenhouseHouse, hours: float) -> list[Reading]:
    house.step(hours * 3600.0)
    return list(house.read())


def _last(readings: Sequence[Reading], sensor: str) -> float:
    return next(r.value for r in reversed(readings) if isinstance(r, SensorReading) and r.sensor == sensor and r.value is not None)


def test_at_the_start_everything_speaks() -> None:
    readings = GreenhouseHouse(CASE).read()
    clock = next(r for r in readings if isinstance(r, ClockReading))
    assert clock.utc == "2026-01-09T23:00:00Z" and clock.hours_east == 1.0
    assert {r.sensor for r in readings if isinstance(r, SensorReading)} >= {"air_temp_1", "co2_1", "out_solar_1"}
    assert {r.device for r in readings if isinstance(r, ActuatorReading)} == set(v.ACTUATOR_NAMES)
    forecast = next(r for r in readings if isinstance(r, ForecastReading))
    prices = next(r for r in readings if isinstance(r, PriceReading))
    assert len(forecast.temp_c) == len(prices.elec_eur_kwh) == 72


def test_devices_on_the_bus_are_the_site() -> None:
    devices = {device.name: device for device in GreenhouseHouse(CASE).devices()}
    assert devices["vent_lee"].kind == "opener" and devices["vent_lee"].travel_s
    assert devices["co2_1"].kind == "sensor" and devices["co2_1"].quantity == "co2_ppm"


def test_heating_warms_and_costs() -> None:
    warm, cold = GreenhouseHouse(CASE), GreenhouseHouse(CASE)
    _send(warm, "heating_valve", position_pct=100.0)
    _send(cold, "heating_valve", position_pct=0.0)
    heated, plain = _run(warm, 5.0), _run(cold, 5.0)
    assert _last(heated, "air_temp_2") > _last(plain, "air_temp_2") + 5.0
    assert _last(heated, "heat_meter") > 0.4 and _last(plain, "heat_meter") < 0.01
    money = dict(zip(MONEY, warm.trace.table("money")[-1], strict=True))
    assert money["heat"] == pytest.approx(_last(heated, "heat_meter") * warm.prices.rows[:5, v.HEAT_EUR_KWH].mean(), rel=0.02)


def test_water_runs_through_valve_meter_tank_and_slab() -> None:
    house = GreenhouseHouse(CASE)
    before = _run(house, 0.1)
    assert _send(house, "irrigation_valve", "water", l_m2=0.3, ec_ds_m=3.3).fate == "accepted"
    readings = _run(house, 0.5)
    assert _last(readings, "water_meter") == pytest.approx(0.3, abs=0.01)
    flow = max(r.value for r in readings if isinstance(r, SensorReading) and r.sensor == "flow_1" and r.value is not None)
    assert flow == pytest.approx(house.parameters["irrigation_l_m2_s"] * 60.0 * 1000.0, rel=0.1)
    assert _last(readings, "tank_1") < _last(before, "tank_1")


def test_a_leak_shows_behind_a_shut_valve() -> None:
    leaking = _run(GreenhouseHouse(_with(Failure(kind="leak", size=0.6))), 1.0)
    assert _last(leaking, "flow_1") == pytest.approx(10.0, abs=2.0)
    assert _last(leaking, "water_meter") == pytest.approx(0.6, abs=0.05)
    assert _last(_run(GreenhouseHouse(CASE), 1.0), "water_meter") == 0.0


def test_a_stuck_vent_stays() -> None:
    house = GreenhouseHouse(_with(Failure(kind="device_stuck", subject="vent_lee", from_s=600.0)))
    _send(house, "vent_lee", position_pct=30.0)
    _run(house, 0.5)
    assert _send(house, "vent_lee", position_pct=100.0).fate == "accepted"
    _run(house, 1.0)
    assert house.trace.column("positions", v.VENT_LEE)[-1] == pytest.approx(0.3)


def test_in_a_blackout_nobody_speaks_or_answers() -> None:
    house = GreenhouseHouse(_with(Failure(kind="blackout", from_s=3600.0, until_s=7200.0)))
    _send(house, "heating_valve", position_pct=100.0)
    _run(house, 1.0)
    assert _send(house, "vent_lee", position_pct=50.0).fate == "timeout"
    silent = _run(house, 0.9)
    assert not [r for r in silent if isinstance(r, (SensorReading, ActuatorReading, ForecastReading))]
    assert house.trace.column("positions", v.HEATING)[-2] == 0.0
    assert [r for r in _run(house, 0.5) if isinstance(r, SensorReading)]
    assert house.trace.column("positions", v.HEATING)[-1] == 1.0


def test_a_wrong_forecast_does_not_touch_the_weather() -> None:
    wrong, right = GreenhouseHouse(_with(Failure(kind="forecast_wrong"))), GreenhouseHouse(CASE)
    told = [next(r for r in house.read() if isinstance(r, ForecastReading)) for house in (wrong, right)]
    assert told[0].temp_c[5] - told[1].temp_c[5] == pytest.approx(4.0, abs=0.02)
    assert np.array_equal(wrong.weather.rows, right.weather.rows)


def test_unknown_devices_and_failures_are_told() -> None:
    house = GreenhouseHouse(CASE)
    result = _send(house, "espresso", "on")
    assert result.fate == "rejected" and "heating_valve" in result.detail
    with pytest.raises(ValueError, match="failure of device 'door'"):
        GreenhouseHouse(_with(Failure(kind="device_stuck", subject="door")))


def test_same_seed_same_run_and_another_seed_another_house() -> None:
    runs = [_run(GreenhouseHouse(CASE, seed), 2.0) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_steps_of_any_length_lead_to_the_same_climate() -> None:
    by_minute, by_second = GreenhouseHouse(CASE), GreenhouseHouse(CASE)
    for house, dt_s in ((by_minute, 60.0), (by_second, 5.0)):
        _send(house, "heating_valve", position_pct=40.0)
        for _ in range(round(3600.0 / dt_s)):
            house.step(dt_s)
    temp = [house.trace.column("measured", v.AIR_TEMP_C)[-1] for house in (by_minute, by_second)]
    assert temp[0] == pytest.approx(temp[1], abs=0.1) and by_minute.t_s == by_second.t_s == 3600.0


def test_the_season_ends() -> None:
    house = GreenhouseHouse(scenario("spring-nl-0@1"))
    house.step(86400.0 - 60.0)
    assert not house.done
    house.step(60.0)
    assert house.done and house.trace.times_s[-1] == 86400.0
    assert house.trace.table("flows").shape[0] == len(house.trace.times_s) == 289
    assert (np.diff(house.trace.column("flows", WATER_L_USED)) >= 0.0).all()


def test_weather_may_come_from_a_file(tmp_path: Path) -> None:
    path = write_csv(generate("seoul", date(2026, 2, 1), 40, 1), tmp_path / "w.csv")
    case = CASE.model_copy(update={"weather_file": str(path), "first_day": date(2026, 3, 1)})
    weather = weather_of(case)
    assert weather.local_hour(0.0) == pytest.approx(0.0) and weather.utc(0.0).date() == date(2026, 2, 28)
    assert GreenhouseHouse(case).weather.lat_deg == pytest.approx(37.57)
    with pytest.raises(ValueError, match="40 days of weather, 60 are wanted"):
        weather_of(case.model_copy(update={"days": 60}))
