"""The one place where compass and ROS angles meet.

Compass: degrees clockwise from north, 0 <= x < 360. ROS (REP-103, ENU): radians counter-clockwise from east,
-pi < x <= pi. Rates: nautical degrees per minute + to starboard, ROS radians per second + to port.
"""

from math import atan2, cos, degrees, hypot, isfinite, pi, radians, sin

from sdx_domains.ship.geometry import KN_MS


def enu_from_compass(compass_deg: float) -> float:
    """Radians ENU in (-pi, pi]."""
    angle = radians((90.0 - compass_deg) % 360.0)
    return angle if angle <= pi else angle - 2.0 * pi


def compass_from_enu(enu_rad: float) -> float:
    """Degrees in [0, 360)."""
    compass = (90.0 - degrees(enu_rad)) % 360.0
    return 0.0 if compass == 360.0 else compass  # -1e-15 % 360 is 360.0 in floating point


def enu_rate(nautical_deg_min: float) -> float:
    """rad/s, + to port."""
    return -radians(nautical_deg_min) / 60.0


def nautical_rate(enu_rad_s: float) -> float:
    """deg/min, + to starboard."""
    return -degrees(enu_rad_s) * 60.0


def yaw_quaternion(enu_rad: float) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a level body with that yaw."""
    return 0.0, 0.0, sin(enu_rad / 2.0), cos(enu_rad / 2.0)


def yaw_of(x: float, y: float, z: float, w: float) -> float | None:
    """Yaw of a quaternion in (-pi, pi]; None when it is not one (zero length, not finite)."""
    length = hypot(x, y, z, w)
    if not isfinite(length) or length < 1e-6:
        return None
    x, y, z, w = x / length, y / length, z / length, w / length
    return atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def velocity_enu(cog_deg: float, sog_kn: float) -> tuple[float, float]:
    """(east, north) in m/s."""
    angle, speed = enu_from_compass(cog_deg), sog_kn * KN_MS
    return speed * cos(angle), speed * sin(angle)


def cog_sog(east_m_s: float, north_m_s: float) -> tuple[float | None, float]:
    """(course deg, speed kn) of a velocity; no course below 1 mm/s."""
    speed = hypot(east_m_s, north_m_s)
    course = compass_from_enu(atan2(north_m_s, east_m_s)) if speed > 1e-3 else None
    return course, speed / KN_MS
