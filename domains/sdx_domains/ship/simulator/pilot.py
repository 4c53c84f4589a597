"""Keeping a ship on its route: which course to steer now, with cross-track correction, and which waypoint is next."""

from collections.abc import Sequence
from math import atan2, degrees, hypot

from sdx_domains.ship.dynamics import MotionState

PASSED_WITHIN_M = 0.3 * 1852.0
"""A waypoint counts as passed this near, or when abeam."""
LOOK_AHEAD_M = 1000.0
"""The course points at the leg this far ahead (line-of-sight guidance, Fossen ch. 12.4)."""


class RoutePilot:
    """Follows waypoints (north_m, east_m) from where the ship starts; after the last it holds the last leg's course."""

    def __init__(self, start: MotionState, waypoints: Sequence[tuple[float, float]], speeds_kn: Sequence[float]) -> None:
        """`speeds_kn`: one per waypoint, for the leg that leads to it."""
        self._from = (start.north_m, start.east_m)
        self._ahead = [
            (point, speed)
            for point, speed in zip(waypoints, speeds_kn, strict=True)
            if hypot(point[0] - start.north_m, point[1] - start.east_m) > 1.0
        ]
        self._heading_deg, self._speed_kn = start.heading_deg, start.speed_kn

    @property
    def waypoints(self) -> list[tuple[float, float]]:
        """Still ahead, in order."""
        return [point for point, _ in self._ahead]

    def steer(self, state: MotionState) -> tuple[float, float]:
        """Course to steer (deg) and speed (kn) now; passes waypoints as they come."""
        while self._ahead:
            (north, east), self._speed_kn = self._ahead[0]
            leg_n, leg_e = north - self._from[0], east - self._from[1]
            leg = hypot(leg_n, leg_e)
            done_n, done_e = state.north_m - self._from[0], state.east_m - self._from[1]
            along = (done_n * leg_n + done_e * leg_e) / leg
            if len(self._ahead) > 1 and (along >= leg or hypot(north - state.north_m, east - state.east_m) < PASSED_WITHIN_M):
                self._from = self._ahead.pop(0)[0]
                continue
            aside = (done_e * leg_n - done_n * leg_e) / leg
            course = atan2(leg_e, leg_n) - atan2(aside, LOOK_AHEAD_M)
            self._heading_deg = degrees(course) % 360.0
            if along >= leg:
                self._from = self._ahead.pop(0)[0]
                self._heading_deg = degrees(atan2(leg_e, leg_n)) % 360.0
            break
        return self._heading_deg, self._speed_kn

    def distance_left_m(self, state: MotionState) -> float:
        """From here along the waypoints still ahead; 0 after the last."""
        here, total = (state.north_m, state.east_m), 0.0
        for point, _ in self._ahead:
            total += hypot(point[0] - here[0], point[1] - here[1])
            here = point
        return total
