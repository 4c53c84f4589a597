"""Sensors: noise and lag as stated, scans and gaps, and each failure as its schedule says."""

import numpy as np
import pytest

from sdx_domains.equipment import SensorReading
from sdx_domains.farm.world.failures import Failure
from sdx_domains.farm.world.sensors import Sensors
from sdx_domains.farm.world.site import SensorSpec, site_spec

QUANTITIES = ("air_temp_c", "co2_ppm", "wind_dir_deg")
SPECS = {
    "t1": SensorSpec(quantity="air_temp_c", noise_sd=0.1, resolution=0.1, every_s=60.0),
    "t2": SensorSpec(quantity="air_temp_c", noise_sd=0.1, resolution=0.1, every_s=300.0, lag_s=600.0),
    "co2": SensorSpec(quantity="co2_ppm", noise_sd=10.0, resolution=1.0, every_s=60.0, low=0.0, high=2000.0),
    "dir": SensorSpec(quantity="wind_dir_deg", noise_sd=5.0, resolution=1.0, every_s=60.0),
}


def _run(
    failures: tuple[Failure, ...] = (), minutes: int = 500, temp: float = 20.0, specs: dict[str, SensorSpec] = SPECS
) -> list[SensorReading]:
    sensors = Sensors(specs, QUANTITIES, failures, seed=4)
    out: list[SensorReading] = []
    for minute in range(minutes):
        out += sensors.read(minute * 60.0, 60.0, [temp, 800.0, 359.0], True)
    return out


def _values(readings: list[SensorReading], name: str) -> np.ndarray:
    return np.array([r.value for r in readings if r.sensor == name and r.value is not None])


def test_noise_and_resolution_are_as_stated() -> None:
    readings = _run()
    temp = _values(readings, "t1")
    assert len(temp) == 500 and temp.mean() == pytest.approx(20.0, abs=0.02) and 0.08 < temp.std() < 0.13
    assert np.allclose(temp * 10.0, np.round(temp * 10.0))
    assert 8.0 < _values(readings, "co2").std() < 12.0
    assert len(_values(readings, "t2")) == 100


def test_directions_go_round() -> None:
    found = _values(_run(), "dir")
    assert (found >= 0.0).all() and (found <= 360.0).all() and found.min() < 10.0 and found.max() > 350.0


def test_a_slow_sensor_lags() -> None:
    sensors = Sensors(SPECS, QUANTITIES, (), seed=1)
    seen = [r for minute in range(41) for r in sensors.read(minute * 60.0, 60.0, [10.0 if minute == 0 else 20.0, 800.0, 0.0], True)]
    at = {r.t_s: r.value for r in seen if r.sensor == "t2"}
    assert at[600.0] == pytest.approx(20.0 - 10.0 * np.exp(-1.0), abs=0.5) and at[2400.0] == pytest.approx(19.8, abs=0.5)


def test_missed_scans_have_their_share() -> None:
    specs = {"t1": SPECS["t1"].model_copy(update={"dropout": 0.3})}
    assert 0.6 < len(_values(_run(specs=specs), "t1")) / 500 < 0.8


def test_bias_begins_and_ends_on_time() -> None:
    temp = _values(_run((Failure(kind="sensor_bias", subject="t1", from_s=6000.0, until_s=12000.0, size=2.0),)), "t1")
    assert temp[:100].mean() == pytest.approx(20.0, abs=0.05)
    assert temp[100:200].mean() == pytest.approx(22.0, abs=0.05)
    assert temp[200:].mean() == pytest.approx(20.0, abs=0.05)


def test_failures_do_not_change_the_other_numbers() -> None:
    plain, failed = _run(), _run((Failure(kind="sensor_bias", subject="t1", size=2.0), Failure(kind="sensor_dead", subject="co2")))
    assert np.array_equal(_values(plain, "dir"), _values(failed, "dir"))
    assert np.allclose(_values(failed, "t1") - _values(plain, "t1"), 2.0, atol=0.11)


def test_a_dead_sensor_answers_without_a_number() -> None:
    found = [r for r in _run((Failure(kind="sensor_dead", subject="co2", from_s=6000.0),)) if r.sensor == "co2"]
    assert all(r.value is not None and r.status == 0 for r in found[:100])
    assert all(r.value is None and r.status == 1 and r.quality == "bad" for r in found[100:])


def test_flat_spikes_and_gaps() -> None:
    flat = _values(_run((Failure(kind="sensor_flat", subject="t1", from_s=6000.0),)), "t1")
    assert len(set(flat[100:])) == 1 and len(set(flat[:100])) > 2
    spikes = _values(_run((Failure(kind="sensor_spikes", subject="t1", size=8.0),)), "t1")
    assert 0.002 < (spikes > 25.0).mean() < 0.06
    assert 0.2 < len(_values(_run((Failure(kind="sensor_gaps", subject="t1", size=0.7),)), "t1")) / 500 < 0.4


def test_without_power_they_are_silent_and_random_numbers_go_on() -> None:
    cut, whole = (Sensors(SPECS, QUANTITIES, (), seed=4) for _ in range(2))
    for minute in range(300):
        lit = cut.read(minute * 60.0, 60.0, [20.0, 800.0, 0.0], powered=not 100 <= minute < 160)
        assert (lit == []) == (100 <= minute < 160)
        reference = whole.read(minute * 60.0, 60.0, [20.0, 800.0, 0.0], powered=True)
        assert lit in ([], reference)


def test_a_sensor_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="'t9': there are t1"):
        Sensors(SPECS, QUANTITIES, (Failure(kind="sensor_dead", subject="t9"),), seed=1)
    with pytest.raises(ValueError, match="'moon_c'"):
        Sensors({"m": SensorSpec(quantity="moon_c", resolution=1.0, every_s=60.0)}, QUANTITIES, (), seed=1)


def test_failures_need_a_subject_and_an_order_of_times() -> None:
    with pytest.raises(ValueError, match="name the sensor or device"):
        Failure(kind="sensor_dead")
    with pytest.raises(ValueError, match="until_s 5 is not after"):
        Failure(kind="blackout", from_s=9.0, until_s=5.0)


def test_the_shipped_site_has_what_the_picture_names() -> None:
    found = [spec.quantity for spec in site_spec().sensors.values()]
    assert found.count("air_temp_c") == 3
    wanted = {"air_rh_pct", "co2_ppm", "par_umol_m2_s", "pipe_temp_c", "leaf_temp_c", "substrate_wc_pct", "substrate_ec_ds_m", "substrate_ph",
              "drain_pct", "flow_l_min", "tank_level_pct", "out_temp_c", "out_rh_pct", "out_solar_w_m2", "wind_m_s", "wind_dir_deg", "rain_mm_h"}  # fmt: skip
    assert wanted <= set(found)
