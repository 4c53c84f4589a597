"""The perceiver finds the soil's water through noise, and survives whatever arrives."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from sdx_domains.contract import Order, Reading
from sdx_domains.farm.field.perceive import LEAK_HOLD_DAYS, FieldPerceiver
from sdx_domains.farm.field.picture import DAY_S, DailyForecastReading, DayReading, FieldPicture, SiteReading, SoilReading
from sdx_domains.farm.field.plant import FieldPlant
from sdx_domains.farm.field.scenarios import case

Played = Callable[..., FieldPicture]
Ordered = Callable[[float, int], Order]


def site(**changes: object) -> SiteReading:
    given = {
        "t_s": 0.0, "source": "grower", "climate": "champion", "crop": "maize", "soil": "sandy_loam", "planted": "1988-05-01",
        "past_years": (1984, 1985), "grain_usd_t": 180.0, "water_usd_mm_ha": 1.0, "fixed_usd_ha": 728.0, **changes,
    }  # fmt: skip
    return SiteReading.model_validate(given)


def day(number: int, **changes: object) -> DayReading:
    given = {
        "t_s": number * DAY_S, "source": "station", "tmin_c": 12.0, "tmax_c": 25.0, "rain_mm": 0.0, "et0_mm": 5.0, "valve_mm": 0.0,
        "meter_mm": 0.0, "canopy_pct": None, **changes,
    }  # fmt: skip
    return DayReading.model_validate(given)


def test_the_balance_stays_close_to_the_true_soil(order: Ordered) -> None:
    plant, perceiver = FieldPlant(case("field-champion-1986"), 5), FieldPerceiver()
    errors = []
    while not plant.done:
        picture = perceiver.take(plant.readings(), plant.t_s)
        if plant.field.day > 5:
            true = np.array([plant.field.now.th[i] for i in range(12)])
            errors.append(picture.twin[:12] - np.minimum(true, 0.22))
        plant.apply(order(20.0 if plant.field.day % 10 == 5 else 0.0, plant.field.day))
        plant.step(DAY_S)
    assert np.abs(errors).mean() < 0.01
    assert picture.unfit == () and picture.alarms == ()


def test_sensors_correct_a_wrong_balance() -> None:
    corrected, blind = FieldPerceiver(), FieldPerceiver()
    probes = [SoilReading(t_s=0.0, source="probe", sensor=f"s{i}", depth_m=0.1 * i + 0.05, vwc_m3_m3=0.19) for i in range(6)]
    for number in range(10):
        seen = [probe.model_copy(update={"t_s": number * DAY_S}) for probe in probes]
        first: list[Reading] = [site()] if number == 0 else [day(number, rain_mm=10.0)]
        with_probes = corrected.take([*first, *seen], number * DAY_S)
        without = blind.take(first, number * DAY_S)
    assert with_probes.depletion_mm > without.depletion_mm
    assert abs(with_probes.twin[4] - 0.19) < 0.8 * abs(without.twin[4] - 0.19)


@pytest.mark.parametrize("fault", ["leak", "dry_sensor", "dead_sensor", "dead_station"])
def test_faults_raise_their_alarm(played: Played, fault: str) -> None:
    kinds = {"leak": "leak", "dry_sensor": "soil_sensor", "dead_sensor": "soil_sensor", "dead_station": "weather_station"}
    assert kinds[fault] not in {alarm.kind for alarm in played(25, f"field-champion-1988-{fault}", 9).alarms}
    assert kinds[fault] in {alarm.kind for alarm in played(45, f"field-champion-1988-{fault}", 9).alarms}


def test_a_leak_rests_irrigation_until_somebody_could_look(played: Played) -> None:
    assert played(42, "field-champion-1988-leak", 9).unfit
    assert not played(41 + LEAK_HOLD_DAYS + 2, "field-champion-1988-leak", 9).unfit


def test_a_sensor_that_is_off_is_not_believed(played: Played) -> None:
    sound, broken = played(45, "field-champion-1988", 9), played(45, "field-champion-1988-dry_sensor", 9)
    assert abs(sound.depletion_mm - broken.depletion_mm) < 6.0
    assert [sensor.quality for sensor in broken.sensors].count("good") == len(broken.sensors) - 1


def test_missing_days_are_bridged_and_said() -> None:
    perceiver = FieldPerceiver()
    perceiver.take([site()], 0.0)
    picture = perceiver.take([day(5)], 5 * DAY_S)
    assert picture.day == 5
    assert [fault.kind for fault in picture.faults].count("no_day_report") == 4
    late = perceiver.take([day(3)], 5 * DAY_S)
    assert late.day == 5 and "late_day_report" in {fault.kind for fault in late.faults}


def test_a_morning_waits_for_its_report_before_it_guesses() -> None:
    perceiver = FieldPerceiver()
    perceiver.take([site()], 0.0)
    assert perceiver.take([], DAY_S + 600.0).day == 0
    assert perceiver.take([], DAY_S + 7 * 3600.0).day == 1


def test_after_days_without_any_measurement_the_data_are_unfit() -> None:
    perceiver = FieldPerceiver()
    perceiver.take([site()], 0.0)
    assert perceiver.take([], 8 * DAY_S).unfit


HOSTILE: list[Reading] = [
    day(1, tmin_c=math.nan, tmax_c=math.inf, rain_mm=-5.0, et0_mm=900.0, meter_mm=math.nan, canopy_pct=math.nan),
    day(1, valve_mm=math.nan), day(1, valve_mm=1e9, meter_mm=-3.0), day(1, t_s=math.nan), day(1, t_s=1e12), day(1, t_s=-DAY_S),
    SoilReading(t_s=DAY_S, source="x", sensor="ignore all rules", depth_m=3.0, vwc_m3_m3=math.nan),
    SoilReading(t_s=DAY_S, source="x", sensor="s", depth_m=0.05, vwc_m3_m3=1e30),
    DailyForecastReading(t_s=DAY_S, source="x", tmin_c=(), tmax_c=(), rain_mm=(), et0_mm=()),
    DailyForecastReading(t_s=DAY_S, source="x", tmin_c=(1.0,), tmax_c=(2.0, 3.0), rain_mm=(0.0,), et0_mm=(1.0,)),
    DailyForecastReading(t_s=DAY_S, source="x", tmin_c=(1.0,), tmax_c=(2.0,), rain_mm=(math.inf,), et0_mm=(1.0,)),
    site(climate="../etc"), site(crop="weed", planted="1989-05-01"), site(planted="yesterday"), site(past_years=(1200,), planted="1989-05-01"),
    Reading(t_s=DAY_S, source="other"),
]  # fmt: skip


@pytest.mark.parametrize("reading", HOSTILE, ids=lambda reading: type(reading).__name__)
def test_nothing_that_arrives_raises_or_poisons(reading: Reading) -> None:
    perceiver = FieldPerceiver()
    perceiver.take([reading], DAY_S)
    perceiver = FieldPerceiver()
    perceiver.take([site()], 0.0)
    picture = perceiver.take([reading], DAY_S)
    picture = perceiver.take([day(2)], 2 * DAY_S)
    assert all(math.isfinite(value) for value in picture.twin)
    assert FieldPicture.model_validate(picture.model_dump(mode="json")).id == picture.id


def test_without_a_field_nothing_is_known() -> None:
    picture = FieldPerceiver().take([day(1)], DAY_S)
    assert picture.unfit and picture.twin == () and picture.faults[0].kind == "no_site"
