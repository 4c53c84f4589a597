"""A forecast is the truth with an error that grows ahead, lasts from issue to issue, and is another when the service is wrong."""

from datetime import date

import numpy as np

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.forecast import Forecaster

WEATHER = generate("nl", date(2026, 3, 1), 120, seed=1)
ISSUES = [hour * 3600.0 for hour in range(0, 24 * 110, 12)]


def _temperature_errors(seed: int = 5) -> np.ndarray:
    service = Forecaster(WEATHER, seed)
    return np.array([np.array(service.issue(t).temp_c) - WEATHER.hourly(t, 72)[:, v.OUT_TEMP_C] for t in ISSUES])


def test_errors_grow_with_the_hours_ahead() -> None:
    spread = _temperature_errors().std(axis=0)
    assert 0.2 < spread[0] < 0.7 < spread[24] < 1.5
    assert spread[24] < spread[70] < 2.6


def test_errors_last_along_the_hours_and_from_issue_to_issue() -> None:
    errors = _temperature_errors()
    assert np.corrcoef(errors[:, 30], errors[:, 33])[0, 1] > 0.5
    assert np.corrcoef(errors[1:, 30], errors[:-1, 42])[0, 1] > 0.3  # the same hour, said twelve hours earlier


def test_between_two_runs_the_words_stay() -> None:
    service = Forecaster(WEATHER, 5)
    first, later = service.issue(6 * 3600.0), service.issue(8 * 3600.0)
    assert np.allclose(first.temp_c[2:], later.temp_c[:-2], atol=0.011)


def test_the_sun_never_shines_at_night_nor_above_clear_sky() -> None:
    told = np.array(Forecaster(WEATHER, 2).issue(0.0, wrong=1.0).solar_w_m2)
    truth = WEATHER.hourly(0.0, 72)[:, v.SOLAR_W_M2]
    assert (told[truth == 0.0] == 0.0).all() and told.max() < 900.0 and told.min() >= 0.0


def test_a_wrong_service_is_too_warm_and_too_sunny() -> None:
    service = Forecaster(WEATHER, 2)
    good, wrong = service.issue(86400.0), service.issue(86400.0, wrong=1.0)
    assert np.allclose(np.array(wrong.temp_c) - np.array(good.temp_c), 4.0, atol=0.02)
    assert sum(wrong.solar_w_m2) > 1.2 * sum(good.solar_w_m2)


def test_rain_is_missed_now_and_then() -> None:
    service = Forecaster(WEATHER, 2)
    told = np.array([service.issue(t).rain_mm_h[48:] for t in ISSUES])
    truth = np.array([WEATHER.hourly(t, 72)[48:, v.RAIN_MM_H] for t in ISSUES])
    missed = ((truth > 0.05) & (told == 0.0)).sum() / (truth > 0.05).sum()
    assert 0.05 < missed < 0.5
    assert ((truth <= 0.05) & (told > 0.0)).any()


def test_the_end_of_the_weather_is_no_end_of_the_forecast() -> None:
    told = Forecaster(WEATHER, 2).issue(WEATHER.end_s - 3600.0)
    assert len(told.temp_c) == 72 and np.isfinite(told.temp_c).all() and max(told.solar_w_m2) > 0.0


def test_same_seed_and_time_same_words() -> None:
    assert Forecaster(WEATHER, 7).issue(7200.0) == Forecaster(WEATHER, 7).issue(7200.0)
    assert Forecaster(WEATHER, 7).issue(7200.0) != Forecaster(WEATHER, 8).issue(7200.0)
