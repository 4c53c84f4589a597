"""Where own ship would be, and how near every target would come, for many manoeuvres at once.

A plan: hold the present order until `start`, steer `course` at `speed` for `duration`, then resume the route at its planned speed.
Own ship answers as `dynamics.step` does (heading autopilot with rate limit and lag, surge lag, loss of speed in a turn, drift by
current and wind), but in closed form: a phase is a turn (rate limit, then exponential approach) and a run (surge lag), so a plan is
some fifty nodes whatever its length. Between nodes both ships go straight, and the closest approach is solved per segment: it does
not depend on the node spacing (`detail` doubles the nodes; a test holds both against each other and against `dynamics.step`).

Plane: metres north and east of own ship's present position. Arrays: K plans, M nodes, T targets (in the picture's order).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdx_domains.ship.dynamics import HEADING_TIME_SHARE, LEEWAY_SHARE, LOWEST_SPEED_SHARE, RATE_TIME_SHARE
from sdx_domains.ship.geometry import KN_MS, NM_M, LocalPlane
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.route import PASSED_NM

Array = NDArray[np.float64]

HORIZON_S = 3600.0
"""A slow convergence (an overtaken vessel ahead of the route's end) shows no earlier."""
LEAST_HORIZON_S = 1200.0
"""Beyond the route's last waypoint own ship is taken to go straight on until this time; later conflicts there are not hers."""
NEAR_S = 300.0
"""Within this time a target may deviate by its worst case: longer than an order lives plus a turn of 90 degrees."""
WORST_TURN_DEG = 10.0
WORST_SPEED_SHARE = 0.10
AHEAD_NM = 5.0
"""Crossing a bow farther off than this is not looked at."""
_RUDDER_DELAY_S = 1.5
_TURN_NODES = 10
_RUN_SHARES = np.array([0.0, 0.4, 0.9, 1.6, 2.8, 5.0])
_MAX_LEGS = 3


@dataclass(frozen=True, slots=True)
class Tracks:
    """Own ship's tracks: (K, M) each. Seconds from now, metres."""

    t_s: Array
    north_m: Array
    east_m: Array
    arrival_s: Array
    """(K,) at the route's end, what is left at the track's end reckoned at planned speed."""


@dataclass(frozen=True, slots=True)
class RollOut:
    """What the plans lead to. (K, T) unless said."""

    cpa_nm: Array
    """Smallest distance, between samples too."""
    tcpa_s: Array
    """When."""
    near_nm: Array
    """Smallest distance in the next NEAR_S if the target deviates by +-10 deg and +-10 % (a lower bound)."""
    ahead_nm: Array
    """Smallest range at which own ship crosses the target's bow, inf when it does not."""
    side_nm: Array
    """Own ship's distance to starboard of the target's track at the closest approach, - = to port."""
    along_nm: Array
    """Own ship's distance ahead of the target's beam at the closest approach, - = abaft it."""
    extra_time_s: Array
    """(K,) against resuming the route at once."""


@dataclass(slots=True)
class _State:
    t: Array
    n: Array
    e: Array
    psi: Array
    rate: Array
    u: Array


@dataclass(frozen=True, slots=True)
class _Ship:
    """Constants of one picture that the integration needs; m/s, deg/s."""

    service: float
    max_rate: float
    k0: float
    t0: float
    max_rudder: float
    braking: float
    surge_t: float
    max_speed: float
    current: tuple[float, float]
    wind: tuple[float, float]


def roll_out(
    picture: ShipPicture,
    courses_deg: ArrayLike,
    speeds_kn: ArrayLike,
    starts_s: ArrayLike,
    durations_s: ArrayLike,
    before: tuple[float, float] | None = None,
    horizon_s: float = HORIZON_S,
    detail: int = 1,
    extra_time: bool = True,
) -> RollOut:
    """Own tracks, then every target against them.

    Args:
        courses_deg, speeds_kn, starts_s, durations_s: (K,) or scalars. Duration 0: resume the route at `start`.
        before: (heading_deg, speed_kn) held until `start`; default what the autopilot holds now.
        detail: multiplies the number of nodes.
        extra_time: else it is left at 0, for speed.
    """
    tracks = own_tracks(picture, courses_deg, speeds_kn, starts_s, durations_s, before, horizon_s, detail)
    extra = np.zeros(tracks.arrival_s.shape)
    if extra_time:
        extra = tracks.arrival_s - own_tracks(picture, 0.0, 0.0, 0.0, 0.0, None, horizon_s).arrival_s[0]
    return _against_targets(picture, tracks, extra)


def present_order(picture: ShipPicture) -> tuple[float, float]:
    """(heading_deg, speed_kn) that the autopilot holds; before the first order the present heading and speed."""
    own = picture.own
    heading = own.heading_deg if own.ordered_heading_deg is None else own.ordered_heading_deg
    speed = own.sog_kn if own.ordered_speed_kn is None else own.ordered_speed_kn
    return heading, speed


def own_tracks(
    picture: ShipPicture,
    courses_deg: ArrayLike,
    speeds_kn: ArrayLike,
    starts_s: ArrayLike,
    durations_s: ArrayLike,
    before: tuple[float, float] | None = None,
    horizon_s: float = HORIZON_S,
    detail: int = 1,
) -> Tracks:
    """Own ship's tracks for the plans; arguments as in `roll_out`."""
    course, speed, start, duration = (
        np.array(a, dtype=np.float64) for a in np.broadcast_arrays(*map(np.atleast_1d, (courses_deg, speeds_kn, starts_s, durations_s)))
    )
    ship = _ship(picture)
    own = picture.own
    k = course.size
    state = _State(*(np.full(k, v) for v in (0.0, 0.0, 0.0, own.heading_deg, own.rot_deg_min / 60.0, _through_water(picture, ship))))
    nodes = [(state.t[:, None], state.n[:, None], state.e[:, None])]
    first_heading, first_speed = before or present_order(picture)
    if start.any():
        end = np.minimum(start, horizon_s)
        nodes.append(_phase(ship, state, np.full(k, first_heading), np.full(k, first_speed * KN_MS), end, detail))
    if duration.any():
        end = np.minimum(start + duration, horizon_s)
        nodes.append(_phase(ship, state, course, speed * KN_MS, end, detail))
    to_go = _resume(picture, ship, state, nodes, horizon_s, detail)
    arrival = state.t + to_go / max(picture.route.planned_sog_kn * KN_MS, 0.5)
    t, n, e = (np.concatenate([node[i] for node in nodes], axis=1) for i in range(3))
    return Tracks(t, n, e, arrival)


def resume_course(picture: ShipPicture) -> float:
    """Heading that brings own ship to its waypoint, degrees true: the next one not yet passed, with the drift allowed for."""
    ship = _ship(picture)
    zero = np.zeros(1)
    points = _route_points(picture)
    state = _State(zero, zero, zero, np.array([picture.own.heading_deg]), zero, np.array([_through_water(picture, ship)]))
    aim = _passed(points, _directions(picture, points), state)
    heading = _aim(ship, points, state, aim, max(picture.route.planned_sog_kn * KN_MS, 0.5), turning=False)[0]
    return float(heading[0] % 360.0)


def _ship(picture: ShipPicture) -> _Ship:
    p, env = picture.own.parameters, picture.environment
    current, wind = np.radians(env.current_to_deg), np.radians(env.wind_from_deg + 180.0)
    max_rate = p.max_rot_deg_min / 60.0
    return _Ship(
        service=p.service_speed_kn * KN_MS,
        max_rate=max_rate,
        k0=p.nomoto_k_1_s / (p.service_speed_kn * KN_MS),
        t0=p.nomoto_t_s * p.service_speed_kn * KN_MS,
        max_rudder=p.max_rudder_deg,
        braking=p.turn_speed_loss / (1.0 - p.turn_speed_loss) / max_rate**2,
        surge_t=p.surge_t_s,
        max_speed=p.max_speed_kn * KN_MS,
        current=(float(np.cos(current)) * env.current_kn * KN_MS, float(np.sin(current)) * env.current_kn * KN_MS),
        wind=(float(np.cos(wind)) * env.wind_kn * KN_MS, float(np.sin(wind)) * env.wind_kn * KN_MS),
    )


def _through_water(picture: ShipPicture, ship: _Ship) -> float:
    """Present speed through the water along the heading, m/s: that over ground less the current."""
    own = picture.own
    cog, heading = np.radians(own.cog_deg), np.radians(own.heading_deg)
    along = own.sog_kn * KN_MS * np.cos(cog - heading) - ship.current[0] * np.cos(heading) - ship.current[1] * np.sin(heading)
    return float(np.clip(along, 0.0, 1.5 * ship.max_speed))


def _phase(ship: _Ship, state: _State, course: Array, speed: Array, end: Array, detail: int) -> tuple[Array, Array, Array]:
    """Steer for `course` (K,) and `speed` (K,) m/s until `end` (K,). Advances `state`, returns the nodes' (t, n, e)."""
    length = np.maximum(end - state.t, 0.0)
    order = np.clip(speed, 0.0, ship.max_speed)
    delta = (course - state.psi + 180.0) % 360.0 - 180.0
    in_turn = np.maximum(0.5 * (state.u + order), LOWEST_SPEED_SHARE * ship.service)
    lag = RATE_TIME_SHARE * ship.t0 / in_turn
    approach = HEADING_TIME_SHARE * lag
    delay = lag + _RUDDER_DELAY_S
    limit = np.minimum(ship.max_rate, ship.k0 * in_turn * ship.max_rudder)
    delta = delta - state.rate * delay  # what it still turns before the rudder answers
    tail = np.minimum(np.abs(delta), limit * approach)
    ramp = (np.abs(delta) - tail) / limit
    busy = (np.abs(delta) > 0.05) | (np.abs(state.rate) > 0.005)
    turn = np.where(busy, np.minimum(delay + ramp + 4.0 * approach, length), 0.0)

    # times of the nodes, and of the middles between them, from the phase's beginning
    shares = np.linspace(0.0, 1.0, 2 * _TURN_NODES * detail + 1)
    run_shares = np.interp(np.linspace(0, 1, 2 * (len(_RUN_SHARES) - 1) * detail + 1), np.linspace(0, 1, len(_RUN_SHARES)), _RUN_SHARES)
    run = turn[:, None] + np.minimum(run_shares[1:] * ship.surge_t, (length - turn)[:, None])
    last = np.stack([0.5 * (run[:, -1] + length), length], axis=1)
    tau = np.concatenate([turn[:, None] * shares, run, last], axis=1)

    psi = _headings(tau, state, delta, delay, limit, approach, ramp, tail)
    rates = np.diff(psi, axis=1) / np.maximum(np.diff(tau, axis=1), 1e-9)
    last_u, mean_u = _speeds(ship, state.u, order, rates, tau)
    north, east = _positions(ship, np.radians(psi), mean_u, tau)
    n, e = state.n[:, None] + north, state.e[:, None] + east
    t = state.t[:, None] + tau[:, 2::2]
    still = np.where(turn >= length - 1e-6, rates[:, 2 * _TURN_NODES * detail - 1], 0.0)
    state.t, state.n, state.e, state.psi, state.u = state.t + length, n[:, -1], e[:, -1], psi[:, -1], last_u
    state.rate = np.where(length > 0.0, still, state.rate)
    return t, n, e


def _headings(tau: Array, state: _State, delta: Array, delay: Array, limit: Array, approach: Array, ramp: Array, tail: Array) -> Array:
    """Heading (K, J) at times tau of a phase: coast for the delay, turn at the limit, then approach exponentially."""
    after = np.maximum(tau - delay[:, None], 0.0)
    turned = limit[:, None] * np.minimum(after, ramp[:, None])
    turned += tail[:, None] * -np.expm1(-np.maximum(after - ramp[:, None], 0.0) / approach[:, None])
    coasted = state.rate[:, None] * np.minimum(tau, delay[:, None])
    return state.psi[:, None] + coasted + np.sign(delta)[:, None] * turned


def _speeds(ship: _Ship, u0: Array, order: Array, rates: Array, tau: Array) -> tuple[Array, Array]:
    """Speed through the water at the end (K,), and its mean over each interval of tau (K, J - 1): surge lag towards the order, less
    what the turn costs; exact for a steady turn rate per interval."""
    wanted = order[:, None] / (1.0 + ship.braking * rates * rates)
    ages = np.diff(tau, axis=1) / ship.surge_t
    gone = -np.expm1(-ages)
    left = np.exp(-np.minimum(np.cumsum(ages, axis=1), 500.0))  # of the first speed, at each later time
    u = left * (u0[:, None] + np.cumsum(wanted * gone / left, axis=1))
    before = np.concatenate([u0[:, None], u[:, :-1]], axis=1)
    share = np.where(ages > 1e-6, gone / np.maximum(ages, 1e-6), 1.0)
    return u[:, -1], wanted + (before - wanted) * share


def _positions(ship: _Ship, psi: Array, mean_u: Array, tau: Array) -> tuple[Array, Array]:
    """North and east (K, nodes) from the phase's beginning; psi (K, J) at the nodes and the middles between them."""
    c, s = np.cos(psi), np.sin(psi)
    c, s = 0.5 * (c[:, 1:] + c[:, :-1]), 0.5 * (s[:, 1:] + s[:, :-1])
    north_ms, east_ms = mean_u * c + ship.current[0], mean_u * s + ship.current[1]
    if ship.wind != (0.0, 0.0):
        leeway = LEEWAY_SHARE * (ship.wind[1] * c - ship.wind[0] * s)
        north_ms, east_ms = north_ms - leeway * s, east_ms + leeway * c
    dt = np.diff(tau, axis=1)
    return np.cumsum(north_ms * dt, axis=1)[:, 1::2], np.cumsum(east_ms * dt, axis=1)[:, 1::2]


def _route_points(picture: ShipPicture) -> Array:
    """Waypoints ahead (W, 2) in the plane, at least one: without a waypoint 40 NM along the leg."""
    plane = LocalPlane(picture.own.lat_deg, picture.own.lon_deg)
    points = [plane.to_plane(lat, lon) for lat, lon in picture.route.waypoints]
    if not points:
        leg = np.radians(picture.route.leg_course_deg)
        points = [(40.0 * NM_M * float(np.cos(leg)), 40.0 * NM_M * float(np.sin(leg)))]
    return np.array(points, dtype=np.float64)


def _directions(picture: ShipPicture, points: Array) -> Array:
    """Unit vectors (W, 2) of the legs that end at each waypoint."""
    leg = np.radians(picture.route.leg_course_deg)
    legs = np.diff(points, axis=0)
    lengths = np.maximum(np.hypot(legs[:, 0], legs[:, 1]), 1.0)
    return np.concatenate([[[np.cos(leg), np.sin(leg)]], legs / lengths[:, None]])


def _passed(points: Array, directions: Array, state: _State) -> NDArray[np.intp]:
    """(K,) how many waypoints lie behind, the last never: near, or abeam of the leg that leads to it (as `route` counts them)."""
    count = np.zeros(state.n.shape, dtype=np.intp)
    for j in range(len(points) - 1):
        dn, de = points[j, 0] - state.n, points[j, 1] - state.e
        behind = (dn * directions[j, 0] + de * directions[j, 1] <= 0.0) | (np.hypot(dn, de) <= PASSED_NM * NM_M)
        count = np.where(behind & (count == j), j + 1, count)
    return count


def _aim(ship: _Ship, points: Array, state: _State, index: NDArray[np.intp], speed: float, turning: bool = True) -> tuple[Array, Array]:
    """Heading order (K,) for waypoint `index` from where the turn towards it will end, and the distance (K,) then."""
    dn, de = points[index, 0] - state.n, points[index, 1] - state.e
    heading = np.degrees(np.arctan2(de, dn))
    radius = np.maximum(speed, 0.5) / np.radians(ship.max_rate)
    for _ in range(2 if turning else 0):
        delta = (heading - state.psi + 180.0) % 360.0 - 180.0
        chord = 2.0 * radius * np.abs(np.sin(np.radians(delta) / 2.0))
        middle = np.radians(state.psi + delta / 2.0)
        left_n, left_e = dn - chord * np.cos(middle), de - chord * np.sin(middle)
        heading = np.degrees(np.arctan2(left_e, left_n))
    bearing = np.radians(heading)
    across = ship.current[1] * np.cos(bearing) - ship.current[0] * np.sin(bearing)
    across = across + LEEWAY_SHARE * (ship.wind[1] * np.cos(bearing) - ship.wind[0] * np.sin(bearing))
    return heading - np.degrees(np.arcsin(np.clip(across / max(speed, 0.5), -0.5, 0.5))), np.hypot(dn, de)


def _resume(
    picture: ShipPicture, ship: _Ship, state: _State, nodes: list[tuple[Array, Array, Array]], horizon_s: float, detail: int
) -> Array:
    """Steer for the waypoints in turn until the horizon; appends nodes, returns the way still to go (K,)."""
    points = _route_points(picture)
    directions = _directions(picture, points)
    lengths = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.zeros(0)
    after = np.concatenate([np.cumsum(lengths[::-1])[::-1], [0.0]])  # from each waypoint to the route's end
    speed = picture.route.planned_sog_kn * KN_MS
    reach = float(np.hypot(*points[0])) + np.concatenate([[0.0], np.cumsum(lengths)])
    legs = min(_MAX_LEGS, 1 + int(np.count_nonzero(reach[:-1] < speed * horizon_s)))
    order = np.full(state.t.shape, speed)
    last = len(points) - 1
    for leg in range(legs):
        index = _passed(points, directions, state)
        heading, distance = _aim(ship, points, state, index, speed)
        beyond = (state.n - points[last, 0]) * directions[last, 0] + (state.e - points[last, 1]) * directions[last, 1] > -1.0
        finished = (index == last) & beyond
        if finished.any():
            straight = np.degrees(np.arctan2(directions[last, 1], directions[last, 0]))
            heading = np.where(finished, straight, heading)
        left = np.where(index < last, np.maximum(distance - PASSED_NM * NM_M + 1.0, 0.0), distance)
        arrive = state.t + (left + np.maximum(speed - state.u, 0.0) * ship.surge_t) / max(speed, 0.5)
        arrive = np.where(finished, 0.0, arrive)
        final = leg == legs - 1
        end = np.where(final, horizon_s, np.minimum(arrive, horizon_s))
        end = np.where(index == last, np.clip(arrive, min(LEAST_HORIZON_S, horizon_s), horizon_s), end)
        nodes.append(_phase(ship, state, heading, order, end, detail))
    index = _passed(points, directions, state)
    dn, de = points[index, 0] - state.n, points[index, 1] - state.e
    along = dn * directions[index, 0] + de * directions[index, 1]
    return np.where((index == last) & (along < 0.0), along, np.hypot(dn, de)) + after[index]


def _against_targets(picture: ShipPicture, tracks: Tracks, extra_time_s: Array) -> RollOut:
    """Every target, on its present course and speed, against every track."""
    k, count = tracks.t_s.shape[0], len(picture.targets)
    if not count:
        none = np.full((k, 0), np.inf)
        return RollOut(none, none, none, none, none, none, extra_time_s)
    per_target = [_against_one(picture, j, tracks) for j in range(count)]
    columns = [np.stack([result[i] for result in per_target], axis=1) for i in range(6)]
    return RollOut(columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], extra_time_s)


def _against_one(picture: ShipPicture, j: int, tracks: Tracks) -> tuple[Array, Array, Array, Array, Array, Array]:
    """(K,) each: cpa_nm, tcpa_s, near_nm, ahead_nm, side_nm, along_nm of target j."""
    target = picture.targets[j]
    bearing, course = np.radians(target.bearing_deg), np.radians(target.cog_deg)
    c, s, v = np.cos(course), np.sin(course), target.sog_kn * KN_MS
    dn = tracks.north_m - (target.range_nm * NM_M * np.cos(bearing))
    de = tracks.east_m - (target.range_nm * NM_M * np.sin(bearing))
    ahead = dn * c + de * s - v * tracks.t_s  # own ship ahead of the target's beam
    side = de * c - dn * s  # own ship to starboard of the target's track
    da, ds = np.diff(ahead, axis=1), np.diff(side, axis=1)
    a0, s0, t0 = ahead[:, :-1], side[:, :-1], tracks.t_s[:, :-1]
    dt = np.diff(tracks.t_s, axis=1)
    moved2 = da * da + ds * ds
    share = np.clip(-(a0 * da + s0 * ds) / np.where(moved2 > 0.0, moved2, 1.0), 0.0, 1.0)
    near_a, near_s = a0 + share * da, s0 + share * ds
    d2 = near_a * near_a + near_s * near_s
    rows, best = np.arange(d2.shape[0]), d2.argmin(axis=1)
    distance = np.sqrt(d2)
    when = t0 + share * dt
    spread = v * np.hypot(np.sin(np.radians(WORST_TURN_DEG)), WORST_SPEED_SHARE)
    near = np.where(when <= NEAR_S, distance - spread * when, np.inf).min(axis=1)
    crosses = (s0 * side[:, 1:] < 0.0) & (dt > 0.0)
    at = a0 + da * np.where(crosses, s0 / np.where(ds == 0.0, 1.0, -ds), 0.0)
    bow = np.where(crosses & (at > 0.0) & (at < AHEAD_NM * NM_M), at, np.inf).min(axis=1)
    pick = (rows, best)
    return distance[pick] / NM_M, when[pick], np.maximum(near, 0.0) / NM_M, bow / NM_M, near_s[pick] / NM_M, near_a[pick] / NM_M
