"""The slow truth that assurance is measured against: every plan sailed in one-second steps by the ship's own dynamics.

The same equations as `dynamics`, written for many rows at once (a test holds the two together); shares nothing with `rollout`'s
closed forms. Calm water, one waypoint.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.ship.dynamics import HEADING_TIME_SHARE, LOWEST_SPEED_SHARE, RATE_TIME_SHARE
from sdx_domains.ship.geometry import KN_MS, NM_M, LocalPlane
from sdx_domains.ship.lattice import Plans
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.rollout import HORIZON_S, LEAST_HORIZON_S, NEAR_S, WORST_SPEED_SHARE, WORST_TURN_DEG

Array = NDArray[np.float64]
NEVER = 99.0


@dataclass(frozen=True, slots=True)
class Voyages:
    """R plans, each in its own picture: what to sail."""

    pictures: list[ShipPicture]
    course_deg: Array
    speed_kn: Array
    start_s: Array
    duration_s: Array
    before_deg: Array
    before_kn: Array

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True, slots=True)
class Sailed:
    """What came of it. (R, T), targets beyond a picture's own at NEVER."""

    cpa_nm: Array
    tcpa_s: Array
    near_nm: Array
    """Smallest distance in the next minutes over the targets' worst cases."""
    ahead_nm: Array
    """Smallest range at which own ship crosses the target's bow; NEVER if it does not."""


def voyages(picture: ShipPicture, plans: Plans) -> Voyages:
    """All plans of one picture."""
    k = len(plans)
    before = (np.full(k, plans.before[0]), np.full(k, plans.before[1]))
    return Voyages([picture] * k, plans.course_deg, plans.speed_kn, plans.start_s, plans.duration_s, *before)


def together(parts: list[Voyages]) -> Voyages:
    pictures = [picture for part in parts for picture in part.pictures]
    names = ("course_deg", "speed_kn", "start_s", "duration_s", "before_deg", "before_kn")
    return Voyages(pictures, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def sail(rows: Voyages, dt_s: float = 1.0, horizon_s: float = HORIZON_S) -> Sailed:
    """Step all rows through time; the closest approach is looked for at every step, between steps by the chord."""
    ship, targets = _Ships(rows), _Targets(rows)
    t = 0.0
    targets.see(ship, t, dt_s)
    while t < horizon_s:
        ship.step(rows, t, dt_s)
        t += dt_s
        targets.see(ship, t, dt_s)
    return Sailed(targets.cpa / NM_M, targets.tcpa, targets.near / NM_M, targets.ahead / NM_M)


class _Ships:
    """Own ships, one per row; m, m/s, deg, deg/s."""

    def __init__(self, rows: Voyages) -> None:
        own = [picture.own for picture in rows.pictures]
        self.n, self.e = np.zeros(len(own)), np.zeros(len(own))
        self.psi = np.array([o.heading_deg for o in own])
        self.rate = np.array([o.rot_deg_min / 60.0 for o in own])
        self.rudder = np.array([o.rudder_deg for o in own])
        self.u = np.array([o.sog_kn * np.cos(np.radians(o.cog_deg - o.heading_deg)) for o in own])
        self.planned = np.array([p.route.planned_sog_kn for p in rows.pictures])
        goals = [LocalPlane(p.own.lat_deg, p.own.lon_deg).to_plane(*p.route.waypoints[-1]) for p in rows.pictures]
        self.goal_n, self.goal_e = np.array([g[0] for g in goals]), np.array([g[1] for g in goals])
        leg = np.radians([p.route.leg_course_deg for p in rows.pictures])
        self.leg_deg, self.leg_n, self.leg_e = np.degrees(leg), np.cos(leg), np.sin(leg)
        self.arrived = np.zeros(len(own), dtype=np.bool_)
        self.p = rows.pictures[0].own.parameters

    def step(self, rows: Voyages, t: float, h: float) -> None:
        heading, speed = self._orders(rows, t)
        p = self.p
        order = np.clip(speed, 0.0, p.max_speed_kn)
        in_t = np.maximum(LOWEST_SPEED_SHARE * p.service_speed_kn, self.u)
        time = p.nomoto_t_s * p.service_speed_kn / in_t
        k0 = p.nomoto_k_1_s / p.service_speed_kn
        limit = p.max_rot_deg_min / 60.0
        error = (heading - self.psi + 180.0) % 360.0 - 180.0
        wanted = np.clip(error / (HEADING_TIME_SHARE * RATE_TIME_SHARE * time), -limit, limit)
        rudder = np.clip((self.rate + (wanted - self.rate) / RATE_TIME_SHARE) / (k0 * in_t), -p.max_rudder_deg, p.max_rudder_deg)
        self.rudder = self.rudder + np.clip(rudder - self.rudder, -p.rudder_rate_deg_s * h, p.rudder_rate_deg_s * h)
        rate = self.rate + (k0 * self.u * self.rudder - self.rate) * -np.expm1(-h / time)
        braking = p.turn_speed_loss / (1.0 - p.turn_speed_loss) / limit**2
        u = self.u + (order / (1.0 + braking * self.rate**2) - self.u) * -np.expm1(-h / p.surge_t_s)
        middle = np.radians(self.psi + 0.25 * (self.rate + rate) * h)
        along = 0.5 * (self.u + u) * KN_MS * h
        self.n, self.e = self.n + along * np.cos(middle), self.e + along * np.sin(middle)
        self.psi = self.psi + 0.5 * (self.rate + rate) * h
        self.rate, self.u = rate, u

    def _orders(self, rows: Voyages, t: float) -> tuple[Array, Array]:
        dn, de = self.goal_n - self.n, self.goal_e - self.e
        resumed = t >= rows.start_s + rows.duration_s
        self.arrived |= resumed & (dn * self.leg_n + de * self.leg_e <= 1.0)
        home = np.where(self.arrived, self.leg_deg, np.degrees(np.arctan2(de, dn)))
        heading = np.where(t < rows.start_s, rows.before_deg, np.where(resumed, home, rows.course_deg))
        return heading, np.where(t < rows.start_s, rows.before_kn, np.where(resumed, self.planned, rows.speed_kn))


class _Targets:
    """Targets on straight courses, padded to the largest number; (R, T)."""

    def __init__(self, rows: Voyages) -> None:
        count = max((len(picture.targets) for picture in rows.pictures), default=0)
        shape = (len(rows), count)
        self.there = np.zeros(shape, dtype=np.bool_)
        self.n0, self.e0, self.cog, self.v = (np.zeros(shape) for _ in range(4))
        for i, picture in enumerate(rows.pictures):
            for j, target in enumerate(picture.targets):
                bearing = np.radians(target.bearing_deg)
                self.there[i, j] = True
                self.n0[i, j], self.e0[i, j] = target.range_nm * NM_M * np.cos(bearing), target.range_nm * NM_M * np.sin(bearing)
                self.cog[i, j], self.v[i, j] = np.radians(target.cog_deg), target.sog_kn * KN_MS
        self.cpa, self.near, self.ahead = (np.full(shape, NEVER * NM_M) for _ in range(3))
        self.tcpa = np.zeros(shape)
        self._last: tuple[Array, Array] | None = None

    def see(self, ship: _Ships, t: float, dt_s: float) -> None:
        c, s = np.cos(self.cog), np.sin(self.cog)
        dn, de = ship.n[:, None] - self.n0, ship.e[:, None] - self.e0
        along, across = dn * c + de * s - self.v * t, de * c - dn * s
        counts = self.there & ~(ship.arrived[:, None] & (t > LEAST_HORIZON_S))
        distance = np.hypot(along, across)
        if self._last is not None:
            a0, c0 = self._last
            da, dc = along - a0, across - c0
            length2 = np.maximum(da * da + dc * dc, 1e-12)
            share = np.clip(-(a0 * da + c0 * dc) / length2, 0.0, 1.0)
            distance = np.hypot(a0 + share * da, c0 + share * dc)
            crossed = counts & (across * c0 < 0.0) & (along > 0.0)
            self.ahead = np.where(crossed, np.minimum(self.ahead, along), self.ahead)
        closer = counts & (distance < self.cpa)
        self.cpa = np.where(closer, distance, self.cpa)
        self.tcpa = np.where(closer, t, self.tcpa)
        self._last = along, across
        if t <= NEAR_S:
            self._see_worst(dn, de, t)

    def _see_worst(self, dn: Array, de: Array, t: float) -> None:
        """The corners of the target's worst case: course +-10 deg, speed +-10 %."""
        for turn in (-WORST_TURN_DEG, 0.0, WORST_TURN_DEG):
            for share in (1.0 - WORST_SPEED_SHARE, 1.0, 1.0 + WORST_SPEED_SHARE):
                course, way = self.cog + np.radians(turn), self.v * share * t
                distance = np.hypot(dn - way * np.cos(course), de - way * np.sin(course))
                self.near = np.where(self.there, np.minimum(self.near, distance), self.near)
