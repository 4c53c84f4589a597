"""Tariffs: shape of day and week, scarcity, and what is known ahead."""

from datetime import date

import numpy as np
import pytest

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.prices import prices, regimes

WEATHER = generate("nl", date(2026, 3, 2), 60, seed=1)  # a Monday


def _electricity(regime: str, seed: int = 1) -> np.ndarray:
    return prices(regime, WEATHER, seed).rows[: 60 * 24, v.ELEC_EUR_KWH].reshape(60, 24)


@pytest.mark.parametrize("regime", regimes())
def test_evenings_are_dearer_than_nights(regime: str) -> None:
    hours = _electricity(regime).mean(axis=0)
    assert hours[18:21].mean() > 1.15 * hours[1:5].mean()


def test_noon_is_cheap_on_sunny_days_and_weekends_are_quiet() -> None:
    table = _electricity("dear")
    sun = WEATHER.rows[: 60 * 288, v.SOLAR_W_M2].reshape(60, 288).mean(axis=1)
    ratio = table[:, 12:15].mean(axis=1) / table.mean(axis=1)
    assert np.corrcoef(ratio, sun)[0, 1] < -0.3
    level = np.array([table[day::7].mean() for day in range(7)])
    assert level[5:].mean() < level[:5].mean()


def test_scarce_days_stand_out_in_the_dear_regime_only() -> None:
    peaks = {name: np.stack([_electricity(name, seed).max(axis=1) for seed in range(4)]).ravel() for name in ("dear", "korea")}
    assert peaks["dear"].max() > 2.2 * np.median(peaks["dear"])
    assert peaks["korea"].max() < 1.3 * np.median(peaks["korea"])


def test_fruit_is_dearer_in_winter() -> None:
    winter = prices("middle", generate("nl", date(2026, 1, 1), 30, seed=1), 1).rows[:, v.FRUIT_EUR_KG].mean()
    summer = prices("middle", generate("nl", date(2026, 7, 1), 30, seed=1), 1).rows[:, v.FRUIT_EUR_KG].mean()
    assert winter > 1.4 * summer


def test_tomorrow_is_known_from_early_afternoon() -> None:
    tariff = prices("dear", WEATHER, seed=3)
    for hour, known in ((12, 12), (13, 35)):
        told = np.array(tariff.told(hour * 3600.0, 72).elec_eur_kwh)
        true = tariff.rows[hour : hour + 72, v.ELEC_EUR_KWH]
        assert np.allclose(told[:known], true[:known], atol=1e-5)
        assert not np.isclose(told[known : known + 12], true[known : known + 12], atol=1e-4).any()


def test_ahead_goes_beyond_the_end_and_stays_usual() -> None:
    tariff = prices("middle", WEATHER, seed=3)
    told = tariff.told(59.9 * 86400.0, 72)
    assert len(told.elec_eur_kwh) == 72 == len(told.fruit_eur_kg)
    assert all(np.isfinite(told.elec_eur_kwh))


def test_prices_hold_for_the_hour_and_a_seed_decides() -> None:
    tariff = prices("middle", WEATHER, seed=3)
    assert np.array_equal(tariff.at(3600.0), tariff.at(7199.0))
    assert not np.array_equal(tariff.at(3600.0), tariff.at(7200.0))
    assert np.array_equal(tariff.rows, prices("middle", WEATHER, seed=3).rows)
    assert not np.array_equal(tariff.rows, prices("middle", WEATHER, seed=4).rows)


def test_an_unknown_regime_is_told() -> None:
    with pytest.raises(KeyError, match="there are middle, dear"):
        prices("free", WEATHER, 1)
