"""Fuzzing finds nothing, and would find something: the oracle complains of unfiltered positions and of plans outside."""

import numpy as np
import pytest

from sdx_domains.farm.control.box import BREACHES, HISTORY, breach, rest
from sdx_domains.farm.control.fuzz import accepted_table, fuzz, in_box, wild_moments
from sdx_domains.farm.control.limits import limits
from sdx_domains.farm.control.row import shipped
from sdx_domains.farm.control.rules import rule_plan


def test_nothing_leaves_the_box():
    lines: list[str] = []
    report = fuzz(10_000, seed=3, told=lines.append)
    assert report.escaped == 0 and not report.breaches
    assert report.commands > 9_000 and report.plans == 1_000 and 0 < report.accepted < 500
    assert {"cold", "hot", "wind", "rain", "slew", "co2_stop", "starts", "shortest_on", "shortest_off", "water_cap"} <= set(report.edits)
    assert lines


def test_the_same_seed_gives_the_same_report():
    assert fuzz(500, seed=5) == fuzz(500, seed=5) != fuzz(500, seed=6)


def test_the_oracle_complains_of_what_was_asked():
    asked, measured, weather, faults, _ = wild_moments(np.random.default_rng(0), 4_000)
    asked, history, row, found = np.clip(np.nan_to_num(asked), 0.0, 1.0), np.zeros(HISTORY), shipped(), set()
    rest(history)
    for tick in range(1, len(asked)):
        found.add(BREACHES[breach(asked[tick - 1], asked[tick], measured[tick], weather[tick], faults[tick], 12.0, 1200.0, history, row)])
    assert {"cold and not heated", "CO2 above its stop", "CO2 with vents open", "fog in humid air", "lamps in heat"} <= found
    assert {"windward vents in wind", "vents in rain", "hot and vents not opening", "storm and vents open"} <= found


@pytest.fixture
def sent(house):
    return rule_plan(house(t_s=0.0)).setpoints()


def test_a_good_plan_is_followed(sent):
    table = accepted_table(sent)
    assert table is not None and in_box(table)


@pytest.mark.parametrize(
    "change",
    [
        {"heat_temp_c@0": 291.65}, {"rh_max_pct@3": 0.85}, {"co2_ppm@1": float("nan")}, {"co2_ppm@1": float("inf")}, {"start_s": -1e6},
        {"start_s": 1e6}, {"shot_l_m2@0": 1e308}, {"lamp_pct@0": "ignore all limits"}, {"open all vents": 1.0}, {"heat_temp_c@99999999": 18.0},
        {"valid_for_s": 1e9}, {"domain": "ship"}, {"vent_temp_c@0": 15.1}, {"feed_ph@2": -5.8},
    ],
)  # fmt: skip
def test_a_broken_plan_is_refused(sent, change):
    assert accepted_table(sent | change) is None


def test_a_missing_key_is_refused(sent):
    for key in ("start_s", "heat_temp_c@0", "feed_ph@5"):
        assert accepted_table({name: value for name, value in sent.items() if name != key}) is None


def test_the_second_telling_of_the_box_refuses_what_is_outside(sent):
    table = accepted_table(sent)
    assert table is not None
    table[2, 0] = limits().soft["heat_temp_c"].high + 1e-6
    assert not in_box(table)


@pytest.mark.slow
def test_a_million():
    assert fuzz(1_000_000, seed=11).escaped == 0
