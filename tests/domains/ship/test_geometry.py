"""Closed forms against brute force, the plane against geographiclib."""

from math import cos, hypot, inf, isnan, radians, sin

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import assume, given
from hypothesis import strategies as st

from sdx_domains.ship.geometry import (
    KN_MS,
    NM_M,
    LocalPlane,
    bearing_range,
    bow_crossing,
    closest_approach,
    course_speed,
    cpa_sigma,
    velocity,
    wrap180,
    wrap360,
)

metres = st.floats(-20_000, 20_000)
speeds = st.floats(-20, 20)


@given(st.floats(-1e6, 1e6))
def test_wrapping_keeps_the_direction(deg: float) -> None:
    assert 0.0 <= wrap360(deg) < 360.0
    assert -180.0 <= wrap180(deg) < 180.0
    assert abs(sin(radians(wrap360(deg))) - sin(radians(deg))) < 1e-6
    assert abs(cos(radians(wrap180(deg))) - cos(radians(deg))) < 1e-6


def test_a_tiny_negative_angle_does_not_wrap_to_360() -> None:
    assert wrap360(-1e-15) < 360.0


@given(st.floats(0, 359.9), st.floats(0.1, 40))
def test_course_and_speed_survive_the_way_through_components(course: float, speed: float) -> None:
    back, kn = course_speed(*velocity(course, speed))
    assert abs(wrap180(back - course)) < 1e-9
    assert kn == pytest.approx(speed)


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(0, 30 * NM_M), st.floats(0, 360))
def test_plane_agrees_with_the_geodesic_and_comes_back(lat: float, lon: float, range_m: float, bearing: float) -> None:
    there = Geodesic.WGS84.Direct(lat, lon, bearing, range_m)
    assume(abs(there["lat2"]) < 80.5)
    plane = LocalPlane(lat, lon)
    north, east = plane.to_plane(there["lat2"], there["lon2"])
    assert hypot(north - range_m * cos(radians(bearing)), east - range_m * sin(radians(bearing))) < 0.05
    lat2, lon2 = plane.to_geo(north, east)
    assert hypot(*(a - b for a, b in zip(plane.to_plane(lat2, lon2), (north, east), strict=True))) < 1e-3


def test_plane_crosses_the_date_line() -> None:
    north, east = LocalPlane(10.0, 179.99).to_plane(10.0, -179.99)
    assert abs(north) < 1.0
    assert 2000 < east < 2500


@given(metres, metres, speeds, speeds)
def test_closest_approach_is_the_smallest_distance_of_a_fine_search(dn: float, de: float, dvn: float, dve: float) -> None:
    assume(hypot(dvn, dve) > 0.5)
    cpa, tcpa = closest_approach(dn, de, dvn, dve)
    times = np.linspace(0.0, max(tcpa, 0.0) * 2.0 + 600.0, 20_001)
    brute = np.hypot(dn + dvn * times, de + dve * times)
    step = times[1] - times[0]
    assert cpa <= brute.min() + 1e-6
    assert brute.min() <= cpa + hypot(dvn, dve) * step
    if tcpa > 0.0:
        assert abs(times[brute.argmin()] - tcpa) <= step
    else:
        assert cpa == pytest.approx(hypot(dn, de))


@given(st.lists(st.tuples(metres, metres, speeds, speeds), min_size=1, max_size=8))
def test_closest_approach_of_arrays_is_that_of_each(rows: list[tuple[float, float, float, float]]) -> None:
    cpa, tcpa = closest_approach(*np.array(rows).T)
    for row, c, t in zip(rows, cpa, tcpa, strict=True):
        one_c, one_t = closest_approach(*row)
        assert c == pytest.approx(one_c, abs=1e-6)
        assert t == pytest.approx(one_t, rel=1e-9, abs=1e-9)


def test_not_closing_below_a_tenth_of_a_knot() -> None:
    assert closest_approach(-300.0, 400.0, 0.09 * KN_MS, 0.0) == (500.0, 0.0)
    assert closest_approach(-300.0, 400.0, 0.11 * KN_MS, 0.0)[1] > 0.0


def test_past_has_negative_time_and_the_present_range() -> None:
    assert closest_approach(1000.0, 0.0, 5.0, 0.0) == (1000.0, -200.0)


@given(metres, metres, speeds, speeds, st.floats(0, 360))
def test_bow_crossing_lies_on_the_heading_line(dn: float, de: float, dvn: float, dve: float, heading: float) -> None:
    bcr, bct = bow_crossing(dn, de, dvn, dve, heading)
    many_r, many_t = bow_crossing(np.array([dn]), np.array([de]), np.array([dvn]), np.array([dve]), heading)
    if isnan(bcr):
        assert isnan(many_r[0]) and isnan(many_t[0])
        return
    assert bct >= 0.0
    if bct < 1e6:
        n, e = dn + dvn * bct, de + dve * bct
        assert hypot(n - bcr * cos(radians(heading)), e - bcr * sin(radians(heading))) < 1e-3
        assert many_r[0] == pytest.approx(bcr, abs=1e-3)


def test_bow_crossing_signs() -> None:
    assert bow_crossing(1000.0, 1000.0, 0.0, -5.0, 0.0) == pytest.approx((1000.0, 200.0))
    assert bow_crossing(-1000.0, 1000.0, 0.0, -5.0, 0.0) == pytest.approx((-1000.0, 200.0))
    assert isnan(bow_crossing(1000.0, 1000.0, 0.0, 5.0, 0.0)[0])
    assert isnan(bow_crossing(1000.0, 1000.0, -5.0, 0.0, 0.0)[0])


def test_bearing_range_of_arrays() -> None:
    bearing, distance = bearing_range(np.array([1.0, 0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0, -1.0]))
    assert bearing.tolist() == [0.0, 90.0, 180.0, 270.0]
    assert distance.tolist() == [1.0] * 4
    assert bearing_range(0.0, -2.0) == (270.0, 2.0)


def test_cpa_sigma_is_the_spread_of_a_monte_carlo_run() -> None:
    rng = np.random.default_rng(4)
    dn, de, dvn, dve = 8000.0, 3000.0, -9.0, -2.0
    _, tcpa = closest_approach(dn, de, dvn, dve)
    noise = rng.normal(size=(4, 20_000)) * np.array([[20.0], [20.0], [0.15], [0.15]])
    n, e, vn, ve = np.array([[dn], [de], [dvn], [dve]]) + noise
    signed = (n * ve - e * vn) / np.hypot(vn, ve)
    assert cpa_sigma(dn, de, dvn, dve, tcpa, 20.0, 0.15) == pytest.approx(signed.std(), rel=0.05)
    assert cpa_sigma(dn, de, dvn, dve, -inf, 20.0, 0.15) == 20.0
