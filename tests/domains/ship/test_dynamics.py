"""Motion of one ship: limits, symmetry, drift, and that the step size hardly matters."""

from itertools import pairwise
from math import hypot

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.ship.dynamics import KN_MS, MotionState, step, step_rudder
from sdx_domains.ship.picture import OwnShipParameters

SHIP = OwnShipParameters()
START = MotionState(0.0, 0.0, 0.0, 12.0)


def sail(orders: list[tuple[float, float, float]], dt_s: float, start: MotionState = START) -> list[MotionState]:
    """States after each step through (heading, speed, seconds) orders."""
    states = [start]
    for heading, speed, seconds in orders:
        for _ in range(round(seconds / dt_s)):
            states.append(step(states[-1], heading, speed, SHIP, dt_s))
    return states


MANOEUVRE = [(60.0, 12.0, 300.0), (0.0, 6.0, 300.0), (330.0, 12.0, 240.0)]


def test_step_size_hardly_changes_the_track() -> None:
    fine, coarse = sail(MANOEUVRE, 0.1)[-1], sail(MANOEUVRE, 1.0)[-1]
    assert hypot(fine.north_m - coarse.north_m, fine.east_m - coarse.east_m) < 3.0, "over 14 minutes and three turns"
    assert fine.heading_deg == pytest.approx(coarse.heading_deg, abs=0.05)
    assert fine.speed_kn == pytest.approx(coarse.speed_kn, abs=0.01)


def test_heading_is_reached_without_overshoot_and_within_limits() -> None:
    states = sail([(60.0, 12.0, 400.0)], 1.0)
    assert states[-1].heading_deg == pytest.approx(60.0, abs=0.1)
    assert max(s.heading_deg for s in states) < 60.5
    assert max(abs(s.rot_deg_min) for s in states) <= SHIP.max_rot_deg_min + 0.5
    assert max(abs(s.rudder_deg) for s in states) <= SHIP.max_rudder_deg
    assert max(abs(b.rudder_deg - a.rudder_deg) for a, b in pairwise(states)) <= SHIP.rudder_rate_deg_s + 1e-9


def test_sustained_turn_costs_the_stated_share_of_speed() -> None:
    state = START
    for _ in range(1200):
        state = step(state, (state.heading_deg + 90.0) % 360.0, 12.0, SHIP, 1.0)
    assert state.speed_kn == pytest.approx(12.0 * (1.0 - SHIP.turn_speed_loss), rel=0.02)


def test_speed_follows_its_order_with_the_stated_lag() -> None:
    states = sail([(0.0, 6.0, SHIP.surge_t_s)], 1.0)
    assert states[-1].speed_kn == pytest.approx(6.0 + 6.0 / 2.718281828, abs=0.01)
    assert sail([(0.0, 40.0, 2000.0)], 1.0)[-1].speed_kn == pytest.approx(SHIP.max_speed_kn, abs=0.01)
    assert sail([(0.0, -5.0, 2000.0)], 1.0)[-1].speed_kn == pytest.approx(0.0, abs=0.01)


def test_stopped_ship_does_not_turn() -> None:
    state = MotionState(0.0, 0.0, 0.0, 0.0)
    for _ in range(300):
        state = step(state, 90.0, 0.0, SHIP, 1.0)
    assert state.heading_deg == pytest.approx(0.0, abs=1e-6)


def test_current_carries_and_beam_wind_drifts() -> None:
    carried = step(START, 0.0, 12.0, SHIP, 100.0, current_n_ms=-0.5, current_e_ms=1.0)
    assert (carried.north_m, carried.east_m) == pytest.approx((12.0 * KN_MS * 100.0 - 50.0, 100.0))
    blown = step(START, 0.0, 12.0, SHIP, 100.0, wind_n_ms=-10.0, wind_e_ms=10.0)
    assert blown.north_m == pytest.approx(12.0 * KN_MS * 100.0), "the wind along the keel does not drift the ship"
    assert 10.0 < blown.east_m < 40.0


def test_drift_is_the_same_while_turning() -> None:
    still = step(START, 90.0, 12.0, SHIP, 60.0)
    carried = step(START, 90.0, 12.0, SHIP, 60.0, current_e_ms=1.0)
    assert carried.east_m - still.east_m == pytest.approx(60.0)
    assert carried.heading_deg == still.heading_deg


@settings(max_examples=50, deadline=None)
@given(st.floats(1.0, 179.0), st.floats(0.0, 15.0), st.floats(0.2, 5.0))
def test_port_and_starboard_mirror_each_other(turn: float, speed: float, dt: float) -> None:
    right, left = START._replace(speed_kn=speed), START._replace(speed_kn=speed)
    for _ in range(20):
        right, left = step(right, turn, speed, SHIP, dt), step(left, -turn, speed, SHIP, dt)
    assert right.north_m == pytest.approx(left.north_m, abs=1e-6)
    assert right.east_m == pytest.approx(-left.east_m, abs=1e-6)
    assert (right.heading_deg + left.heading_deg + 180.0) % 360.0 == pytest.approx(180.0, abs=1e-6)


def test_full_rudder_turns_harder_than_the_autopilot_may() -> None:
    state = START
    for _ in range(600):
        state = step_rudder(state, 35.0, 12.0, SHIP, 1.0)
    assert state.rot_deg_min > SHIP.max_rot_deg_min
    assert 0.3 * 12.0 < state.speed_kn < 0.8 * 12.0


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan")])
def test_step_that_does_not_advance_is_refused(dt: float) -> None:
    with pytest.raises(ValueError, match="dt_s is"):
        step(START, 10.0, 12.0, SHIP, dt)
