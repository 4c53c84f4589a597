"""Waypoints passed, cross-track error, course to steer."""

from math import nan

import pytest

from sdx_domains.ship.geometry import NM_M, LocalPlane
from sdx_domains.ship.picture import RouteReading
from sdx_domains.ship.route import STRAIGHT_ON_NM, RouteFollower

PLANE = LocalPlane(58.0, 10.0)


def place(north_nm: float, east_nm: float) -> tuple[float, float]:
    return PLANE.to_geo(north_nm * NM_M, east_nm * NM_M)


def give(follower: RouteFollower, *points: tuple[float, float], speed: float = 12.0) -> list[str]:
    faults: list[str] = []
    reading = RouteReading(t_s=0, source="plan", waypoints=tuple(place(*p) for p in points), planned_sog_kn=speed)
    follower.fold(reading, lambda t, kind, detail: faults.append(kind))
    return faults


def test_without_a_route_straight_on() -> None:
    follower = RouteFollower()
    route = follower.at(*place(0, 0), 40.0, 11.0)
    assert route.course_to_steer_deg == pytest.approx(40.0, abs=0.01)
    assert (route.planned_sog_kn, route.xte_m) == (11.0, 0.0)
    assert route.distance_nm == pytest.approx(STRAIGHT_ON_NM, abs=0.01)
    turned = follower.at(*place(0.5, 0.5), 90.0, 11.0)
    assert turned.leg_course_deg == pytest.approx(40.0, abs=0.1)


def test_off_to_starboard_the_error_is_positive_and_the_course_leads_back() -> None:
    follower = RouteFollower()
    give(follower, (12, 0))
    follower.at(*place(0, 0), 0.0, 12.0)
    route = follower.at(*place(3, 1), 0.0, 12.0)
    assert route.xte_m == pytest.approx(NM_M, abs=5)
    assert route.leg_course_deg == pytest.approx(0.0, abs=0.05)
    assert route.course_to_steer_deg == pytest.approx(360 - 14.04, abs=0.1)
    port = follower.at(*place(3, -1), 0.0, 12.0)
    assert port.xte_m == pytest.approx(-NM_M, abs=5)
    assert port.course_to_steer_deg == pytest.approx(14.04, abs=0.1)


def test_near_its_end_the_leg_leads_to_the_waypoint() -> None:
    follower = RouteFollower()
    give(follower, (12, 0))
    follower.at(*place(0, 0), 0.0, 12.0)
    assert follower.at(*place(11, 1), 0.0, 12.0).course_to_steer_deg == pytest.approx(315.0, abs=0.1)


@pytest.mark.parametrize("there", [(4.8, 0.1), (5.1, 2.0)])
def test_a_waypoint_is_passed_when_near_or_abeam(there: tuple[float, float]) -> None:
    follower = RouteFollower()
    give(follower, (5, 0), (5, 8))
    assert len(follower.at(*place(0, 0), 0.0, 12.0).waypoints) == 2
    route = follower.at(*place(*there), 0.0, 12.0)
    assert route.waypoints == (place(5, 8),)
    assert route.leg_course_deg == pytest.approx(90.0, abs=0.2)


def test_after_the_last_waypoint_straight_on_along_its_leg() -> None:
    follower = RouteFollower()
    give(follower, (5, 0))
    follower.at(*place(0, 0), 0.0, 12.0)
    route = follower.at(*place(5.1, 0), 20.0, 12.0)
    assert route.leg_course_deg == pytest.approx(0.0, abs=0.1)
    assert route.distance_nm == pytest.approx(STRAIGHT_ON_NM, abs=0.1)


def test_the_same_route_or_its_rest_keeps_the_leg() -> None:
    follower = RouteFollower()
    give(follower, (5, 0), (10, 0), (10, 8))
    follower.at(*place(0, 0), 0.0, 12.0)
    give(follower, (5, 0), (10, 0), (10, 8))
    assert follower.at(*place(3, 1), 0.0, 12.0).xte_m == pytest.approx(NM_M, abs=5)
    give(follower, (10, 0), (10, 8))
    route = follower.at(*place(4, 1), 0.0, 12.0)
    assert len(route.waypoints) == 2
    assert route.leg_course_deg == pytest.approx(0.0, abs=0.05)
    give(follower, (0, 8))
    assert follower.at(*place(4, 1), 0.0, 12.0).xte_m == pytest.approx(0.0, abs=1)


@pytest.mark.parametrize(("points", "speed"), [((), 12.0), (((5, 0),), 0.0), (((5, 0),), nan), (((5, 0),), 99.0)])
def test_a_bad_route_is_told_and_ignored(points: tuple[tuple[float, float], ...], speed: float) -> None:
    follower = RouteFollower()
    assert give(follower, *points, speed=speed) == ["bad_route"]
    assert follower.at(*place(0, 0), 77.0, 12.0).leg_course_deg == pytest.approx(77.0, abs=0.1)


def test_a_waypoint_that_is_no_place_is_told() -> None:
    follower, faults = RouteFollower(), []
    reading = RouteReading(t_s=0, source="plan", waypoints=((58.1, 10.0), (95.0, 10.0)), planned_sog_kn=12)
    follower.fold(reading, lambda t, kind, detail: faults.append(detail))
    assert "95.0" in faults[0]
