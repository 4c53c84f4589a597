"""Sectors, locks, roles, rules and stages."""

from dataclasses import replace
from math import hypot

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sdx_domains.ship.encounter import (
    REOPEN_S,
    STAGE_FALL_S,
    Bounds,
    EncounterLock,
    Geometry,
    Watch,
    at_risk,
    classify,
    risk_of,
    role_of,
    rules_of,
    stage_of,
)
from sdx_domains.ship.geometry import course_speed, velocity
from sdx_domains.ship.picture import Encounter, VesselKind

BOUNDS = Bounds(0.5)
AHEAD = Geometry(
    own_heading_deg=0.0,
    own_sog_kn=12.0,
    target_heading_deg=180.0,
    target_sog_kn=12.0,
    bearing_deg=0.0,
    range_nm=6.0,
    range_rate_kn=-24.0,
    relative_speed_kn=24.0,
    cpa_nm=0.0,
    cpa_sigma_nm=0.05,
    tcpa_min=15.0,
)


def seen(bearing: float, heading: float, own: float = 12.0, target: float = 12.0, **more: float) -> Geometry:
    return replace(AHEAD, bearing_deg=bearing % 360.0, target_heading_deg=heading % 360.0, own_sog_kn=own, target_sog_kn=target, **more)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (seen(0, 180), "head_on"),
        (seen(5.9, 180 + 5.9), "head_on"),
        (seen(6.1, 180), "head_on"),  # nearly reciprocal, a little off the bow: doubt is head-on
        (seen(6.1, 192.2), "crossing_give_way"),
        (seen(-6.1, 167.8), "crossing_stand_on"),
        (seen(13.1, 180), "crossing_give_way"),
        (seen(45, 270), "crossing_give_way"),
        (seen(-45, 90), "crossing_stand_on"),
        (seen(85, 350), "crossing_give_way"),  # slow convergence, steady bearing
        (seen(-85, 10), "crossing_stand_on"),
        (seen(0, 0, target=8), "overtaking"),
        (seen(0, 0, target=12.3), "overtaking"),  # doubt is overtaking
        (seen(0, 67.4, target=8), "overtaking"),  # own seen 112.6 deg on her bow: 22.6 abaft her beam
        (seen(0, 67.6, target=8), "crossing_give_way"),
        (seen(0, -67.4, target=8), "overtaking"),
        (seen(-1, -68.6, target=8), "crossing_stand_on"),
        (seen(112.4, 0, target=18), "crossing_give_way"),
        (seen(112.6, 0, target=18), "overtaken"),
        (seen(-112.6, 0, target=18), "overtaken"),
        (seen(-112.4, 0, target=18), "crossing_stand_on"),
        (seen(180, 0, target=18), "overtaken"),
        (seen(30, 0, target=0.2), "overtaking"),  # not making way: keep clear
        (replace(seen(30, 240, target=6), anchored=True), "overtaking"),
    ],
)
def test_classes_at_the_sector_boundaries(geometry: Geometry, expected: Encounter) -> None:
    assert classify(geometry) == expected


MIRROR: dict[str, str] = {"crossing_give_way": "crossing_stand_on", "crossing_stand_on": "crossing_give_way"}


@given(st.floats(0.2, 179.5), st.floats(0, 359.9), st.floats(1, 20), st.floats(1, 20))
def test_port_and_starboard_mirror(bearing: float, heading: float, own: float, target: float) -> None:
    here = classify(seen(bearing, heading, own, target))
    mirrored = classify(seen(-bearing, -heading, own, target))
    assert mirrored == MIRROR.get(here, here)


@given(st.floats(0, 359.9), st.floats(0, 359.9), st.floats(0, 359.9))
def test_only_relative_angles_matter(bearing: float, heading: float, turn: float) -> None:
    here = seen(bearing, heading, 12, 9)
    turned = replace(seen(bearing + turn, heading + turn, 12, 9), own_heading_deg=turn)
    near_a_boundary = len({classify(seen(bearing + d, heading + h, 12, 9)) for d in (-1e-6, 0, 1e-6) for h in (-1e-6, 0, 1e-6)}) > 1
    assert near_a_boundary or classify(here) == classify(turned)


@given(st.floats(0, 359.9), st.floats(2, 20), st.floats(2, 20))
def test_on_collision_course_both_see_head_on_and_somebody_gives_way(heading: float, own: float, target: float) -> None:
    (own_n, own_e), (n, e) = velocity(0.0, own), velocity(heading, target)
    assume(hypot(n - own_n, e - own_e) > 0.2)
    bearing, _ = course_speed(own_n - n, own_e - e)
    ours = seen(bearing, heading, own, target)
    theirs = replace(seen(bearing + 180, 0, target, own), own_heading_deg=heading)
    a, b = classify(ours), classify(theirs)
    assert (a == "head_on") == (b == "head_on")
    assert {role_of(a), role_of(b)} in ({"both_give_way"}, {"give_way", "stand_on"}, {"give_way"})


def test_uncertain_headings_widen_head_on() -> None:
    assert classify(seen(8, 192)) == "crossing_give_way"
    assert classify(seen(8, 192, heading_sigma_deg=6.0)) == "head_on"


@pytest.mark.parametrize(
    ("change", "risk"),
    [
        ({"cpa_nm": 0.54}, True),
        ({"cpa_nm": 0.56}, False),
        ({"cpa_nm": 0.74, "cpa_sigma_nm": 5.0}, True),
        ({"cpa_nm": 0.76, "cpa_sigma_nm": 5.0}, False),
        ({"tcpa_min": 19.9}, True),
        ({"tcpa_min": 20.1}, False),
        ({"tcpa_min": -0.1, "cpa_nm": 0.1}, False),
        ({"tcpa_min": 30.0, "range_nm": 1.05, "relative_speed_kn": 2.1}, True),
        ({"tcpa_min": 30.0, "range_nm": 2.1, "relative_speed_kn": 2.1}, False),
        ({"tcpa_min": 41.0, "range_nm": 1.05, "relative_speed_kn": 2.1}, False),
        ({"tcpa_min": 0.0, "range_nm": 0.3, "cpa_nm": 0.3}, True),
        ({"tcpa_min": 0.0, "range_nm": 0.6, "cpa_nm": 0.6}, False),
    ],
)
def test_risk_of_collision(change: dict[str, float], risk: bool) -> None:
    assert at_risk(replace(AHEAD, **change), BOUNDS) is risk


@pytest.mark.parametrize(
    ("encounter", "own", "target", "role"),
    [
        ("head_on", "power", "power", "both_give_way"),
        ("crossing_give_way", "power", "power", "give_way"),
        ("crossing_stand_on", "power", "power", "stand_on"),
        ("crossing_stand_on", "power", "fishing", "give_way"),
        ("crossing_stand_on", "power", "sail", "give_way"),
        ("crossing_stand_on", "power", "nuc", "give_way"),
        ("head_on", "power", "ram", "give_way"),
        ("crossing_give_way", "fishing", "power", "stand_on"),
        ("crossing_give_way", "ram", "nuc", "give_way"),
        ("overtaking", "nuc", "power", "give_way"),  # Rule 13 before 18
        ("overtaken", "power", "sail", "stand_on"),
        ("restricted_visibility", "power", "nuc", "r19"),
        ("none", "power", "nuc", "none"),
    ],
)
def test_roles(encounter: Encounter, own: VesselKind, target: VesselKind, role: str) -> None:
    assert role_of(encounter, own, target) == role


@pytest.mark.parametrize(
    ("encounter", "role", "stage", "rules"),
    [
        ("none", "none", 0, ("R5",)),
        ("head_on", "both_give_way", 2, ("R7", "R8", "R14")),
        ("crossing_give_way", "give_way", 2, ("R7", "R8", "R15", "R16")),
        ("crossing_give_way", "give_way", 4, ("R2(b)", "R7", "R8", "R15", "R16")),
        ("crossing_stand_on", "stand_on", 2, ("R7", "R15", "R17(a)(i)")),
        ("crossing_stand_on", "stand_on", 3, ("R7", "R8", "R15", "R17(a)(ii)", "R17(c)")),
        ("crossing_stand_on", "stand_on", 4, ("R2(b)", "R7", "R8", "R15", "R17(b)", "R17(c)")),
        ("overtaking", "give_way", 2, ("R7", "R8", "R13", "R16")),
        ("overtaken", "stand_on", 3, ("R7", "R8", "R13", "R17(a)(ii)")),
        ("restricted_visibility", "r19", 2, ("R5", "R6", "R7", "R8", "R19", "R35")),
    ],
)
def test_rules(encounter: Encounter, role: str, stage: int, rules: tuple[str, ...]) -> None:
    assert rules_of(encounter, role_of(encounter), stage) == rules
    assert role_of(encounter) == role


def test_rule_18_replaces_the_crossing_rule_and_rule_9_joins_in_confined_waters() -> None:
    assert rules_of("crossing_stand_on", "give_way", 2, target="fishing") == ("R7", "R8", "R16", "R18")
    assert rules_of("head_on", "both_give_way", 2, confined=True) == ("R7", "R8", "R9", "R14")
    assert rules_of("overtaking", "give_way", 2, making_way=False) == ("R7", "R8", "R16")


@pytest.mark.parametrize(
    ("tcpa", "distance", "acted", "stage"),
    [
        (15, 6, False, 1),
        (11.9, 5, False, 2),
        (15, 3.9, False, 2),
        (5.9, 3, False, 3),
        (5.9, 3, True, 2),
        (8, 1.9, False, 3),
        (2.9, 1.5, True, 4),
        (5, 0.9, True, 4),
    ],
)
def test_stages(tcpa: float, distance: float, acted: bool, stage: int) -> None:
    assert stage_of(replace(AHEAD, tcpa_min=tcpa, range_nm=distance), BOUNDS, risk=True, acted=acted) == stage


def test_company_inside_the_limit_is_watched_not_in_extremis() -> None:
    beside = seen(90, 0, tcpa_min=0.0, range_nm=0.4, cpa_nm=0.4, relative_speed_kn=0.0)
    assert stage_of(beside, BOUNDS, risk=at_risk(beside, BOUNDS)) == 2
    assert stage_of(replace(beside, range_nm=0.3), BOUNDS, risk=True) == 4


def test_slow_convergence_is_not_in_extremis_at_once() -> None:
    slow = seen(85, 350, tcpa_min=29.0, range_nm=1.04, relative_speed_kn=2.1)
    assert stage_of(slow, BOUNDS, risk=True) == 2
    assert stage_of(replace(slow, range_nm=0.74), BOUNDS, risk=True) == 4


@given(st.floats(0, 3), st.floats(0, 0.5), st.floats(-5, 60), st.floats(0.05, 20), st.floats(0, 40))
def test_risk_number_is_bounded_and_grows_as_the_miss_shrinks(cpa: float, sigma: float, tcpa: float, distance: float, v: float) -> None:
    here = replace(AHEAD, cpa_nm=cpa, cpa_sigma_nm=sigma, tcpa_min=tcpa, range_nm=distance, relative_speed_kn=v)
    assert 0.0 <= risk_of(here, BOUNDS) <= risk_of(replace(here, cpa_nm=cpa / 2), BOUNDS) <= 1.0


def test_lock_opens_at_risk_keeps_its_class_and_releases_past_and_clear() -> None:
    lock = EncounterLock()
    assert lock.update(replace(AHEAD, tcpa_min=25.0), BOUNDS, Watch(0.0)) == "none"
    assert lock.update(AHEAD, BOUNDS, Watch(1.0)) == "head_on"
    turned = replace(AHEAD, own_heading_deg=60.0, bearing_deg=350.0, cpa_nm=1.5)
    assert classify(turned) == "crossing_stand_on"
    assert lock.update(turned, BOUNDS, Watch(60.0)) == "head_on"
    assert lock.since_s == 1.0
    passing = replace(turned, tcpa_min=-0.5, range_rate_kn=5.0, range_nm=1.5, bearing_deg=300.0)
    assert lock.update(passing, BOUNDS, Watch(600.0, resume_cpa_nm=0.1, resume_tcpa_min=2.0)) == "head_on"
    passed = replace(passing, range_nm=1.7)
    assert lock.update(passed, BOUNDS, Watch(660.0, resume_cpa_nm=1.6, resume_tcpa_min=-1.0)) == "none"
    assert lock.past_and_clear and lock.stage == 0


def test_a_new_encounter_after_release_needs_lasting_risk() -> None:
    lock = EncounterLock()
    lock.update(AHEAD, BOUNDS, Watch(0.0))
    gone = replace(AHEAD, tcpa_min=-1.0, range_rate_kn=20.0, range_nm=7.0, bearing_deg=180.0)
    assert lock.update(gone, BOUNDS, Watch(10.0)) == "none"
    again = seen(45, 270)
    assert lock.update(again, BOUNDS, Watch(20.0)) == "none"
    assert lock.update(again, BOUNDS, Watch(21.0 + REOPEN_S)) == "crossing_give_way"
    assert not lock.past_and_clear


def test_risk_that_own_turn_sweeps_over_opens_nothing_unless_urgent() -> None:
    lock = EncounterLock()
    assert lock.update(AHEAD, BOUNDS, Watch(0.0, turning=True)) == "none"
    assert lock.update(replace(AHEAD, tcpa_min=5.0), BOUNDS, Watch(1.0, turning=True)) == "head_on"


def test_a_young_noisy_track_may_correct_its_class_until_own_ship_turns() -> None:
    noisy = seen(3, 183, heading_sigma_deg=8.0)
    crossing = seen(20, 240, heading_sigma_deg=8.0)
    lock = EncounterLock()
    assert lock.update(noisy, BOUNDS, Watch(0.0, reports=1)) == "head_on"
    assert lock.update(crossing, BOUNDS, Watch(5.0, reports=2)) == "crossing_give_way"
    lock.update(replace(crossing, own_heading_deg=10.0), BOUNDS, Watch(6.0, reports=2))
    assert lock.update(noisy, BOUNDS, Watch(10.0, reports=3)) == "crossing_give_way"


def test_hidden_targets_have_no_class_but_rule_19_and_get_theirs_when_sighted() -> None:
    lock = EncounterLock()
    assert lock.update(seen(45, 270), BOUNDS, Watch(0.0, hidden=True)) == "restricted_visibility"
    assert lock.update(replace(seen(45, 270), own_heading_deg=90.0), BOUNDS, Watch(100.0)) == "crossing_give_way"


def test_stage_rises_at_once_and_falls_late() -> None:
    lock = EncounterLock()
    lock.update(AHEAD, BOUNDS, Watch(0.0))
    assert lock.stage == 1
    lock.update(replace(AHEAD, tcpa_min=5.0), BOUNDS, Watch(1.0))
    assert lock.stage == 3
    lock.update(AHEAD, BOUNDS, Watch(2.0))
    assert lock.stage == 3
    lock.update(AHEAD, BOUNDS, Watch(2.0 + STAGE_FALL_S))
    assert lock.stage == 1


def test_a_set_clock_moves_the_lock() -> None:
    lock = EncounterLock()
    lock.update(AHEAD, BOUNDS, Watch(1000.0))
    lock.shift(-900.0)
    assert lock.since_s == 100.0
