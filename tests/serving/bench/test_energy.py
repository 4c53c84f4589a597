"""Machines that tell their energy, as files below another root."""

import time
from pathlib import Path

import pytest

from sdx_serving.bench.energy import energy_meter
from sdx_serving.devices.hardware import Root


def test_processor_packages_are_added_up_also_when_a_counter_begins_anew(tmp_path: Path) -> None:
    packages = [tmp_path / f"sys/class/powercap/intel-rapl:{number}" for number in (0, 1)]
    for package in packages:
        package.mkdir(parents=True)
        (package / "energy_uj").write_text("9000000\n")
        (package / "max_energy_range_uj").write_text("10000000\n")
    joules = energy_meter(Root(tmp_path))
    assert joules is not None
    assert joules() == 0.0
    (packages[0] / "energy_uj").write_text("9500000\n")
    assert joules() == pytest.approx(0.5)
    (packages[1] / "energy_uj").write_text("250000\n")
    assert joules() == pytest.approx(0.5 + 1.25)


def test_a_board_s_input_is_integrated(tmp_path: Path) -> None:
    sensor = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    sensor.mkdir(parents=True)
    for number, label in ((1, "VDD_CPU"), (2, "VDD_IN")):
        (sensor / f"in{number}_label").write_text(f"{label}\n")
        (sensor / f"in{number}_input").write_text("5000\n")
        (sensor / f"curr{number}_input").write_text(f"{number}000\n")
    joules = energy_meter(Root(tmp_path))
    assert joules is not None
    began_s = time.monotonic()
    time.sleep(0.2)
    told = joules()
    assert 0.2 * 10 <= told <= 10 * (time.monotonic() - began_s) + 0.5, "5 V and 2 A are 10 W"


def test_a_machine_that_tells_nothing_has_no_meter(tmp_path: Path) -> None:
    assert energy_meter(Root(tmp_path)) is None
