"""Messages <-> the domain's readings and orders. Pure functions; units and frames change here and nowhere else.

Messages carry SI units and ENU angles, NaN for "unknown"; readings carry knots, nautical miles and compass degrees,
None for "unknown". What is not finite in a message arrives as None: NaN and infinity never get past this file.
"""

from collections.abc import Sequence
from math import degrees, inf, isfinite, nan, radians
from typing import Any

import numpy as np

from sdx_domains.contract import Order, Reading
from sdx_domains.ship.geometry import KN_MS, NM_M, LocalPlane
from sdx_domains.ship.picture import EnvironmentReading, OwnReading, RouteReading, TargetReading
from sdx_ros_nodes import topics
from sdx_ros_nodes.compass import (
    cog_sog,
    compass_from_enu,
    enu_from_compass,
    enu_rate,
    nautical_rate,
    velocity_enu,
    yaw_of,
    yaw_quaternion,
)
from sdx_ros_nodes.messages import new

MAX_STAMP_S = 2**31 - 1


def stamp(t_s: float) -> Any:
    """builtin_interfaces/Time, to the nanosecond.

    Raises:
        ValueError: not a finite time a stamp can carry (0 to 2**31 - 1 s).
    """
    if not 0.0 <= t_s <= MAX_STAMP_S:
        raise ValueError(f"a stamp carries 0 to {MAX_STAMP_S} s, got {t_s}")
    total = round(t_s * 1e9)
    return new("builtin_interfaces/msg/Time", sec=total // 10**9, nanosec=total % 10**9)


def seconds(time: Any) -> float:
    return time.sec + time.nanosec * 1e-9


def header(t_s: float, frame_id: str = "") -> Any:
    return new("std_msgs/msg/Header", stamp=stamp(t_s), frame_id=frame_id)


def from_readings(readings: Sequence[Reading], now_s: float) -> list[tuple[topics.Topic, Any]]:
    """Messages for what the sensors gave, oldest first; all targets go into one array.

    Raises:
        TypeError: a reading of a kind that has no message.
    """
    made: list[tuple[topics.Topic, Any]] = []
    targets: list[Any] = []
    for reading in readings:
        if isinstance(reading, OwnReading):
            made.extend(_from_own(reading))
        elif isinstance(reading, TargetReading):
            targets.append(_from_target(reading))
        elif isinstance(reading, EnvironmentReading):
            made.append((topics.ENVIRONMENT, _from_environment(reading)))
        elif isinstance(reading, RouteReading):
            made.append((topics.ROUTE, _from_route(reading)))
        else:
            raise TypeError(f"no message carries a {type(reading).__name__}")
    if targets:
        made.append((topics.TARGETS, new(topics.TARGETS.type_name, header=header(now_s, "map"), targets=targets)))
    return made


def _from_own(own: OwnReading) -> list[tuple[topics.Topic, Any]]:
    head = header(own.t_s, own.source)
    made: list[tuple[topics.Topic, Any]] = []
    if own.lat_deg is not None and own.lon_deg is not None:
        made.append((topics.FIX, new(topics.FIX.type_name, header=head, latitude=own.lat_deg, longitude=own.lon_deg)))
    if own.sog_kn is not None and (own.cog_deg is not None or own.sog_kn == 0.0):
        east, north = velocity_enu(own.cog_deg or 0.0, own.sog_kn)
        linear = new("geometry_msgs/msg/Vector3", x=east, y=north)
        made.append((topics.VEL, new(topics.VEL.type_name, header=head, twist=new("geometry_msgs/msg/Twist", linear=linear))))
    if own.heading_deg is not None or own.rot_deg_min is not None:
        made.append((topics.IMU, _imu(head, own.heading_deg, own.rot_deg_min)))
    if own.rudder_deg is not None or own.ordered_heading_deg is not None or own.ordered_speed_kn is not None:
        state = new(
            topics.OWN_STATE.type_name,
            header=head,
            rudder=nan if own.rudder_deg is None else radians(own.rudder_deg),
            ordered_heading=_enu(own.ordered_heading_deg),
            ordered_speed=_scaled(own.ordered_speed_kn, KN_MS),
        )
        made.append((topics.OWN_STATE, state))
    return made


def _imu(head: Any, heading_deg: float | None, rot_deg_min: float | None) -> Any:
    """sensor_msgs/Imu; what is not measured has -1 as the first element of its covariance, as the type prescribes."""
    x, y, z, w = yaw_quaternion(enu_from_compass(heading_deg or 0.0))
    imu = new(topics.IMU.type_name, header=head, orientation=new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w))
    imu.angular_velocity.z = 0.0 if rot_deg_min is None else enu_rate(rot_deg_min)
    imu.orientation_covariance[0] = -1.0 if heading_deg is None else 0.0
    imu.angular_velocity_covariance[0] = -1.0 if rot_deg_min is None else 0.0
    imu.linear_acceleration_covariance[0] = -1.0
    return imu


def _from_target(target: TargetReading) -> Any:
    return new(
        "sdx_msgs/msg/TargetTrack",
        header=header(target.t_s, target.source),
        track_id=_utf8(target.track_id),
        latitude=_scaled(target.lat_deg),
        longitude=_scaled(target.lon_deg),
        course=_enu(target.cog_deg),
        speed=_scaled(target.sog_kn, KN_MS),
        heading=_enu(target.heading_deg),
        rate_of_turn=nan if target.rot_deg_min is None else enu_rate(target.rot_deg_min),
        name=_utf8(target.name_untrusted or ""),
        nav_status=-1 if target.nav_status is None else target.nav_status,
        ship_type=-1 if target.ship_type is None else target.ship_type,
        length=_scaled(target.length_m),
        beam=_scaled(target.beam_m),
    )


def _from_environment(environment: EnvironmentReading) -> Any:
    return new(
        topics.ENVIRONMENT.type_name,
        header=header(environment.t_s, environment.source),
        visibility=_scaled(environment.visibility_nm, NM_M),
        wind_speed=_scaled(environment.wind_kn, KN_MS),
        wind_from=_enu(environment.wind_from_deg),
        current_speed=_scaled(environment.current_kn, KN_MS),
        current_to=_enu(environment.current_to_deg),
        daylight=-1 if environment.daylight is None else int(environment.daylight),
        depth=_scaled(environment.depth_m),
    )


def _from_route(route: RouteReading) -> Any:
    return new(
        topics.ROUTE.type_name,
        header=header(route.t_s, route.source),
        latitude=np.array([lat for lat, _ in route.waypoints], dtype=np.float64),
        longitude=np.array([lon for _, lon in route.waypoints], dtype=np.float64),
        speed=route.planned_sog_kn * KN_MS,
    )


def own_from_fix(fix: Any) -> OwnReading | None:
    """None when the receiver has no fix, or the position is not on the globe."""
    if fix.status.status < 0 or not (abs(fix.latitude) <= 90.0 and abs(fix.longitude) <= 180.0):
        return None
    return OwnReading(t_s=seconds(fix.header.stamp), source=_source(fix, "gnss"), lat_deg=fix.latitude, lon_deg=fix.longitude)


def own_from_vel(vel: Any) -> OwnReading | None:
    east, north = vel.twist.linear.x, vel.twist.linear.y
    if not (isfinite(east) and isfinite(north)):
        return None
    cog_deg, sog_kn = cog_sog(east, north)
    if not isfinite(sog_kn):
        return None
    return OwnReading(t_s=seconds(vel.header.stamp), source=_source(vel, "gnss"), cog_deg=cog_deg, sog_kn=sog_kn)


def own_from_imu(imu: Any) -> OwnReading | None:
    q = imu.orientation
    yaw = None if imu.orientation_covariance[0] < 0 else yaw_of(q.x, q.y, q.z, q.w)
    rate = None if imu.angular_velocity_covariance[0] < 0 else _known(nautical_rate(imu.angular_velocity.z))
    if yaw is None and rate is None:
        return None
    return OwnReading(
        t_s=seconds(imu.header.stamp),
        source=_source(imu, "gyro"),
        heading_deg=None if yaw is None else compass_from_enu(yaw),
        rot_deg_min=rate,
    )


def own_from_state(state: Any) -> OwnReading:
    return OwnReading(
        t_s=seconds(state.header.stamp),
        source=_source(state, "autopilot"),
        rudder_deg=_known(degrees(state.rudder)),
        ordered_heading_deg=_compass(state.ordered_heading),
        ordered_speed_kn=_known(state.ordered_speed, KN_MS),
    )


def targets_from_array(array: Any) -> list[TargetReading]:
    """Reports without a track id are left out: nothing could be followed up."""
    return [_target(track) for track in array.targets if track.track_id]


def _target(track: Any) -> TargetReading:
    return TargetReading(
        t_s=seconds(track.header.stamp),
        source=_source(track, "ais"),
        track_id=track.track_id,
        lat_deg=_known(track.latitude),
        lon_deg=_known(track.longitude),
        cog_deg=_compass(track.course),
        sog_kn=_known(track.speed, KN_MS),
        heading_deg=_compass(track.heading),
        rot_deg_min=_known(nautical_rate(track.rate_of_turn)),
        name_untrusted=track.name or None,
        nav_status=None if track.nav_status < 0 else int(track.nav_status),
        ship_type=None if track.ship_type < 0 else int(track.ship_type),
        length_m=_known(track.length),
        beam_m=_known(track.beam),
    )


def environment_from_state(state: Any) -> EnvironmentReading:
    return EnvironmentReading(
        t_s=seconds(state.header.stamp),
        source=_source(state, "sensors"),
        visibility_nm=_known(state.visibility, NM_M),
        wind_kn=_known(state.wind_speed, KN_MS),
        wind_from_deg=_compass(state.wind_from),
        current_kn=_known(state.current_speed, KN_MS),
        current_to_deg=_compass(state.current_to),
        daylight=None if state.daylight < 0 else bool(state.daylight),
        depth_m=_known(state.depth),
    )


def route_from_message(route: Any) -> RouteReading | None:
    """None when it has no waypoint, one that is not on the globe, unequal lists, or no speed."""
    latitudes, longitudes = [float(v) for v in route.latitude], [float(v) for v in route.longitude]
    sound = all(abs(lat) <= 90.0 for lat in latitudes) and all(abs(lon) <= 180.0 for lon in longitudes)
    if not latitudes or len(latitudes) != len(longitudes) or not sound or not 0.0 <= route.speed < inf:
        return None
    return RouteReading(
        t_s=seconds(route.header.stamp),
        source=_source(route, "plan"),
        waypoints=tuple(zip(latitudes, longitudes, strict=True)),
        planned_sog_kn=route.speed / KN_MS,
    )


def helm_from_order(order: Order, verdict_id: str, seq: int) -> Any:
    """HelmCommand of a ship order.

    Raises:
        KeyError: the order has no heading_deg or no speed_kn.
    """
    return new(
        topics.COMMAND_COURSE.type_name,
        header=header(order.issued_s, "map"),
        heading=enu_from_compass(order.setpoints["heading_deg"]),
        speed=order.setpoints["speed_kn"] * KN_MS,
        valid_for=order.valid_for_s,
        seq=seq,
        source=order.source,
        verdict_id=verdict_id,
        order_id=order.id,
    )


def order_from_helm(helm: Any, now_s: float) -> Order:
    """The order in a command, for the equipment. Its id is not the original's: that one is helm.order_id.

    Raises:
        ValueError: no verdict behind it, not finite, from nobody known, or over; says which.
    """
    if not helm.verdict_id or not helm.order_id:
        raise ValueError(f"command {helm.seq} has no verdict or order id: not carried out")
    setpoints = {"heading_deg": compass_from_enu(helm.heading), "speed_kn": helm.speed / KN_MS}
    if not all(isfinite(value) for value in (*setpoints.values(), helm.valid_for)):
        raise ValueError(f"command {helm.seq} has a number that is not finite: {helm.heading}, {helm.speed}, {helm.valid_for}")
    order = Order(
        domain="ship",
        setpoints=setpoints,
        issued_s=seconds(helm.header.stamp),
        valid_for_s=helm.valid_for,
        source=helm.source,
        picture_id="",
        label=helm.order_id,
    )
    if order.expired(now_s):
        raise ValueError(f"command {helm.seq} of {order.issued_s:.1f} s for {order.valid_for_s:g} s is over at {now_s:.1f} s")
    return order


def path_from_route(route: RouteReading, origin: tuple[float, float], t_s: float) -> Any:
    """nav_msgs/Path in `map` (ENU, m) for display. Origin: (lat_deg, lon_deg)."""
    plane = LocalPlane(*origin)
    poses = []
    for lat_deg, lon_deg in route.waypoints:
        north, east = plane.to_plane(lat_deg, lon_deg)
        pose = new("geometry_msgs/msg/PoseStamped", header=header(t_s, "map"))
        pose.pose.position.x, pose.pose.position.y, pose.pose.orientation.w = float(east), float(north), 1.0
        poses.append(pose)
    return new(topics.PLAN.type_name, header=header(t_s, "map"), poses=poses)


def _utf8(text: str) -> str:
    """Text from outside may hold half surrogate pairs; one of them must not cost the whole message."""
    return text.encode("utf-8", "replace").decode()


def _source(message: Any, default: str) -> str:
    return message.header.frame_id or default


def _scaled(value: float | None, unit: float = 1.0) -> float:
    return nan if value is None else value * unit


def _known(value: float, unit: float = 1.0) -> float | None:
    scaled = float(value) / unit
    return scaled if isfinite(scaled) else None


def _enu(compass_deg: float | None) -> float:
    return nan if compass_deg is None else enu_from_compass(compass_deg)


def _compass(enu_rad: float) -> float | None:
    return _known(compass_from_enu(enu_rad))
