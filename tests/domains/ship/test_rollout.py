"""Closed-form roll-out against the ship's own dynamics, stepped."""

from math import atan2, degrees, hypot

import numpy as np
import pytest

from sdx_domains.ship.dynamics import MotionState, step
from sdx_domains.ship.geometry import KN_MS, NM_M, LocalPlane
from sdx_domains.ship.lattice import lattice, plans, reference
from sdx_domains.ship.oracle import sail, voyages
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import Environment, OwnShip, Route, ShipPicture
from sdx_domains.ship.rollout import own_tracks, present_order, resume_course, roll_out
from sdx_domains.ship.scenarios import scenario
from sdx_domains.ship.simulator.world import ShipWorld

PLANE = LocalPlane(35.0, 129.0)


def imazu(name: str, after_s: int = 0) -> ShipPicture:
    world, perceiver = ShipWorld(scenario(name, 0), 0), ShipPerceiver()
    for _ in range(after_s):
        world.step(1.0)
    return perceiver.take(world.readings(), world.t_s)


def alone(
    heading: float = 0.0, speed: float = 12.0, rot: float = 0.0, goals: tuple[tuple[float, float], ...] = ((30.0, 0.0),), **around: float
) -> ShipPicture:
    """No target; waypoints in NM north and east of own ship."""
    lat, lon = PLANE.to_geo(0.0, 0.0)
    own = OwnShip(lat_deg=lat, lon_deg=lon, heading_deg=heading, cog_deg=heading, sog_kn=speed, rot_deg_min=rot)
    points = tuple(PLANE.to_geo(n * NM_M, e * NM_M) for n, e in goals)
    route = Route(waypoints=points, leg_course_deg=0.0, course_to_steer_deg=0.0, xte_m=0.0, planned_sog_kn=12.0, distance_nm=30.0)
    return ShipPicture(t_s=0.0, own=own, route=route, environment=Environment.model_validate(around))


def stepped(picture: ShipPicture, course: float, speed: float, start: float, duration: float, until_s: int) -> np.ndarray:
    """(t, north, east) of the same plan, second by second; the resumed route is aimed at every second."""
    held, held_kn = present_order(picture)
    goal = LocalPlane(picture.own.lat_deg, picture.own.lon_deg).to_plane(*picture.route.waypoints[0])
    own = picture.own
    ship = MotionState(0.0, 0.0, own.heading_deg, own.sog_kn, own.rot_deg_min)
    rows = [(0.0, 0.0, 0.0)]
    for t in range(until_s):
        home = degrees(atan2(goal[1] - ship.east_m, goal[0] - ship.north_m))
        order = (held, held_kn) if t < start else (course, speed) if t < start + duration else (home, picture.route.planned_sog_kn)
        ship = step(ship, order[0] % 360.0, order[1], own.parameters, 1.0)
        rows.append((t + 1.0, ship.north_m, ship.east_m))
    return np.array(rows)


@pytest.mark.parametrize(
    ("heading", "now_kn", "rot", "course", "speed", "start", "duration"),
    [
        (0, 12, 0, 30, 12, 0, 480),
        (0, 12, 0, 90, 12, 0, 480),
        (0, 12, 0, 300, 12, 240, 300),
        (0, 12, 0, 75, 6, 120, 720),
        (0, 12, 0, 0, 3, 0, 480),
        (0, 12, 0, 0, 0, 0, 900),
        (40, 9, 20, 90, 12, 0, 300),
        (350, 12, 0, 120, 6, 0, 600),
        (60, 12, -40, 60, 12, 0, 0),
        (0, 12, 0, 60, 12, 0, 40),
    ],
)
def test_own_track_matches_the_dynamics(
    heading: float, now_kn: float, rot: float, course: float, speed: float, start: float, duration: float
) -> None:
    picture = alone(heading, now_kn, rot)
    tracks = own_tracks(picture, course, speed, start, duration)
    truth = stepped(picture, course, speed, start, duration, 3600)
    north = np.interp(tracks.t_s[0], truth[:, 0], truth[:, 1])
    east = np.interp(tracks.t_s[0], truth[:, 0], truth[:, 2])
    off = np.hypot(north - tracks.north_m[0], east - tracks.east_m[0])
    assert off.max() < 90.0  # 0.05 NM after up to an hour
    assert off[tracks.t_s[0] <= 600.0].max() < 50.0


def test_the_oracle_is_the_dynamics_row_by_row() -> None:
    picture = imazu("imazu-16")
    chosen = plans(present_order(picture), [35.0, 80.0, 300.0], [12.0, 5.0], 0.0, [300.0, 900.0])
    sailed = sail(voyages(picture, chosen), horizon_s=1500.0)
    for k in range(len(chosen)):
        truth = stepped(picture, float(chosen.course_deg[k]), float(chosen.speed_kn[k]), 0.0, float(chosen.duration_s[k]), 1500)
        for j, target in enumerate(picture.targets):
            bearing, course, v = np.radians(target.bearing_deg), np.radians(target.cog_deg), target.sog_kn * KN_MS
            n = target.range_nm * NM_M * np.cos(bearing) + v * np.cos(course) * truth[:, 0] - truth[:, 1]
            e = target.range_nm * NM_M * np.sin(bearing) + v * np.sin(course) * truth[:, 0] - truth[:, 2]
            assert sailed.cpa_nm[k, j] * NM_M == pytest.approx(np.hypot(n, e).min(), abs=15.0)


@pytest.mark.parametrize("name", ["imazu-06", "imazu-13", "imazu-20"])
def test_closest_approaches_match_the_stepped_truth(name: str) -> None:
    picture = imazu(name)
    chosen = lattice(picture, reference(picture))
    rolled = roll_out(picture, chosen.course_deg, chosen.speed_kn, chosen.start_s, chosen.duration_s, chosen.before)
    sailed = sail(voyages(picture, chosen), dt_s=2.0)
    off = np.abs(rolled.cpa_nm - sailed.cpa_nm)
    assert np.percentile(off, 95) < 0.025
    assert off.max() < 0.08


def test_it_does_not_depend_on_the_number_of_nodes() -> None:
    picture = imazu("imazu-22")
    chosen = lattice(picture, reference(picture))
    coarse, fine = (
        roll_out(picture, chosen.course_deg, chosen.speed_kn, chosen.start_s, chosen.duration_s, chosen.before, detail=d) for d in (1, 2)
    )
    assert np.abs(coarse.cpa_nm - fine.cpa_nm).max() < 0.01
    assert np.abs(coarse.extra_time_s - fine.extra_time_s).max() < 3.0


def test_bow_is_crossed_or_not() -> None:
    picture = imazu("imazu-02")  # crossing from starboard, all meet at the origin
    rolled = roll_out(picture, [0.0, 0.0, 60.0], [13.5, 10.0, 12.0], 0.0, [1800.0, 1800.0, 600.0])
    assert rolled.ahead_nm[0, 0] < 1.5  # faster: ahead of her
    assert np.isinf(rolled.ahead_nm[1:, 0]).all()
    assert rolled.side_nm[0, 0] > 0.0 or rolled.along_nm[0, 0] > 0.0


def test_extra_time_of_a_detour() -> None:
    rolled = roll_out(alone(), [0.0, 30.0, 60.0, 0.0], [12.0, 12.0, 12.0, 6.0], 0.0, [0.0, 600.0, 600.0, 600.0])
    assert rolled.extra_time_s[0] == pytest.approx(0.0, abs=1.0)
    assert 60.0 < rolled.extra_time_s[1] < 130.0
    assert rolled.extra_time_s[2] > rolled.extra_time_s[1]
    assert rolled.extra_time_s[3] == pytest.approx(300.0, abs=15.0)  # half the speed for ten minutes, and the engine's lag


def test_current_and_wind_carry_the_ship() -> None:
    still, moved = own_tracks(alone(), 0, 12, 0, 600), own_tracks(alone(current_kn=2.0, current_to_deg=90.0), 0, 12, 0, 600)
    at = np.searchsorted(moved.t_s[0], 600.0)
    assert moved.east_m[0, at] - still.east_m[0, at] == pytest.approx(2.0 * KN_MS * 600.0, rel=0.05)
    blown = own_tracks(alone(wind_kn=20.0, wind_from_deg=270.0), 0, 12, 0, 600)
    assert blown.east_m[0, at] == pytest.approx(0.02 * 20.0 * KN_MS * 600.0, rel=0.1)


def test_resume_course_allows_for_the_drift_and_skips_passed_waypoints() -> None:
    assert resume_course(alone()) == pytest.approx(0.0, abs=0.01)
    assert resume_course(alone(current_kn=2.0, current_to_deg=90.0)) == pytest.approx(350.4, abs=0.2)
    assert resume_course(alone(goals=((-1.0, 0.0), (10.0, 10.0)))) == pytest.approx(45.0, abs=0.3)


def test_waypoints_are_turned_at() -> None:
    tracks = own_tracks(alone(goals=((3.0, 0.0), (3.0, 8.0))), 0, 12, 0, 0)
    near = np.hypot(tracks.north_m[0] - 3.0 * NM_M, tracks.east_m[0]).min()
    assert near < 0.32 * NM_M
    assert hypot(tracks.north_m[0, -1] - 3.0 * NM_M, tracks.east_m[0, -1] - 8.0 * NM_M) < 0.3 * NM_M


def test_no_target_gives_no_columns() -> None:
    assert roll_out(alone(), [0.0, 30.0], 12.0, 0.0, 600.0).cpa_nm.shape == (2, 0)
