"""Scores: breaches are spells of the truth, intervals hold what they say, and failures are weighed against their twin."""

import numpy as np
import pytest

pytest.importorskip("numba")

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.step import FLOWS
from sdx_domains.farm.world.scoring import FarmScore, breaches_of, interval, summarise
from sdx_domains.farm.world.trace import MONEY, Trace

MILD = {v.AIR_TEMP_C: 20.0, v.AIR_RH_PCT: 70.0, v.AIR_CO2_PPM: 600.0}


def _trace(measured: dict[int, float], positions: dict[int, float], wind: float = 2.0, rows: int = 12) -> Trace:
    """An hour in which everything stands as given, after ten minutes of nothing."""
    trace = Trace()
    for row in range(rows + 2):
        truth, where, around = np.zeros(v.MEASURED), np.zeros(v.ACTUATORS), np.zeros(v.WEATHER)
        for place, value in (MILD | (measured if row >= 2 else {})).items():
            truth[place] = value
        if row >= 2:
            around[v.WIND_M_S] = wind
            for place, value in positions.items():
                where[place] = value
        trace.add(row * 300.0, truth, around, where, np.zeros(FLOWS), np.zeros(len(MONEY)))
    return trace


@pytest.mark.parametrize(
    ("measured", "positions", "wind", "expected"),
    [
        ({}, {}, 2.0, {}),
        ({v.AIR_CO2_PPM: 5200.0}, {}, 2.0, {"co2_people": 1}),
        ({v.AIR_CO2_PPM: 1800.0}, {v.CO2_DOSING: 0.5}, 2.0, {"co2_dosed_above": 1}),
        ({v.AIR_CO2_PPM: 1800.0}, {}, 2.0, {}),
        ({}, {v.CO2_DOSING: 0.5, v.VENT_LEE: 1.0}, 2.0, {"co2_dosed_open": 1}),
        ({v.AIR_TEMP_C: 8.0}, {}, 2.0, {"cold_unheated": 1}),
        ({v.AIR_TEMP_C: 8.0}, {v.HEATING: 1.0}, 2.0, {}),
        ({v.AIR_TEMP_C: 8.0}, {v.HEATING: 1.0, v.VENT_LEE: 0.3}, 2.0, {"cold_vented": 1}),
        ({v.AIR_TEMP_C: 36.0}, {v.HEATING: 0.5}, 2.0, {"hot_heated": 1}),
        ({v.AIR_TEMP_C: 39.0}, {}, 2.0, {"hot_shut": 1}),
        ({v.AIR_TEMP_C: 39.0}, {v.VENT_LEE: 1.0}, 2.0, {}),
        ({v.AIR_TEMP_C: 39.0}, {}, 18.0, {}),
        ({}, {v.VENT_WIND: 0.4}, 18.0, {"storm_open": 1}),
        ({v.AIR_TEMP_C: 34.0}, {v.LAMPS: 1.0}, 2.0, {"lamps_hot": 1}),
        ({v.AIR_RH_PCT: 95.0}, {v.FOG: 1.0}, 2.0, {"fog_humid": 1}),
    ],
)
def test_breaches_are_what_commands_can_cause(
    measured: dict[int, float], positions: dict[int, float], wind: float, expected: dict[str, int]
) -> None:
    assert breaches_of(_trace(measured, positions, wind)) == expected


def test_what_ends_before_devices_can_follow_is_the_weathers() -> None:
    assert breaches_of(_trace({}, {v.VENT_WIND: 0.4}, 18.0, rows=3)) == {}
    assert breaches_of(_trace({}, {v.VENT_WIND: 0.4}, 18.0, rows=4)) == {"storm_open": 1}


def _score(case: str, profit: float, twin: str = "", **changes: object) -> FarmScore:
    zero = {name: 0.0 for name, info in FarmScore.model_fields.items() if info.is_required() and info.annotation is float}
    counts = {name: 0 for name, info in FarmScore.model_fields.items() if info.is_required() and info.annotation is int}
    empty: dict[str, object] = {"breaches": {}, "weather_extremes": {}, "alarms": {}}
    return FarmScore.model_validate({**zero, **counts, **empty, "case": case, "twin": twin, "profit_eur_m2": profit, **changes})


def test_a_score_comes_back_from_its_json() -> None:
    score = _score("a", 1.5, alarms={"leak": 2}, alarm_delay_s=60.0)
    assert FarmScore.model_validate(score.model_dump(mode="json")) == score
    with pytest.raises(ValueError, match="profit_eur_m2"):
        FarmScore.model_validate({"case": "a"})


def test_a_suite_in_figures() -> None:
    scores = [_score("a", 1.0, edits=10, commands=100, hard_breaches=1), _score("b", 3.0, edits=0, commands=300)]
    summary = summarise(scores)
    assert summary["profit_eur_m2"] == 2.0 and summary["edit_share"] == 0.025 and summary["hard_breaches"] == 1
    low, high = summary["profit_interval"]
    assert 1.0 <= low < 2.0 < high <= 3.0
    assert "failures" not in summary and summarise([]) == {"cases": 0}


def test_a_failure_is_weighed_against_its_twin() -> None:
    summary = summarise([_score("a", 5.0), _score("a+leak", 4.2, twin="a", alarm_delay_s=60.0), _score("b+leak", 1.0, twin="b")])
    assert summary["failures"] == {"a+leak": {"loss_eur_m2": 0.8, "alarm_delay_s": 60.0, "alarm_missed": False}}


def test_bootstrap_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        low, high = interval(rng.normal(2.0, 1.0, 20).tolist()) or (0.0, 0.0)
        held += low <= 2.0 <= high
    assert held >= 50
    assert interval([1.0]) is None
