"""Scores on the truth: what must be a collision, a good manoeuvre, a forbidden action, and the statistics."""

from math import hypot
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.contract import Order
from sdx_domains.ship.dynamics import MotionState
from sdx_domains.ship.geometry import NM_M, LocalPlane
from sdx_domains.ship.picture import Environment
from sdx_domains.ship.plots import plot_tracks
from sdx_domains.ship.scenarios import OwnStart, Scenario, TargetStart, scenario, suite
from sdx_domains.ship.scoring import CaseScore, score, summarise, wilson
from sdx_domains.ship.simulator.trace import Trace
from sdx_domains.ship.simulator.world import ShipWorld
from sdx_domains.ship.truth import least_range, pairs_of

SHARED = Path(__file__).parents[3] / "../shared/data/ship"
KINDS = {"HO": "head_on", "CR-GW": "crossing_give_way", "CR-SO": "crossing_stand_on", "OT-GW": "overtaking", "OT-SO": "overtaken"}


def sail(case: Scenario, *orders: tuple[float, float, float]) -> ShipWorld:
    """Sail under (time s, heading deg, speed kn) orders; heading 999 steers for the goal from then on."""
    world, left, homing = ShipWorld(case), list(orders), False
    goal = world.plane.to_plane(*case.route[-1])
    while not world.done:
        if left and world.t_s >= left[0][0]:
            _, heading, speed = left.pop(0)
            homing = heading == 999.0
            steer(world, heading, speed, homing, goal)
        elif homing and world.t_s % 60.0 == 0.0:
            steer(world, 999.0, case.planned_speed_kn, True, goal)
        world.step()
        world.readings()
    return world


def steer(world: ShipWorld, heading: float, speed: float, homing: bool, goal: tuple[float, float]) -> None:
    if homing:
        heading = float(np.degrees(np.arctan2(goal[1] - world.own.east_m, goal[0] - world.own.north_m)))
    world.apply(
        Order(
            domain="ship",
            setpoints={"heading_deg": heading, "speed_kn": speed},
            issued_s=world.t_s,
            valid_for_s=60.0,
            source="human",
            picture_id="",
        )
    )


def scored(name: str, *orders: tuple[float, float, float]) -> CaseScore:
    case = scenario(name)
    return score(case, sail(case, *orders).trace)


def crossing(heading_deg: float, north_nm: float, east_nm: float, **around: object) -> Scenario:
    lat, lon = LocalPlane(50.0, 0.0).to_geo(north_nm * NM_M, east_nm * NM_M)
    return Scenario(
        name="made",
        own=OwnStart(lat_deg=50.0, lon_deg=0.0, heading_deg=0.0, speed_kn=12.0),
        route=((50.3, 0.0),),
        planned_speed_kn=12.0,
        targets=(TargetStart(name="T", mmsi=257000001, lat_deg=lat, lon_deg=lon, heading_deg=heading_deg, speed_kn=12.0),),
        environment=Environment.model_validate(around),
    )


@pytest.mark.parametrize("case", suite("imazu"), ids=lambda case: case.name)
def test_imazu_without_manoeuvre_is_a_collision_with_score_0(case: Scenario) -> None:
    result = score(case, sail(case).trace)
    assert result.collision
    assert not result.passed
    assert result.feasible, "the search finds a way in every case"
    assert result.min_cpa_nm is not None and result.min_cpa_nm < 0.01
    assert result.colreg_score == 0.0
    assert len(result.per_encounter) == len(case.targets)
    assert result.extra_time_min == pytest.approx(0.0, abs=0.02)
    assert result.reversals == 0


@pytest.mark.skipif(not (SHARED / "dnv").exists(), reason="shared data absent")
def test_encounter_classes_equal_the_dnv_titles() -> None:
    for case in suite("dnv", folder=SHARED / "dnv"):
        world = ShipWorld(case)
        for _ in range(60):
            world.step()
        # half a minute of the run is enough to recognise the encounters
        kinds = [encounter.kind for encounter in score(case, world.trace).per_encounter]
        assert kinds == [KINDS[label] for label in case.labels], case.name


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("imazu-01", [(60, 40, 12), (600, 999, 12)]),
        ("imazu-02", [(60, 40, 12), (700, 999, 12)]),
        ("imazu-03", [(60, 40, 12), (500, 0, 12), (2400, 999, 12)]),
        ("imazu-05", [(60, 40, 12), (800, 999, 12)]),
        ("imazu-06", [(5, 75, 12), (260, 999, 12)]),
    ],
)
def test_timely_starboard_alteration_scores_nearly_full(name: str, orders: list[tuple[float, float, float]]) -> None:
    result = scored(name, *orders)
    assert result.passed
    assert result.colreg_score is not None and result.colreg_score > 0.95, result.per_encounter
    assert result.forbidden == 0
    assert result.apparent
    assert result.reversals == 0
    assert 0.2 < result.extra_time_min < 6.0
    assert 0.0 < result.extra_distance_nm < 1.2


def test_stand_on_vessel_that_acts_only_when_the_other_does_not_scores_full_and_an_early_one_little() -> None:
    # 17(a)(ii) and (b): at 1.9 NM nothing happened, so she turns away to starboard
    late = scored("imazu-04", (1040, 90, 12), (1700, 999, 12))
    early = scored("imazu-04", (60, 60, 12), (900, 999, 12))
    assert late.passed and late.colreg_score is not None and late.colreg_score > 0.95
    assert early.colreg_score is not None and early.colreg_score < 0.6
    assert late.colreg_score_strict is not None and late.colreg_score_strict < late.colreg_score


def test_encounter_that_is_resolved_at_once_still_counts() -> None:
    result = scored("imazu-03", (1, 40, 12), (500, 0, 12), (2400, 999, 12))
    assert [encounter.kind for encounter in result.per_encounter] == ["overtaking"]


def test_swinging_past_a_vessel_is_no_encounter() -> None:
    case = crossing(180.0, 6.0, 0.0)
    lat, lon = LocalPlane(50.0, 0.0).to_geo(4.0 * NM_M, 7.0 * NM_M)
    aside = TargetStart(name="A", mmsi=257000002, lat_deg=lat, lon_deg=lon, heading_deg=90.0, speed_kn=3.0)
    case = case.model_copy(update={"targets": (*case.targets, aside)})
    result = score(case, sail(case, (60, 90, 12), (600, 999, 12)).trace)
    assert [encounter.target for encounter in result.per_encounter] == [0]


def test_small_late_and_port_alterations_cost() -> None:
    full = scored("imazu-01", (60, 40, 12), (600, 999, 12))
    small = scored("imazu-01", (60, 12, 12), (1500, 999, 12))
    late = scored("imazu-01", (1560, 60, 12), (1900, 999, 12))
    port = scored("imazu-01", (60, 320, 12), (600, 999, 12))
    values = [result.colreg_score or 0.0 for result in (full, small, late, port)]
    assert values[0] > max(values[1:]) + 0.2
    assert small.apparent is False
    assert late.per_encounter[0].in_time is False
    assert port.forbidden_actions == ("R14 port turn in a head-on meeting with target 1",)
    assert full.forbidden == small.forbidden == late.forbidden == 0


def test_crossing_ahead_is_forbidden_and_astern_is_not() -> None:
    case = crossing(270.0, 4.0, 4.0)
    ahead = score(case, sail(case, (60, 0, 15), (1300, 999, 12)).trace)
    astern = score(case, sail(case, (60, 50, 12), (900, 999, 12)).trace)
    assert len(ahead.forbidden_actions) == 1 and ahead.forbidden_actions[0].startswith("R15 crosses 0.")
    assert ahead.per_encounter[0].parts["P_ahead"] == 0.5
    assert astern.forbidden == 0
    assert astern.per_encounter[0].parts["P_ahead"] == 0.0


def test_port_turn_for_a_vessel_on_the_port_side_is_forbidden_but_coming_back_is_not() -> None:
    turned = scored("imazu-04", (1040, 300, 12), (1600, 999, 12))
    assert turned.forbidden_actions == ("R17(c) port turn for target 1 on the port side",)
    assert turned.colreg_score == 0.0
    assert scored("imazu-04", (1040, 90, 12), (1600, 330, 12), (2200, 999, 12)).forbidden == 0


def test_rule_19_has_no_stand_on_vessel_and_forbids_the_port_turn_forward_of_the_beam() -> None:
    case = crossing(90.0, 4.0, -4.0, visibility_nm=0.8)
    port = score(case, sail(case, (60, 300, 12), (900, 999, 12)).trace)
    slower = score(case, sail(case, (60, 0, 4), (1500, 999, 12)).trace)
    assert port.cpa_limit_nm == 1.0
    assert port.per_encounter[0].role == "r19"
    assert port.forbidden_actions == ("R19(d)(i) port turn for target 1 forward of the beam",)
    assert port.colreg_score == 0.0
    assert slower.forbidden == 0
    assert slower.apparent
    assert slower.colreg_score is not None and slower.colreg_score > 0.9


def test_anchored_vessel_on_the_port_side_has_to_be_kept_clear_of() -> None:
    case = crossing(90.0, 4.0, -0.1)
    anchored = case.targets[0].model_copy(update={"speed_kn": 0.0, "nav_status": 1})
    case = case.model_copy(update={"targets": (anchored,)})
    result = score(case, sail(case, (60, 40, 12), (700, 999, 12)).trace)
    assert result.per_encounter[0].role == "give_way"
    assert result.passed


def test_indecision_counts_as_reversals() -> None:
    steady = scored("imazu-01", (60, 40, 12), (600, 999, 12))
    wavering = scored("imazu-01", (60, 40, 12), (200, 0, 12), (300, 40, 12), (450, 290, 12), (600, 999, 12))
    assert steady.reversals == 0
    assert wavering.reversals == 2


def test_closest_approach_and_touching_are_found_between_samples() -> None:
    north, east = np.array([200.0, -200.0]), np.array([30.0, 30.0])
    assert least_range(north, east)[0] == pytest.approx(30.0)
    trace = Trace()
    for t, y in ((0.0, -400.0), (60.0, 400.0)):
        trace.add(t, MotionState(0.0, 0.0, 0.0, 0.0), 0.0, 0.0, [MotionState(0.0, y, 90.0, 26.0), MotionState(70.0, y, 90.0, 26.0)])
    through, past = pairs_of(trace, (100.0, 16.0), [(50.0, 10.0), (50.0, 10.0)])
    assert through.touched
    assert not past.touched, "70 m ahead of the middle is 15 m clear of the bow"
    assert past.least_range_m == pytest.approx(70.0)


def test_trace_of_another_scenario_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not the same run"):
        score(scenario("imazu-01"), sail(scenario("imazu-05")).trace)
    with pytest.raises(ValueError, match="no sample"):
        score(scenario("imazu-01"), Trace())


def test_passing_clear_without_risk_has_no_encounter() -> None:
    case = crossing(180.0, 6.0, 3.0)
    result = score(case, sail(case).trace)
    assert result.colreg_score is None
    assert result.per_encounter == ()
    assert result.passed


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(0, 22, 0.0, 0.1487), (22, 22, 0.8513, 1.0), (475, 500, 0.9273, 0.9659), (0, 0, 0.0, 1.0)]
)
def test_wilson_interval(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-4)


def test_summary_counts_cases_classes_and_distinct_geometries() -> None:
    good = scored("imazu-05", (60, 40, 12), (800, 999, 12))
    bad, twin = scored("imazu-04"), scored("imazu-08")
    summary = summarise([good, bad, twin])
    assert summary["cases"] == 3
    assert summary["collisions"]["n"] == 2
    assert summary["cpa_pass"]["n"] == 1
    assert summary["by_class"]["head_on"]["n"] == 2
    assert summary["by_class"]["role_stand_on"] == {"n": 1, "score": 0.0, "strict": 0.0}
    assert summary["distinct"]["cases"] == 2
    assert summary["first_action_apparent"]["of"] == 4
    assert summarise([])["colreg_score"] is None


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_tracks_are_plotted(tmp_path: Path, suffix: str) -> None:
    world = sail(scenario("imazu-05"), (60, 40, 12), (800, 999, 12))
    path = plot_tracks(world.trace, tmp_path / f"tracks{suffix}", "imazu-05")
    assert path.stat().st_size > 10_000
    with pytest.raises(ValueError, match="no sample"):
        plot_tracks(Trace(), path)


def test_ships_really_passed_at_the_distance_said() -> None:
    world = sail(scenario("imazu-02"), (60, 40, 12), (700, 999, 12))
    result = score(world.scenario, world.trace)
    tracks = zip(world.trace.own, world.trace.targets[0], strict=True)
    assert result.min_cpa_nm == pytest.approx(min(hypot(a.north_m - b.north_m, a.east_m - b.east_m) for a, b in tracks) / NM_M, abs=1e-3)
