"""Readings and orders survive the wire; hostile numbers do not."""

from math import inf, isclose, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.contract import Order, Reading
from sdx_domains.ship.picture import EnvironmentReading, OwnReading, RouteReading, TargetReading
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.messages import deserialise, new, serialise

TIMES = st.floats(0, 2e9)
ANGLES = st.none() | st.floats(0, 359.999)
SPEEDS = st.none() | st.floats(0, 60)
TARGETS = st.builds(
    TargetReading,
    t_s=TIMES,
    source=st.sampled_from(["ais", "radar", "csv"]),
    track_id=st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text),
    lat_deg=st.none() | st.floats(-90, 90),
    lon_deg=st.none() | st.floats(-180, 180),
    cog_deg=ANGLES,
    sog_kn=SPEEDS,
    heading_deg=ANGLES,
    rot_deg_min=st.none() | st.floats(-720, 720),
    name_untrusted=st.none() | st.text(min_size=1, max_size=30),
    nav_status=st.none() | st.integers(0, 15),
    ship_type=st.none() | st.integers(0, 255),
    length_m=st.none() | st.floats(0, 500),
    beam_m=st.none() | st.floats(0, 100),
)
AROUND = st.builds(
    EnvironmentReading,
    t_s=TIMES,
    source=st.just("sensors"),
    visibility_nm=st.none() | st.floats(0, 50),
    wind_kn=SPEEDS,
    wind_from_deg=ANGLES,
    current_kn=SPEEDS,
    current_to_deg=ANGLES,
    daylight=st.none() | st.booleans(),
    depth_m=st.none() | st.floats(0, 11_000),
)


def over_the_wire(readings: list[Reading]) -> list[tuple[str, Any]]:
    made = conversions.from_readings(readings, 1.0)
    return [(topic.name, deserialise(serialise(message), topic.type_name)) for topic, message in made]


def assert_same(got: Reading, sent: Reading) -> None:
    for name, value in sent.model_dump().items():
        other = getattr(got, name)
        if isinstance(value, float) and not isinstance(value, bool):
            assert other is not None and isclose(other, value, rel_tol=1e-9, abs_tol=1e-6), (name, value, other)
        else:
            assert other == value, (name, value, other)


@given(TARGETS)
def test_targets(target: TargetReading) -> None:
    [(name, message)] = over_the_wire([target])
    assert name == "targets"
    [got] = conversions.targets_from_array(message)
    assert_same(got, target)


@given(AROUND)
def test_surroundings(around: EnvironmentReading) -> None:
    [(_, message)] = over_the_wire([around])
    assert_same(conversions.environment_from_state(message), around)


def test_a_name_that_utf8_cannot_say_costs_nothing_else() -> None:
    [(_, message)] = over_the_wire([TargetReading(t_s=1.0, source="csv", track_id="csv:1", name_untrusted="A\ud800B")])
    assert [target.name_untrusted for target in conversions.targets_from_array(message)] == ["A?B"]


def test_own_ship_goes_out_on_four_topics_and_comes_back_whole() -> None:
    own = OwnReading(
        t_s=12.5, source="simulator", lat_deg=58.1, lon_deg=-10.2, cog_deg=359.0, sog_kn=12.0, heading_deg=1.0, rot_deg_min=-10.0,
        rudder_deg=5.0, ordered_heading_deg=30.0, ordered_speed_kn=12.0,
    )  # fmt: skip
    sent = dict(over_the_wire([own]))
    assert set(sent) == {"fix", "vel", "imu/data", "own_state"}
    assert sent["imu/data"].angular_velocity.z > 0, "a turn to port is positive in ROS"
    parts = [
        conversions.own_from_fix(sent["fix"]),
        conversions.own_from_vel(sent["vel"]),
        conversions.own_from_imu(sent["imu/data"]),
        conversions.own_from_state(sent["own_state"]),
    ]
    merged = {name: value for part in parts if part for name, value in part.model_dump().items() if value is not None}
    assert_same(OwnReading(**merged), own)


def test_what_a_sensor_does_not_give_is_not_published() -> None:
    assert [topic.name for topic, _ in conversions.from_readings([OwnReading(t_s=1.0, source="gyro", heading_deg=10.0)], 1.0)] == [
        "imu/data"
    ]
    [(_, imu)] = over_the_wire([OwnReading(t_s=1.0, source="gyro", heading_deg=10.0)])
    back = conversions.own_from_imu(imu)
    assert back and back.rot_deg_min is None and back.heading_deg == pytest.approx(10.0)


def test_route_there_and_back_and_as_a_path() -> None:
    route = RouteReading(t_s=3.0, source="plan", waypoints=((58.0, 10.0), (58.1, 10.2)), planned_sog_kn=12.0)
    [(_, message)] = over_the_wire([route])
    got = conversions.route_from_message(message)
    assert got and got.waypoints == route.waypoints and got.planned_sog_kn == pytest.approx(12.0)
    path = conversions.path_from_route(route, (58.0, 10.0), 3.0)
    assert path.poses[0].pose.position.x == pytest.approx(0.0, abs=1e-6) and path.poses[1].pose.position.y == pytest.approx(
        11_139, rel=0.01
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"latitude": [1.0], "longitude": [1.0, 2.0], "speed": 1.0}, "unequal"),
        ({"latitude": [91.0], "longitude": [1.0], "speed": 1.0}, "off the globe"),
        ({"latitude": [nan], "longitude": [1.0], "speed": 1.0}, "not a number"),
        ({"latitude": [], "longitude": [], "speed": 1.0}, "empty"),
        ({"latitude": [1.0], "longitude": [1.0], "speed": inf}, "no speed"),
    ],
)
def test_a_senseless_route_is_none(fields: dict[str, Any], why: str) -> None:
    assert conversions.route_from_message(new(topics.ROUTE.type_name, **fields)) is None, why


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_no_position_off_the_globe_comes_in(latitude: float, longitude: float) -> None:
    got = conversions.own_from_fix(new(topics.FIX.type_name, latitude=latitude, longitude=longitude))
    assert got is None or (abs(got.lat_deg or 0) <= 90 and abs(got.lon_deg or 0) <= 180)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_numbers_that_are_not_finite_arrive_as_unknown(value: float) -> None:
    track = new("sdx_msgs/msg/TargetTrack", track_id="radar:1", course=value, speed=value, rate_of_turn=value, length=value)
    [got] = conversions.targets_from_array(new(topics.TARGETS.type_name, targets=[track]))
    for number in (got.cog_deg, got.sog_kn, got.rot_deg_min, got.length_m):
        assert number is None or abs(number) < inf


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_own_motion_that_is_not_finite_says_nothing(east: float, north: float) -> None:
    vel = new(topics.VEL.type_name)
    vel.twist.linear.x, vel.twist.linear.y = east, north
    imu = new(topics.IMU.type_name)
    imu.orientation.w, imu.angular_velocity.z = north, east
    state = new(topics.OWN_STATE.type_name, rudder=east, ordered_heading=north, ordered_speed=east)
    for reading in (conversions.own_from_vel(vel), conversions.own_from_imu(imu), conversions.own_from_state(state)):
        numbers = reading.model_dump(exclude={"source"}).values() if reading else ()
        assert all(number is None or abs(number) < inf for number in numbers)


def test_a_receiver_without_a_fix_says_nothing() -> None:
    fix = new(topics.FIX.type_name, latitude=1.0, longitude=1.0)
    fix.status.status = -1
    assert conversions.own_from_fix(fix) is None


ORDER = Order(
    domain="ship", setpoints={"heading_deg": 30.0, "speed_kn": 12.0}, issued_s=100.0, valid_for_s=90.0, source="model", picture_id="p"
)


def test_an_order_there_and_back() -> None:
    helm = deserialise(serialise(conversions.helm_from_order(ORDER, "verdict", 7)), topics.COMMAND_COURSE.type_name)
    assert helm.order_id == ORDER.id and helm.verdict_id == "verdict" and helm.seq == 7
    got = conversions.order_from_helm(helm, 101.0)
    assert got.setpoints["heading_deg"] == pytest.approx(30.0) and got.setpoints["speed_kn"] == pytest.approx(12.0)
    assert (got.issued_s, got.valid_for_s, got.source) == (100.0, 90.0, "model")


@pytest.mark.parametrize(
    ("change", "now_s", "message"),
    [
        ({"verdict_id": ""}, 101.0, "no verdict"),
        ({"order_id": ""}, 101.0, "no verdict or order id"),
        ({"heading": nan}, 101.0, "not finite"),
        ({"heading": 1e307}, 101.0, "not finite"),
        ({"speed": inf}, 101.0, "not finite"),
        ({"valid_for": -1.0}, 101.0, "valid_for_s"),
        ({"source": "somebody"}, 101.0, "source"),
        ({}, 191.0, "is over at 191.0 s"),
    ],
)
def test_commands_that_are_not_carried_out(change: dict[str, Any], now_s: float, message: str) -> None:
    helm = conversions.helm_from_order(ORDER, "verdict", 7)
    for name, value in change.items():
        setattr(helm, name, value)
    with pytest.raises(ValueError, match=message):
        conversions.order_from_helm(helm, now_s)


@pytest.mark.parametrize("t_s", [-1.0, nan, inf, 1e12])
def test_times_that_no_stamp_carries(t_s: float) -> None:
    with pytest.raises(ValueError, match="a stamp carries"):
        conversions.stamp(t_s)


@given(TIMES)
def test_stamps_are_good_to_the_nanosecond(t_s: float) -> None:
    stamp = conversions.stamp(t_s)
    assert 0 <= stamp.nanosec < 10**9 and conversions.seconds(stamp) == pytest.approx(t_s, abs=1e-6)


def test_a_reading_without_a_message_is_an_error() -> None:
    with pytest.raises(TypeError, match="no message carries a Reading"):
        conversions.from_readings([Reading(t_s=0.0, source="x")], 0.0)
