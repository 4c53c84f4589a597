"""Compass and ENU angles are the same directions."""

from math import cos, pi, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_ros_nodes import compass

ANGLES = st.floats(-1e4, 1e4)


@pytest.mark.parametrize(("compass_deg", "enu_rad"), [(0, pi / 2), (90, 0.0), (180, -pi / 2), (270, pi), (45, pi / 4), (359.999, pi / 2)])
def test_cardinal_points(compass_deg: float, enu_rad: float) -> None:
    assert compass.enu_from_compass(compass_deg) == pytest.approx(enu_rad, abs=1e-4)


@given(ANGLES)
def test_same_direction_and_in_range(compass_deg: float) -> None:
    enu = compass.enu_from_compass(compass_deg)
    assert -pi < enu <= pi
    east, north = sin(radians(compass_deg)), cos(radians(compass_deg))
    assert cos(enu) == pytest.approx(east, abs=1e-9) and sin(enu) == pytest.approx(north, abs=1e-9)


@given(ANGLES)
def test_there_and_back(angle: float) -> None:
    back = compass.compass_from_enu(compass.enu_from_compass(angle))
    assert 0.0 <= back < 360.0
    assert cos(radians(back - angle)) == pytest.approx(1.0, abs=1e-12)


@given(st.floats(-1e-300, 1e-9), st.integers(-3, 3))
def test_just_beside_north_is_never_360(tiny: float, turns: int) -> None:
    assert 0.0 <= compass.compass_from_enu(pi / 2 + tiny + 2 * pi * turns) < 360.0


@given(st.floats(-600, 600))
def test_a_turn_to_starboard_is_negative_in_ros(rate: float) -> None:
    assert compass.nautical_rate(compass.enu_rate(rate)) == pytest.approx(rate, abs=1e-9)
    assert compass.enu_rate(60.0) == pytest.approx(-radians(1.0))


@given(ANGLES)
def test_yaw_through_a_quaternion(angle: float) -> None:
    yaw = compass.yaw_of(*compass.yaw_quaternion(compass.enu_from_compass(angle)))
    assert yaw is not None and cos(yaw - compass.enu_from_compass(angle)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("quaternion", [(0.0, 0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0, 1.0), (0.0, 0.0, float("inf"), 1.0)])
def test_what_is_no_quaternion_has_no_yaw(quaternion: tuple[float, float, float, float]) -> None:
    assert compass.yaw_of(*quaternion) is None


@given(st.floats(0, 359.99), st.floats(0.1, 60))
def test_velocity_there_and_back(cog_deg: float, sog_kn: float) -> None:
    course, speed = compass.cog_sog(*compass.velocity_enu(cog_deg, sog_kn))
    assert course is not None and cos(radians(course - cog_deg)) == pytest.approx(1.0, abs=1e-12) and speed == pytest.approx(sog_kn)


def test_at_rest_there_is_no_course() -> None:
    assert compass.cog_sog(0.0, 0.0) == (None, 0.0)
