"""The other vessels: they hold on, comply with the rules, or misbehave, within what their hulls can do."""

from math import atan2, cos, degrees, hypot, radians, sin

from sdx_domains.ship.dynamics import MotionState, over_ground, step
from sdx_domains.ship.geometry import KN_MS, NM_M, closest_approach, wrap180
from sdx_domains.ship.scenarios.scenario import TargetStart, ship_of
from sdx_domains.ship.simulator.pilot import RoutePilot

Drift = tuple[float, float, float, float]
"""Current north, east and wind north, east, m/s."""

COMPLY_CPA_M = 0.5 * NM_M
COMPLY_WANTED_CPA_M = 0.7 * NM_M
COMPLY_TCPA_S = 15 * 60.0
COMPLY_RANGE_M = 6.0 * NM_M
COMPLY_TURNS_DEG = (30.0, 45.0, 60.0, 75.0, 90.0)
EXTREMIS_RANGE_M = 0.8 * NM_M
EXTREMIS_TCPA_S = 180.0
THINK_EVERY_S = 5.0
ZIGZAG_DEG = 30.0
ZIGZAG_PERIOD_S = 240.0
PORT_TURN_DEG = 60.0


class Vessel:
    """One target under way. `step` moves it; what it does follows from `start.behaviour` and from where own ship is."""

    def __init__(self, start: TargetStart, state: MotionState, waypoints: list[tuple[float, float]]) -> None:
        self.start = start
        self.state = state
        self.parameters = ship_of(start.length_m, start.beam_m, max(start.speed_kn, 4.0))
        self._pilot = RoutePilot(state, waypoints, start.leg_speeds_kn or [start.speed_kn] * len(waypoints))
        self._triggered_s: float | None = None
        self._trigger_heading_deg = 0.0
        self._evading_deg: float | None = None
        self._think_s = 0.0

    def step(self, t_s: float, dt_s: float, own: MotionState, own_velocity: tuple[float, float], drift: Drift) -> None:
        """From `t_s` on by `dt_s`."""
        heading, speed = self._pilot.steer(self.state)
        behaviour = self.start.behaviour
        if behaviour == "comply":
            if t_s >= self._think_s:
                self._think_s = t_s + THINK_EVERY_S
                self._evading_deg = self._evasion(heading, own, own_velocity, drift)
            if self._evading_deg is not None:
                heading = self._evading_deg
        elif behaviour != "hold":
            heading, speed = self._misbehave(t_s, heading, speed, own)
        self.state = step(self.state, heading, speed, self.parameters, dt_s, *drift)

    def _misbehave(self, t_s: float, heading: float, speed: float, own: MotionState) -> tuple[float, float]:
        """Heading and speed orders of a vessel that does as it likes once own ship is near."""
        if self._triggered_s is None:
            if hypot(own.north_m - self.state.north_m, own.east_m - self.state.east_m) > self.start.trigger_range_nm * NM_M:
                return heading, speed
            self._triggered_s, self._trigger_heading_deg = t_s, self.state.heading_deg
        match self.start.behaviour:
            case "port_turn":
                return (self._trigger_heading_deg - PORT_TURN_DEG) % 360.0, speed
            case "stop":
                return self._trigger_heading_deg, 0.0
            case "zigzag":
                side = 1.0 if (t_s - self._triggered_s) % ZIGZAG_PERIOD_S < ZIGZAG_PERIOD_S / 2.0 else -1.0
                return (self._trigger_heading_deg + side * ZIGZAG_DEG) % 360.0, speed
            case "speed_up":
                return heading, self.parameters.max_speed_kn
            case _:
                raise ValueError(f"{self.start.name}: no behaviour {self.start.behaviour!r}")

    def _evasion(self, base_deg: float, own: MotionState, own_velocity: tuple[float, float], drift: Drift) -> float | None:
        """Heading of a starboard alteration that Rules 13-17 ask of this vessel now; None: hold on, or back to the route.

        Deliberately plain: one target's view, own ship taken to hold its course; once begun it lasts until the way back is clear.
        """
        dn, de = own.north_m - self.state.north_m, own.east_m - self.state.east_m
        distance = hypot(dn, de)
        cpa, tcpa = self._approach(base_deg, dn, de, own_velocity, drift)
        if self._evading_deg is not None:
            return None if tcpa <= 0.0 or cpa > COMPLY_WANTED_CPA_M else self._evading_deg
        if not (0.0 < tcpa < COMPLY_TCPA_S and cpa < COMPLY_CPA_M and distance < COMPLY_RANGE_M):
            return None
        in_extremis = distance < EXTREMIS_RANGE_M and tcpa < EXTREMIS_TCPA_S
        if not (in_extremis or self._must_give_way(dn, de, own)):
            return None
        for turn in COMPLY_TURNS_DEG:
            heading = (base_deg + turn) % 360.0
            if self._approach(heading, dn, de, own_velocity, drift)[0] > COMPLY_WANTED_CPA_M:
                return heading
        return (base_deg + COMPLY_TURNS_DEG[-1]) % 360.0

    def _must_give_way(self, dn: float, de: float, own: MotionState) -> bool:
        """Head-on, overtaking, or own ship on this vessel's starboard side (Rules 14, 13, 15)."""
        bearing = degrees(atan2(de, dn))
        relative = wrap180(bearing - self.state.heading_deg)
        aspect = wrap180(bearing + 180.0 - own.heading_deg)
        course_difference = abs(wrap180(own.heading_deg - self.state.heading_deg))
        if abs(aspect) > 112.5:
            return self.state.speed_kn > own.speed_kn
        if abs(relative) > 112.5:
            return False
        return (course_difference > 167.0 and abs(relative) < 13.0) or relative > 0.0

    def _approach(self, heading_deg: float, dn: float, de: float, own_velocity: tuple[float, float], drift: Drift) -> tuple[float, float]:
        """(closest distance m, time s) against own ship if this vessel went on at this heading; the time is negative when past."""
        vn, ve = over_ground(self.state._replace(heading_deg=heading_deg), *drift)
        return closest_approach(dn, de, own_velocity[0] - vn, own_velocity[1] - ve)


def drift_of(wind_kn: float, wind_from_deg: float, current_kn: float, current_to_deg: float) -> Drift:
    """Wind and current of an Environment as velocities."""
    to, away = radians(current_to_deg), radians(wind_from_deg + 180.0)
    current, wind = current_kn * KN_MS, wind_kn * KN_MS
    return current * cos(to), current * sin(to), wind * cos(away), wind * sin(away)
