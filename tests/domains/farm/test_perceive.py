"""Readings in, facts out: what is believed, derived, counted and said to be wrong; and nothing that arrives brings the perceiver down."""

import time
from math import inf, isfinite, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import USUAL, clock, crop, forecast, house, picture_of, prices, sensed

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_domains.farm.beliefs import believable
from sdx_domains.farm.greenhouse.state import AIR_C
from sdx_domains.farm.perceive import GreenhousePerceiver, NotEnoughData
from sdx_domains.farm.picture import CropReading, FarmPicture, ForecastReading


def begun(**values: float) -> GreenhousePerceiver:
    perceiver = GreenhousePerceiver()
    perceiver.take([clock(), crop(), forecast(), prices(), *house(0.0, {**USUAL, **values})], 0.0)
    return perceiver


def watched(perceiver: GreenhousePerceiver, ticks: int, **values: float) -> FarmPicture:
    """The picture after so many ticks of 300 s with these values."""
    return [perceiver.take(house(300.0 * i, {**USUAL, **values}), 300.0 * i) for i in range(1, ticks + 1)][-1]


def kinds(picture: FarmPicture) -> set[str]:
    return {fault.kind for fault in picture.faults}


def test_without_date_and_place_there_is_no_picture() -> None:
    with pytest.raises(NotEnoughData, match="ClockReading"):
        GreenhousePerceiver().take(house(0.0), 0.0)
    with pytest.raises(ValueError, match="finite"):
        GreenhousePerceiver().take([], nan)


def test_a_house_in_order_is_believed_as_it_says() -> None:
    picture = begun().take(house(300.0), 300.0)
    assert picture.measured["air_temp_c"].value == pytest.approx(20.0, abs=0.021) and picture.measured["air_temp_c"].source == "median of 3"
    assert picture.value("vpd_kpa") == pytest.approx(0.585, abs=0.01)  # FAO 56: 2.338 kPa saturated at 20 C, 75 %
    assert picture.value("dew_point_c") == pytest.approx(15.4, abs=0.1)
    assert picture.utc == "2026-03-01T09:05:00Z" and picture.hour == pytest.approx(10.0833, abs=1e-3) and picture.daylight
    assert picture.faults == () and len(picture.twin) > 0 and picture.forecast is not None and picture.prices is not None


def test_a_sensor_that_stands_apart_is_outvoted() -> None:
    perceiver = begun()
    readings = [*house(300.0, {"air_temp_c": 20.0}), sensed(301.0, "air_temp_c", 24.0, "air_temp_c_3")]
    picture = perceiver.take(readings, 300.0)
    found = picture.measured["air_temp_c"]
    assert found.value == pytest.approx(20.05, abs=0.021) and found.quality == "good"
    assert any(fault.kind == "sensor_apart" and fault.detail.startswith("air_temp_c_3") for fault in picture.faults)


def test_a_sensor_that_lies_flat_or_jumps_is_found_out() -> None:
    perceiver = begun()
    picture = watched(perceiver, 8)
    flat = perceiver.take([sensed(2401.0 + 60 * k, "air_rh_pct", 71.0) for k in range(1, 40)], 4800.0)
    assert "sensor_flat" in kinds(flat) and flat.measured["air_rh_pct"].source == "estimate"
    jump = perceiver.take([sensed(5000.0, "leaf_temp_c", 20.0), sensed(5060.0, "leaf_temp_c", 31.0)], 5060.0)
    assert "sensor_jump" in kinds(jump) and jump.measured["leaf_temp_c"].quality == "suspect"
    assert "sensor_flat" not in kinds(picture)


def test_two_that_differ_are_suspect() -> None:
    perceiver = GreenhousePerceiver(site=clock())
    picture = perceiver.take([sensed(0.0, "co2_ppm", 500.0, "a"), sensed(0.0, "co2_ppm", 900.0, "b")], 0.0)
    assert picture.measured["co2_ppm"].quality == "suspect" and "sensors_disagree" in kinds(picture)


def test_old_words_turn_bad_and_are_forgotten() -> None:
    perceiver = begun()
    stale = perceiver.take([], believable()["co2_ppm"].stale_s + 60.0)
    assert stale.measured["co2_ppm"].quality == "bad" and stale.value("co2_ppm") is None
    assert stale.measured["air_temp_c"].source == "estimate" and stale.measured["air_temp_c"].quality == "suspect"
    gone = perceiver.take([], 7 * 3600.0)
    assert "co2_ppm" not in gone.measured


def test_a_dead_co2_sensor_is_never_replaced_by_an_estimate() -> None:
    perceiver = begun()
    picture = perceiver.take([*house(300.0, {"air_temp_c": 20.0}), sensed(300.0, "co2_ppm", None, status=1)], 300.0)
    assert picture.value("co2_ppm") is None and "sensor_not_ready" in kinds(picture)
    assert picture.salience != begun().take(house(300.0), 300.0).salience


@pytest.mark.parametrize(
    ("reading", "kind"),
    [
        (sensed(300.0, "air_temp_c", 293.15), "absurd_value"),  # kelvin
        (sensed(300.0, "air_rh_pct", 750.0), "absurd_value"),
        (sensed(300.0, "air_temp_c", nan), "absurd_value"),
        (sensed(9000.0, "air_temp_c", 20.0), "future_stamp"),
        (sensed(inf, "air_temp_c", 20.0), "bad_stamp"),
        (sensed(300.0, "colour", 3.0), "unknown_quantity"),
        (ActuatorReading(t_s=300.0, source="test", device="vent_lee", position_pct=10.0, status=1), "actuator_fault"),
        (clock(300.0, "first of March"), "bad_clock"),
        (CropReading(t_s=300.0, source="test", crop="tomato", planted_s=9e9, stage="fruiting"), "bad_crop"),
        (forecast(300.0, temp_c=(nan,) * 72), "empty_outlook"),
        (Reading(t_s=300.0, source="test"), "unknown_reading"),
    ],
)
def test_what_is_wrong_becomes_a_fault_and_changes_nothing(reading: Reading, kind: str) -> None:
    perceiver, beside = begun(), begun()
    picture, plain = perceiver.take([*house(300.0), reading], 300.0), beside.take(house(300.0), 300.0)
    assert kind in kinds(picture) and plain.faults == ()
    assert picture.measured == plain.measured and picture.forecast == plain.forecast and picture.crop == plain.crop


def test_duplicates_and_late_words_do_no_harm() -> None:
    perceiver, beside = begun(), begun()
    twice = [*house(300.0), *house(300.0), *house(60.0, {"air_temp_c": 5.0})]
    assert perceiver.take(twice, 300.0).measured == beside.take(house(300.0), 300.0).measured


def test_a_forecast_is_used_up_to_its_first_absurd_hour() -> None:
    perceiver = begun()
    temps = [5.0] * 10 + [500.0] + [5.0] * 61
    picture = perceiver.take([forecast(60.0, temp_c=temps)], 300.0)
    assert picture.forecast is not None and len(picture.forecast.temp_c) == 10 and "absurd_outlook" in kinds(picture)


def test_light_warmth_and_starts_are_counted() -> None:
    perceiver = begun()
    pictures = [perceiver.take(house(300.0 * i, position_pct=50.0 * (i % 2)), 300.0 * i) for i in range(1, 25)]
    picture = pictures[-1]
    assert picture.crop.dli_mol_m2 == pytest.approx(200.0 * 7200 * 1e-6, rel=0.01)
    assert picture.crop.gdd_cd == pytest.approx(10.0 * 2 / 24, rel=0.01) and picture.crop.temp_24h_c == pytest.approx(20.0, abs=0.02)
    assert picture.crop.days_after_planting == pytest.approx(80.083, abs=0.01)
    lamps = next(device for device in picture.actuators if device.device == "lamps")
    assert lamps.starts_today == 12 and lamps.runtime_s == 3600.0
    assert picture.counters.elec_kwh_m2 > 0.0


def test_salience_is_coarse() -> None:
    perceiver = begun()
    said = [perceiver.take(house(300.0 * i, {**USUAL, "air_temp_c": 20.0 + 0.1 * (i % 7)}), 300.0 * i).salience for i in range(1, 60)]
    assert len(set(said)) == 1
    frost = perceiver.take([forecast(18000.0, temp_c=-4.0)], 18000.0).salience
    assert frost != said[-1] and "frost" in frost
    again = perceiver.take([forecast(18300.0, temp_c=-4.1)], 18300.0).salience
    assert again == frost
    manual = [ActuatorReading(t_s=18600.0, source="test", device="vent_lee", position_pct=0.0, right="MANUAL")]
    assert perceiver.take(manual, 18600.0).salience != frost


def test_the_clock_may_be_set_back() -> None:
    perceiver = begun()
    perceiver.take(house(3600.0), 3600.0)
    picture = perceiver.take(house(1800.0), 1800.0)
    assert "clock_jump" in kinds(picture) and picture.value("air_temp_c") == pytest.approx(20.0, abs=0.021)
    assert picture.measured["air_temp_c"].age_s == 0.0


def test_a_leak_is_an_alarm_where_the_valve_is_watched_closely() -> None:
    def running(t_s: float) -> list[Reading]:
        return [*house(t_s), sensed(t_s, "flow_l_min", 60.0)]

    closely, from_afar = begun(), begun()
    leak = [closely.take(running(60.0 * i), 60.0 * i) for i in range(1, 6)][-1]
    assert [alarm.kind for alarm in leak.alarms if alarm.severity == "critical"] == ["leak"] and "leak" in leak.salience
    shots = [from_afar.take(running(300.0 * i), 300.0 * i) for i in range(1, 6)][-1]
    assert "leak" not in {alarm.kind for alarm in shots.alarms}


def test_the_same_readings_give_the_same_picture() -> None:
    one, two = picture_of(6.0), picture_of(6.0)
    assert one == two and one.id == two.id
    assert FarmPicture.model_validate(one.model_dump(mode="json")) == one


def test_the_twin_follows_what_is_measured() -> None:
    perceiver = begun()
    picture = watched(perceiver, 48, air_temp_c=26.0, air_rh_pct=60.0)
    blind = perceiver.take(house(300.0 * 49, {"out_temp_c": 8.0}), 300.0 * 49 + 900.0)
    assert picture.measured["air_temp_c"].source == "median of 3"
    assert abs(picture.twin[AIR_C] - 26.0) < 4.0  # a house that nobody heats would be near the 8 C outside
    assert blind.measured["air_temp_c"].source == "estimate" and 8.0 < blind.measured["air_temp_c"].value < 26.0


def test_it_is_fast_enough_for_a_closed_loop() -> None:
    perceiver = begun()
    batches = [[reading for k in range(5) for reading in house(300.0 * i + 60.0 * k)] for i in range(1, 41)]
    perceiver.take(batches[0], 600.0)  # compiled by now
    began = time.perf_counter()
    for i, batch in enumerate(batches[1:]):
        perceiver.take(batch, 900.0 + 300.0 * i)
    assert (time.perf_counter() - began) / 39 < 0.01  # 0.5 ms where nothing else runs


numbers = st.one_of(st.floats(), st.sampled_from([nan, inf, -inf, 0.0, 1e30, -1e30, 20.0, 293.15]))
times = st.one_of(st.floats(0.0, 2000.0), st.sampled_from([nan, inf, -1e12, 1e12]))
quantities = st.one_of(st.sampled_from(sorted(believable())), st.text(max_size=8))
hostile = st.one_of(
    st.builds(
        SensorReading,
        t_s=times, source=st.just("x"), sensor=st.text(max_size=6), quantity=quantities, value=st.none() | numbers,
        status=st.integers(-5, 1000), quality=st.sampled_from(["good", "suspect", "bad"]),
    ),
    st.builds(
        ActuatorReading.model_construct,
        t_s=times, source=st.just("x"), device=st.text(max_size=6), position_pct=st.none() | numbers, status=st.integers(-5, 1000),
        right=st.sampled_from(["LOCAL", "REMOTE", "MANUAL"]), opid=st.just(0), remaining_s=numbers,
    ),
    st.builds(
        ForecastReading,
        t_s=times, source=st.just("x"),
        **{name: st.lists(numbers, max_size=5).map(tuple) for name in ("solar_w_m2", "temp_c", "rh_pct", "wind_m_s", "rain_mm_h")},
    ),
    st.builds(CropReading, t_s=times, source=st.just("x"), crop=st.text(max_size=5), planted_s=numbers, stage=st.just("fruiting")),
    st.builds(Reading, t_s=times, source=st.text(max_size=5)),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(hostile, max_size=8), min_size=1, max_size=4))
def test_nothing_that_arrives_brings_it_down(batches: list[list[Reading]]) -> None:
    perceiver = begun()
    for i, batch in enumerate(batches):
        picture = perceiver.take(batch, 300.0 * (i + 1))
        again = FarmPicture.model_validate(picture.model_dump(mode="json"))
        assert again == picture and again.id == picture.id
        assert all(isfinite(found.value) and found.age_s >= 0.0 for found in picture.measured.values())
        assert all(isfinite(value) for value in picture.twin)
