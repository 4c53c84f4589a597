"""Forecasts err as the error model says, more with every day ahead; ensembles are repeatable and end in past years."""

from datetime import date
from importlib.util import find_spec

import numpy as np
import pytest

from sdx_domains.farm.field.forecast import DAYS, SKILL, YEAR_SHIFT_DAYS, ensemble, issued, past_years, skill
from sdx_domains.farm.field.weather import climate

if find_spec("aquacrop") is None:  # to import it would put ".." on the path
    pytest.skip("aquacrop is missing", allow_module_level=True)
FIRST = date(1986, 6, 1)


def others() -> np.ndarray:
    return past_years(climate("champion"), (1983, 1984, 1985), FIRST, 100)


def test_past_years_stand_for_every_year_and_shift() -> None:
    assert others().shape == (3 * len(YEAR_SHIFT_DAYS), 100, 4)
    assert np.array_equal(others()[3], climate("champion").rows(date(1983, 6, 1), 100))
    with pytest.raises(ValueError, match="none of the years"):
        past_years(climate("champion"), (1950,), FIRST, 100)


def test_a_forecast_is_never_perfect_and_knows_less_of_later_days() -> None:
    truth, years, rng = climate("champion").rows(FIRST, 100), others(), np.random.default_rng(1)
    said = np.stack([issued(truth, years, rng) for _ in range(3000)])
    off = np.abs(said - truth[:DAYS]).mean(axis=0)
    assert (off > 0.05).all(axis=0)[1] and off[7:, 1].mean() > 1.3 * off[0, 1]
    warm_off = np.abs(said[:, :, 1] - truth[:DAYS, 1])
    assert (warm_off[:, 0] < 3.0).mean() > SKILL - 0.05
    wet = truth[:DAYS, 2] > 2.0
    assert wet.any()
    assert not any(np.allclose(one[wet, 2], truth[:DAYS][wet, 2]) for one in said)


def test_skill_falls() -> None:
    assert np.all(np.diff(skill(np.arange(DAYS))) < 0.0)
    assert skill(np.array([0]))[0] == SKILL


def test_the_same_seed_gives_the_same_ensemble_and_later_days_are_past_years() -> None:
    said = issued(climate("champion").rows(FIRST, 100), others(), np.random.default_rng(2))
    one, two = (ensemble(said, others(), 12, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert np.array_equal(one[:9, DAYS:], others()[:, DAYS:])
    assert not np.array_equal(one[:9, :DAYS], others()[:, :DAYS])
    assert (one[:, :, 2] >= 0.0).all()


def test_without_a_forecast_the_ensemble_is_the_past() -> None:
    assert np.array_equal(ensemble(np.empty((0, 4)), others(), 9, np.random.default_rng(0)), others())


def test_a_short_season_end_is_no_trouble() -> None:
    truth = climate("champion").rows(FIRST, 3)
    assert issued(truth, others(), np.random.default_rng(0)).shape == (3, 4)
    assert ensemble(truth, others()[:, :2], 4, np.random.default_rng(0)).shape == (4, 2, 4)
