"""The table: rules, agent and bar; on held-out seasons only by hand, because looking at them is counted."""

from collections.abc import Sequence

import numpy as np
import pytest

from sdx_domains.farm.field import bench, tuning
from sdx_domains.farm.field.options import planner
from sdx_domains.farm.field.rollout import KNOTS
from sdx_domains.farm.field.rules import thresholds
from sdx_domains.farm.field.scenarios import case
from sdx_domains.farm.field.scoring import full_yield, ruled


@pytest.mark.slow
def test_a_table_of_one_tuning_season() -> None:
    lines: list[str] = []
    found = bench.bench((1989,), progress=lines.append)
    rows = {row["rule"]: row for row in found["rows"]}
    assert not found["held_out"] and len(lines) == len(bench.RULES) + 3
    assert rows["rainfed"]["irrigation_mm"] == 0.0 and rows["rainfed"]["yield_pct"] < 90.0
    assert rows["every 7 days"]["yield_pct"] > 99.0 and rows["every 7 days"]["irrigation_mm"] > 300.0
    agent = rows["agent"]
    assert agent["irrigation_mm"] < 0.6 * rows["every 7 days"]["irrigation_mm"] and agent["yield_pct"] > 97.0
    assert agent["profit_usd_ha"] == round(180.0 * agent["seasons"][0]["yield_t_ha"] - agent["irrigation_mm"] - 728.0)
    assert found["bar"]["met"] == (agent["irrigation_mm"] <= 119.0 and agent["yield_pct"] >= 99.0)


def test_full_yield_is_the_best_of_the_fully_irrigated() -> None:
    season = case("field-champion-1989")
    assert full_yield(season) >= ruled(season, irrigation_method=1, SMT=[80] * 4)[0]
    assert full_yield(season) == full_yield(case("field-champion-1989-leak"))


def test_the_shipped_rules_do_in_the_twin_what_their_search_said() -> None:
    weather = tuning.tuning_weather()
    pct, mm = tuning.curve_result(thresholds(), weather)
    assert pct == pytest.approx(99.0, abs=0.3) and 180.0 < mm < 225.0
    assert all(97.0 < tuning.curve_result(rule, weather)[0] < 101.0 for rule in planner().follow_ups[:-1])
    assert tuning.curve_result(planner().follow_ups[-1], weather)[1] == 0.0


def test_the_search_finds_less_water_for_the_same_yield() -> None:
    weather = tuning.tuning_weather()[:3]
    flat = np.array([*[0.63] * KNOTS, 10.0, 0.89])
    before, after = (tuning.curve_result(rule, weather) for rule in (flat, tuning.search_curve(weather, 99.0, 10.0, 0, trials=150)))
    worth = [mm + tuning.SHORT_MM_PER_PCT * max(99.0 - pct, 0.0) for pct, mm in (before, after)]
    assert worth[1] < worth[0] - 1.0


def test_the_threshold_search_walks_downhill(capsys: pytest.CaptureFixture[str]) -> None:
    def result(smt: Sequence[int]) -> tuple[float, float]:
        return 99.5 if min(smt[:3]) >= 30 else 97.0, 2.0 * sum(smt)

    best, trials = tuning.search_thresholds(result, 99.0)
    assert sum(best) <= 110 and min(best[:3]) >= 30 and trials > 20
    assert str(best) in capsys.readouterr().out
