"""How a ship moves: Nomoto yaw, surge lag, rudder engine, and a rate-limited heading autopilot.

    yaw       T dr/dt + r + n3 r^3 = K delta   K = K0 U/U0,  T = T0 U0/U,  n3 = n30 (U0/U)^2   (K', T', n3' are constants of the hull)
    surge     tau dU/dt = U_order f(r) - U   f = 1 / (1 + c (r/r_max)^2), c so that f(r_max) = 1 - turn_speed_loss
    rudder    moves at `rudder_rate_deg_s` towards its order, within `max_rudder_deg`
    autopilot r_wanted = (heading error) / t_heading, within max_rot_deg_min; the rudder that brings r there in t_rate

First-order Nomoto: Nomoto et al., "On the steering qualities of ships", Int. Shipbuilding Progress 4 (1957); the cubic term, 0 unless
given, is Norrbin's (1963): without it a ship that answers small rudder well turns too tightly at large. Speed enters as in Fossen, Handbook of Marine Craft Hydrodynamics and Motion Control, ch. 7. Wind and current only drift the ship, they do not turn it.

The first-order parts are integrated exactly and every step is cut into equal parts of at most `SUBSTEP_S`, so the track hardly
depends on the step size (tests hold 0.1 s against 1 s).
"""

from math import ceil, cos, exp, radians, sin
from typing import NamedTuple

from sdx_domains.ship.geometry import KN_MS
from sdx_domains.ship.picture import OwnShipParameters

SUBSTEP_S = 0.25
RATE_TIME_SHARE = 0.5
"""t_rate = this x T: the autopilot makes the hull answer twice as fast as it would by itself."""
HEADING_TIME_SHARE = 5.0
"""t_heading = this x t_rate; 4 is critical damping, the rest is for the rudder's own delay."""
LOWEST_SPEED_SHARE = 0.15
"""T and the inverse of K are taken at no less than this share of service speed: near standstill they have no meaning."""
LEEWAY_SHARE = 0.02
"""Drift to leeward per beam component of the wind: about 2 deg at 12 kn in 20 kn of wind."""


class MotionState(NamedTuple):
    """Where a ship is and how it moves, in a local plane.

    `north_m`, `east_m` over ground; `speed_kn` through the water, along the heading; `rot_deg_min` and `rudder_deg` are positive
    to starboard (the rudder's sign is that of the turn it causes).
    """

    north_m: float
    east_m: float
    heading_deg: float
    speed_kn: float
    rot_deg_min: float = 0.0
    rudder_deg: float = 0.0


def step(
    state: MotionState,
    heading_order_deg: float,
    speed_order_kn: float,
    parameters: OwnShipParameters,
    dt_s: float,
    current_n_ms: float = 0.0,
    current_e_ms: float = 0.0,
    wind_n_ms: float = 0.0,
    wind_e_ms: float = 0.0,
) -> MotionState:
    """`dt_s` later, with the autopilot steering for a heading by the shorter way.

    Args:
        speed_order_kn: through the water; taken as 0..max_speed_kn.
        current_n_ms, current_e_ms: velocity of the water.
        wind_n_ms, wind_e_ms: velocity of the air, i.e. the direction in which it blows.

    Raises:
        ValueError: dt_s is not positive.
    """
    error = (heading_order_deg - state.heading_deg + 180.0) % 360.0 - 180.0
    on_course = abs(error) < 1e-9 and abs(state.rot_deg_min) < 1e-9 and abs(state.rudder_deg) < 1e-9
    if on_course and abs(speed_order_kn - state.speed_kn) < 1e-9 and dt_s > 0.0:
        return _straight_on(state, dt_s, current_n_ms, current_e_ms, wind_n_ms, wind_e_ms)
    return _advance(state, heading_order_deg, None, speed_order_kn, parameters, dt_s, (current_n_ms, current_e_ms, wind_n_ms, wind_e_ms))


def step_rudder(
    state: MotionState, rudder_order_deg: float, speed_order_kn: float, parameters: OwnShipParameters, dt_s: float
) -> MotionState:
    """`dt_s` later with the rudder ordered by hand, in calm water: for turning circles and zig-zags. Else as `step`."""
    return _advance(state, 0.0, rudder_order_deg, speed_order_kn, parameters, dt_s, (0.0, 0.0, 0.0, 0.0))


def over_ground(
    state: MotionState, current_n_ms: float = 0.0, current_e_ms: float = 0.0, wind_n_ms: float = 0.0, wind_e_ms: float = 0.0
) -> tuple[float, float]:
    """Velocity over ground (north, east), m/s: along the heading, with current and leeway. Arguments as in `step`."""
    heading = radians(state.heading_deg)
    c, s = cos(heading), sin(heading)
    speed = state.speed_kn * KN_MS
    leeway = LEEWAY_SHARE * (wind_e_ms * c - wind_n_ms * s)
    return speed * c - leeway * s + current_n_ms, speed * s + leeway * c + current_e_ms


def _straight_on(state: MotionState, dt_s: float, current_n: float, current_e: float, wind_n: float, wind_e: float) -> MotionState:
    """The exact track of a ship that neither turns nor changes speed."""
    north_ms, east_ms = over_ground(state, current_n, current_e, wind_n, wind_e)
    return MotionState(state.north_m + north_ms * dt_s, state.east_m + east_ms * dt_s, state.heading_deg, state.speed_kn, 0.0, 0.0)


def _advance(
    state: MotionState,
    heading_order_deg: float,
    rudder_order_deg: float | None,
    speed_order_kn: float,
    parameters: OwnShipParameters,
    dt_s: float,
    drift: tuple[float, float, float, float],
) -> MotionState:
    """The integration behind `step` and `step_rudder`; angles in degrees, turn rate in deg/s inside."""
    if not dt_s > 0.0:
        raise ValueError(f"dt_s is {dt_s!r}; a step must be longer than 0 s")
    current_n, current_e, wind_n, wind_e = drift
    parts = ceil(dt_s / SUBSTEP_S - 1e-9)
    h = dt_s / parts
    service = parameters.service_speed_kn
    k0, t0 = parameters.nomoto_k_1_s / service, parameters.nomoto_t_s * service
    n30 = parameters.nomoto_n3_s2 * service * service
    max_rudder, slew = parameters.max_rudder_deg, parameters.rudder_rate_deg_s * h
    max_rate = parameters.max_rot_deg_min / 60.0
    loss = parameters.turn_speed_loss
    braking = loss / (1.0 - loss) / (max_rate * max_rate)
    surge = 1.0 - exp(-h / parameters.surge_t_s)
    order = min(max(speed_order_kn, 0.0), parameters.max_speed_kn)
    lowest = LOWEST_SPEED_SHARE * service
    north, east, heading, speed, rot, rudder = state
    rate = rot / 60.0
    wanted_rudder = 0.0 if rudder_order_deg is None else rudder_order_deg
    for _ in range(parts):
        speed_in_t = max(lowest, speed)
        t = t0 / speed_in_t
        stiffness = 1.0 + n30 / (speed_in_t * speed_in_t) * rate * rate
        if rudder_order_deg is None:
            t_rate = RATE_TIME_SHARE * t
            error = (heading_order_deg - heading + 180.0) % 360.0 - 180.0
            wanted = min(max(error / (HEADING_TIME_SHARE * t_rate), -max_rate), max_rate)
            wanted_rudder = (rate * stiffness + t * (wanted - rate) / t_rate) / (k0 * speed_in_t)
        wanted_rudder = min(max(wanted_rudder, -max_rudder), max_rudder)
        rudder += min(max(wanted_rudder - rudder, -slew), slew)
        new_rate = rate + (k0 * speed * rudder / stiffness - rate) * (1.0 - exp(-h * stiffness / t))
        new_speed = speed + (order / (1.0 + braking * rate * rate) - speed) * surge
        middle = radians(heading + 0.25 * (rate + new_rate) * h)
        c, s = cos(middle), sin(middle)
        along = 0.5 * (speed + new_speed) * KN_MS
        leeway = LEEWAY_SHARE * (wind_e * c - wind_n * s)
        north += (along * c - leeway * s + current_n) * h
        east += (along * s + leeway * c + current_e) * h
        heading = (heading + 0.5 * (rate + new_rate) * h) % 360.0
        rate, speed = new_rate, new_speed
    return MotionState(north, east, heading, speed, rate * 60.0, rudder)
