"""Weather by time, and made up from a climate: its months match the site's, it varies as weather does, and a seed decides it."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world import solar
from sdx_domains.farm.world.climate import generate, site, sites
from sdx_domains.farm.world.weather import RANGES, WEATHER_NAMES, Weather


def _ramp() -> Weather:
    rows = np.zeros((4, v.WEATHER))
    rows[:, v.OUT_TEMP_C] = [0.0, 10.0, 20.0, 30.0]
    rows[:, v.WIND_DIR_DEG] = [350.0, 10.0, 20.0, 30.0]
    return Weather(datetime(2026, 3, 1, tzinfo=UTC), 52.0, 5.0, 1.0, 600.0, rows)


def test_between_rows_it_is_linear_and_the_direction_is_the_nearest() -> None:
    weather = _ramp()
    assert weather.at(150.0)[v.OUT_TEMP_C] == pytest.approx(2.5)
    assert weather.at(150.0)[v.WIND_DIR_DEG] == 350.0  # not 265, the mean of 350 and 10
    assert weather.at(450.0)[v.WIND_DIR_DEG] == 10.0
    assert weather.at(-99.0)[v.OUT_TEMP_C] == 0.0
    assert weather.at(1e9)[v.OUT_TEMP_C] == 30.0


def test_asking_does_not_change_the_table() -> None:
    weather = _ramp()
    weather.at(0.0)[:] = 99.0
    assert weather.rows[0, v.OUT_TEMP_C] == 0.0


def test_hourly_is_the_mean_about_the_hour() -> None:
    weather = generate("nl", date(2026, 6, 1), 2, seed=1)
    table = weather.hourly(12 * 3600.0, 3)
    low, high = (11 * 3600 + 1800) // 300, (12 * 3600 + 1800) // 300
    assert table[0, v.SOLAR_W_M2] == pytest.approx(weather.rows[low : high + 1, v.SOLAR_W_M2].mean())
    assert table.shape == (3, v.WEATHER)


def test_local_hour_counts_from_local_midnight() -> None:
    weather = generate("jeonju", date(2026, 3, 1), 1, seed=0)
    assert weather.local_hour(0.0) == pytest.approx(0.0)
    assert weather.local_hour(26.5 * 3600.0) == pytest.approx(2.5)
    assert weather.start == datetime(2026, 2, 28, 15, tzinfo=UTC)


@pytest.mark.parametrize("name", list(sites()))
def test_each_month_is_like_the_climate(name: str) -> None:
    place = site(name)
    years = np.stack([generate(name, date(2025, 1, 1), 365, seed, step_s=1800.0).rows[:-1] for seed in range(4)])
    for month in range(12):
        rows = years[:, round(month * 365 / 12 * 48) : round((month + 1) * 365 / 12 * 48)]
        assert rows[..., v.OUT_TEMP_C].mean() == pytest.approx(place.temp_c[month], abs=3.0)
        assert rows[..., v.SOLAR_W_M2].mean() * 0.0864 == pytest.approx(place.solar_mj_m2[month], rel=0.3)
        assert rows[..., v.OUT_RH_PCT].mean() == pytest.approx(place.rh_pct[month], abs=8.0)
        assert rows[..., v.WIND_M_S].mean() == pytest.approx(place.wind_m_s[month], rel=0.25)
    assert years[..., v.OUT_TEMP_C].mean() == pytest.approx(np.mean(place.temp_c), abs=0.6)
    assert years[..., v.RAIN_MM_H].mean() * 8766.0 == pytest.approx(sum(place.rain_mm), rel=0.35)


def test_days_differ_from_each_other_and_clouds_pass() -> None:
    rows = generate("nl", date(2026, 4, 1), 30, seed=3).rows[:-1].reshape(30, 288, v.WEATHER)
    daily = rows[..., v.SOLAR_W_M2].mean(axis=1)
    assert daily.max() > 3.0 * daily.min()
    assert 1.5 < rows[..., v.OUT_TEMP_C].mean(axis=1).std() < 5.0
    noon = rows[:, 132:156, v.SOLAR_W_M2]
    assert np.abs(np.diff(noon, axis=1)).mean() > 15.0
    assert np.corrcoef(daily[:-1], daily[1:])[0, 1] > -0.3


def test_clear_days_swing_more_than_dull_ones() -> None:
    rows = generate("nl", date(2026, 5, 1), 60, seed=5).rows[:-1].reshape(60, 288, v.WEATHER)
    swing, light = np.ptp(rows[..., v.OUT_TEMP_C], axis=1), rows[..., v.SOLAR_W_M2].mean(axis=1)
    assert np.corrcoef(swing, light)[0, 1] > 0.3


def test_every_value_can_be_true() -> None:
    rows = generate("seoul", date(2026, 1, 1), 365, seed=9).rows
    assert np.isfinite(rows).all()
    for place, name in enumerate(WEATHER_NAMES):
        low, high = RANGES[name]
        assert low <= rows[:, place].min() and rows[:, place].max() <= high, name
    assert (rows[:, v.SKY_TEMP_C] <= rows[:, v.OUT_TEMP_C] + 0.01).all()


def test_the_sun_is_down_at_night_and_high_in_june() -> None:
    weather = generate("nl", date(2026, 6, 21), 1, seed=0)
    hours = np.array([weather.local_hour(i * 300.0) for i in range(288)])
    assert (weather.rows[:288][(hours > 0.5) & (hours < 3.0), v.SOLAR_W_M2] == 0.0).all()
    cosine = solar.cos_zenith(weather.start, np.array([(12.0 - 5.18 / 15.0 + 1.0) * 3600.0]), 52.1, 5.18)
    assert np.degrees(np.arccos(cosine[0])) == pytest.approx(52.1 - 23.44, abs=0.3)  # solar noon at midsummer


def test_a_seed_decides_and_another_differs() -> None:
    first = generate("nl", date(2026, 3, 1), 3, seed=1)
    assert np.array_equal(first.rows, generate("nl", date(2026, 3, 1), 3, seed=1).rows)
    assert not np.allclose(first.rows, generate("nl", date(2026, 3, 1), 3, seed=2).rows)


def test_unknown_sites_and_no_days_are_told() -> None:
    with pytest.raises(KeyError, match="there are nl, jeonju"):
        generate("mars", date(2026, 3, 1), 3, seed=1)
    with pytest.raises(ValueError, match="0 days"):
        generate("nl", date(2026, 3, 1), 0, seed=1)
