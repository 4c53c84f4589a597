"""Detectors: a drift is found, noise is not; flat and jumping sensors are named."""

import numpy as np
import pytest

from sdx_domains.equipment import SensorReading
from sdx_domains.farm.control.detect import PageHinkley, SensorWatch


def test_page_hinkley_finds_a_drift_and_not_the_noise():
    rng, quiet, drifting = np.random.default_rng(1), PageHinkley(1.5, 12.0), PageHinkley(1.5, 12.0)
    assert not any(quiet.found(float(error)) for error in rng.normal(0.0, 1.0, 2_000))
    found = [drifting.found(float(error)) for error in rng.normal(4.0, 1.0, 24)]
    assert found.index(True) <= 8
    assert not drifting.found(float("nan")) or drifting.excess > 12.0


def reading(t_s, value, quantity="air_temp_c", sensor="air_temp_1"):
    return SensorReading(t_s=t_s, source="test", sensor=sensor, quantity=quantity, value=value)


def test_a_flat_sensor_is_found_after_half_an_hour():
    watch = SensorWatch()
    said = [watch.look(reading(60.0 * minute, 18.3))[0] for minute in range(40)]
    assert said[:30] == [""] * 30 and set(said[30:]) == {"sensor_flat"}
    assert watch.look(reading(2_460.0, 18.4)) == ("", "")


@pytest.mark.parametrize(("quantity", "value"), [("rain_mm_h", 0.0), ("air_rh_pct", 100.0), ("co2_ppm", 5000.0), ("out_solar_w_m2", 0.0)])
def test_what_may_stand_still_may(quantity, value):
    watch = SensorWatch()
    assert {watch.look(reading(60.0 * minute, value, quantity))[0] for minute in range(60)} == {""}


def test_a_jump_is_found_and_believed_again_after_a_while():
    watch = SensorWatch()
    said = [watch.look(reading(60.0 * minute, 18.0 + 0.1 * (minute % 2) + 8.0 * (minute >= 10)))[0] for minute in range(20)]
    assert said.index("sensor_jump") == 10 and said[-1] == ""
    watch.shift(-600.0)
    assert watch.look(reading(60.0 * 19 - 600.0 + 60.0, 26.0)) == ("", "")
