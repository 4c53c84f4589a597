"""The route that own ship follows: waypoints passed, cross-track error, course to steer."""

from math import atan2, cos, degrees, hypot, isfinite, radians, sin

from sdx_domains.ship.geometry import NM_M, LocalPlane, wrap180, wrap360
from sdx_domains.ship.picture import Route, RouteReading
from sdx_domains.ship.tracker import Report

PASSED_NM = 0.3
"""A waypoint this near, or abeam, is passed."""
STRAIGHT_ON_NM = 20.0
"""Length of the leg assumed without a route, or after its last waypoint."""
LOOK_AHEAD_NM = 4.0
"""Off the leg, own ship steers for the point of the leg this far ahead: about 14 deg back at 1 NM off."""

Waypoint = tuple[float, float]


class RouteFollower:
    """Active leg and what is left of the route. Without one: straight on along the first heading seen."""

    def __init__(self) -> None:
        self._given: tuple[Waypoint, ...] = ()
        self._left: tuple[Waypoint, ...] = ()
        self._from: Waypoint | None = None
        self._speed_kn: float | None = None

    def fold(self, reading: RouteReading, report: Report) -> None:
        """Take a route over if it is new; the same one, or its rest, repeated, changes nothing."""
        points, speed = reading.waypoints, reading.planned_sog_kn
        good = all(isfinite(lat) and isfinite(lon) and abs(lat) <= 89.0 and abs(lon) <= 180.0 for lat, lon in points)
        if not points or not good or not (isfinite(speed) and 0.0 < speed <= 60.0):
            report(
                reading.t_s, "bad_route", f"route with waypoints {points[:3]!r} and speed {speed!r} kn ignored: need positions and 0-60 kn"
            )
            return
        self._speed_kn = speed
        if points in (self._given, self._left):
            return
        rest = len(self._left) > len(points) and self._left[-len(points) :] == points
        self._from = self._left[-len(points) - 1] if rest else None
        self._given = self._left = points

    def at(self, lat: float, lon: float, heading_deg: float, sog_kn: float) -> Route:
        """The route seen from own position; drops the waypoints that were passed."""
        plane = LocalPlane(lat, lon)
        if not self._left:
            self._straight_on(plane, heading_deg)
        if self._from is None:
            self._from = (lat, lon)
        while True:
            n0, e0 = plane.to_plane(*self._from)
            n1, e1 = plane.to_plane(*self._left[0])
            length = hypot(n1 - n0, e1 - e0)
            course = wrap360(degrees(atan2(e1 - e0, n1 - n0))) if length > 1.0 else heading_deg
            c, s = cos(radians(course)), sin(radians(course))
            to_go = n1 * c + e1 * s
            if to_go > 0.0 and hypot(n1, e1) > PASSED_NM * NM_M:
                break
            self._from, self._left = self._left[0], self._left[1:]
            if not self._left:
                self._straight_on(plane, course)
        xte = n0 * s - e0 * c
        ahead = min(to_go, LOOK_AHEAD_NM * NM_M)
        back = degrees(atan2(xte, ahead)) if ahead < to_go else course - degrees(atan2(e1, n1))
        return Route.model_construct(
            waypoints=self._left,
            leg_course_deg=course,
            course_to_steer_deg=wrap360(course - wrap180(back)),
            xte_m=xte,
            planned_sog_kn=self._speed_kn if self._speed_kn is not None else sog_kn,
            distance_nm=self._distance_m(plane) / NM_M,
        )

    def _straight_on(self, plane: LocalPlane, course_deg: float) -> None:
        c, d = radians(course_deg), STRAIGHT_ON_NM * NM_M
        self._left = (plane.to_geo(d * cos(c), d * sin(c)),)

    def _distance_m(self, plane: LocalPlane) -> float:
        total, n0, e0 = 0.0, 0.0, 0.0
        for point in self._left:
            n1, e1 = plane.to_plane(*point)
            total += hypot(n1 - n0, e1 - e0)
            n0, e0 = n1, e1
        return total
