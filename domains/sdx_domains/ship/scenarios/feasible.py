"""Can a situation be passed at all? An exhaustive search over one-leg manoeuvres, targets holding their course.

One leg at an offset from the first course, begun and ended at set times, at full or half speed, then straight for the goal. Own ship turns at
30 deg/min and loses no speed in the turn; changes of speed take her surge lag. So the answer is a little generous in the turn, and strict in that
only one leg is tried.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sdx_domains.ship.dynamics import KN_MS, MotionState
from sdx_domains.ship.geometry import NM_M, LocalPlane, wrap360
from sdx_domains.ship.scenarios.scenario import Scenario
from sdx_domains.ship.simulator.traffic import Vessel

Array = NDArray[np.float64]

OFFSETS_DEG = (30.0, 45.0, 60.0, 75.0, 90.0)
STARTS_MIN = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0)
DURATIONS_MIN = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0)
TURN_DEG_MIN = 30.0
STEP_S = 15.0
HORIZON_S = 60.0 * 75


def feasible(scenario: Scenario, cpa_nm: float) -> bool:
    """Does some one-leg manoeuvre, to either side, at full or half speed, keep every target at `cpa_nm`? True without targets."""
    tracks = _tracks(scenario)
    return any(bool((_closest(scenario, tracks, legs) >= cpa_nm * NM_M).any()) for legs in _groups())


def best_cpa_nm(scenario: Scenario, starboard_only: bool = False, full_speed_only: bool = True) -> float:
    """The largest closest approach that a one-leg manoeuvre gives; infinite without targets."""
    tracks = _tracks(scenario)
    best = 0.0
    for legs in _groups():
        allowed = (legs[:, 0] >= 0.0) if starboard_only else np.ones(len(legs), dtype=bool)
        if full_speed_only:
            allowed &= legs[:, 3] == 1.0
        if allowed.any():
            best = max(best, float(_closest(scenario, tracks, legs[allowed]).max()))
    return best / NM_M


def _groups() -> Iterator[Array]:
    """(N, 4) offset deg, start s, end s, speed share: the likely ones first, so that a search may stop early."""
    for share, side in ((1.0, 1.0), (1.0, -1.0), (0.5, 1.0), (0.5, -1.0)):
        offsets = OFFSETS_DEG if share == 1.0 else (0.0, *OFFSETS_DEG)
        legs = [(side * o, s * 60.0, (s + d) * 60.0, share) for o in offsets for s in STARTS_MIN for d in DURATIONS_MIN]
        yield np.array(legs)


def _tracks(scenario: Scenario) -> Array:
    """(targets, steps + 1, 2) positions of all targets as they move if they hold course (and keep to their waypoints)."""
    plane = LocalPlane(scenario.own.lat_deg, scenario.own.lon_deg)
    steps = int(HORIZON_S / STEP_S)
    tracks = np.zeros((len(scenario.targets), steps + 1, 2))
    for row, start in enumerate(scenario.targets):
        north, east = plane.to_plane(start.lat_deg, start.lon_deg)
        holding = start.model_copy(update={"behaviour": "hold"})
        waypoints = [plane.to_plane(*point) for point in start.waypoints]
        vessel = Vessel(holding, MotionState(north, east, wrap360(start.heading_deg), start.speed_kn), waypoints)
        still = MotionState(0.0, 0.0, 0.0, 0.0)
        for k in range(steps + 1):
            tracks[row, k] = vessel.state.north_m, vessel.state.east_m
            vessel.step(k * STEP_S, STEP_S, still, (0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
    return tracks


def _closest(scenario: Scenario, tracks: Array, legs: Array) -> Array:
    """(N,) closest approach to any target of each leg, between steps too, metres."""
    plane = LocalPlane(scenario.own.lat_deg, scenario.own.lon_deg)
    goal = plane.to_plane(*scenario.route[-1])
    heading0 = scenario.own.heading_deg
    heading = np.full(len(legs), heading0)
    speed = np.full(len(legs), scenario.own.speed_kn * KN_MS)
    planned = scenario.planned_speed_kn * KN_MS
    offset, start, end, share = legs.T
    n, e = np.zeros(len(legs)), np.zeros(len(legs))
    least = np.full(len(legs), np.inf)
    turn = TURN_DEG_MIN / 60.0 * STEP_S
    surge = 1.0 - np.exp(-STEP_S / scenario.own.parameters.surge_t_s)
    goal_reached = np.zeros(len(legs), dtype=bool)
    for k in range(tracks.shape[1] - 1):
        t = k * STEP_S
        to_goal = np.degrees(np.arctan2(goal[1] - e, goal[0] - n))
        wanted = np.where(t < start, heading0, np.where(t < end, heading0 + offset, to_goal))
        change = (wanted - heading + 180.0) % 360.0 - 180.0
        heading = heading + np.clip(change, -turn, turn)
        speed = speed + (np.where((t >= start) & (t < end), planned * share, planned) - speed) * surge
        dn, de = speed * np.cos(np.radians(heading)) * STEP_S, speed * np.sin(np.radians(heading)) * STEP_S
        for track in tracks:
            rn, re = track[k, 0] - n, track[k, 1] - e
            sn, se = track[k + 1, 0] - track[k, 0] - dn, track[k + 1, 1] - track[k, 1] - de
            length2 = np.maximum(sn * sn + se * se, 1e-9)
            part = np.clip(-(rn * sn + re * se) / length2, 0.0, 1.0)
            least = np.where(goal_reached, least, np.minimum(least, np.hypot(rn + part * sn, re + part * se)))
        n, e = n + dn, e + de
        goal_reached |= np.hypot(goal[0] - n, goal[1] - e) < 0.2 * NM_M
        if goal_reached.all() or (np.isfinite(least) & (least < 1.0)).all():
            break
    return least
