"""The simulator's ship against a published one: turning circles and zig-zags of the Mariner class, and the IMO manoeuvring standards.

The reference is the Mariner class cargo ship (L 160.93 m, 15 kn) by the planar-motion-mechanism derivatives of Chislett and Stroem-Tejsen,
"Planar motion mechanism tests and full-scale steering and manoeuvring predictions for a Mariner class vessel", Int. Shipbuilding Progress
12 (1965) 201-224: surge, sway and yaw with cubic terms, integrated here. That this integration is right is checked on the published linear
indices K = 0.185 1/s, T1 = 118 s, T2 = 7.8 s, T3 = 18.5 s (Fossen, Handbook of Marine Craft Hydrodynamics and Motion Control).

The simulator's own model (dynamics.py) has three numbers for yaw. For the comparison K and T are the published ones, and one steady turn of the
reference, at 20 deg of rudder, gives n3 and the speed loss. Every figure that `reference_report` compares is predicted, none is fitted.

IMO standards: resolution MSC.137(76), 5.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, degrees, hypot, radians, sin

from sdx_domains.ship.dynamics import KN_MS, MotionState, step_rudder
from sdx_domains.ship.picture import OwnShipParameters

DT_S = 0.1
MARINER_LENGTH_M = 160.93
MARINER_SPEED_MS = 7.7175
MARINER_RUDDER_RATE_DEG_S = 5.0
PUBLISHED_K_1_S = 0.185
PUBLISHED_T_S = 118.0 + 7.8 - 18.5
SURGE_T_S = 150.0
"""Surge lag of the model for the reference ship; the figures hardly depend on it."""

# Non-dimensional (prime system II) mass, inertia and derivatives x 1e-5, as published.
_M, _IZ, _XG = 798e-5, 39.2e-5, -0.023
_X_UDOT, _Y_VDOT, _Y_RDOT, _N_VDOT, _N_RDOT = -42e-5, -748e-5, -9.354e-5, 4.646e-5, -43.8e-5
_Y_V, _Y_R, _Y_D, _N_V, _N_R, _N_D = -1160e-5, -499e-5, 278e-5, -264e-5, -166e-5, -139e-5
_M11, _M22, _M33 = _M - _X_UDOT, _M - _Y_VDOT, _IZ - _N_RDOT
_M23, _M32 = _M * _XG - _Y_RDOT, _M * _XG - _N_VDOT


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a manoeuvre: metres, m/s, degrees, degrees per second; positive to starboard."""

    t_s: float
    north_m: float
    east_m: float
    heading_deg: float
    """Not wrapped."""
    rate_deg_s: float
    speed_ms: float


@dataclass(frozen=True, slots=True)
class Circle:
    """Figures of a turning circle, in ship lengths but for the rate; as MSC.137(76) defines them."""

    advance: float
    transfer: float
    tactical_diameter: float
    steady_diameter: float
    speed_kept: float
    """Share of the approach speed in the steady turn."""
    rate_deg_s: float


@dataclass(frozen=True, slots=True)
class ZigZag:
    """Overshoots (deg) and the time from the first to the second counter-rudder (s)."""

    first_overshoot_deg: float
    second_overshoot_deg: float
    half_period_s: float


class Ship:
    """Something that answers a rudder: samples at DT_S. `rudder(deg)` is ordered before each step."""

    def __init__(self, length_m: float, advance: Callable[[float], Sample], first: Sample) -> None:
        self.length_m, self._advance, self.now = length_m, advance, first

    def step(self, rudder_deg: float) -> Sample:
        self.now = self._advance(rudder_deg)
        return self.now


def mariner() -> Ship:
    """The reference ship at 15 kn."""
    state = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # du, v, r, north, east, psi, rudder, t

    def advance(rudder_deg: float) -> Sample:
        du, v, r, north, east, psi, rudder, t = state
        speed = hypot(MARINER_SPEED_MS + du, v)
        surge, sway, yaw = _forces(du / speed, v / speed, r * MARINER_LENGTH_M / speed, rudder)
        determinant = _M22 * _M33 - _M23 * _M32
        scale = speed * speed / MARINER_LENGTH_M
        c, s = cos(psi), sin(psi)
        slew = radians(MARINER_RUDDER_RATE_DEG_S)
        # published sign: positive rudder turns to port
        state[0] = du + DT_S * surge * scale / _M11
        state[1] = v + DT_S * (_M33 * sway - _M23 * yaw) * scale / determinant
        state[2] = r + DT_S * (_M22 * yaw - _M32 * sway) * scale / MARINER_LENGTH_M / determinant
        state[3] = north + DT_S * (c * (MARINER_SPEED_MS + du) - s * v)
        state[4] = east + DT_S * (s * (MARINER_SPEED_MS + du) + c * v)
        state[5] = psi + DT_S * r
        state[6] = rudder + DT_S * min(max((-radians(rudder_deg) - rudder) / DT_S, -slew), slew)
        state[7] = t + DT_S
        return Sample(state[7], state[3], state[4], degrees(state[5]), degrees(state[2]), hypot(MARINER_SPEED_MS + state[0], state[1]))

    return Ship(MARINER_LENGTH_M, advance, Sample(0.0, 0.0, 0.0, 0.0, 0.0, MARINER_SPEED_MS))


def _forces(u: float, v: float, r: float, d: float) -> tuple[float, float, float]:
    """Surge force, sway force, yaw moment, non-dimensional."""
    surge = -184 * u - 110 * u**2 - 215 * u**3 - 899 * v**2 + 18 * r**2 + 798 * r * v - 95 * d**2 - 190 * u * d**2 + 93 * v * d * (1 + u)
    sway = -1160 * v * (1 + u) - 499 * r * (1 + u) - 8078 * v**3 + 15356 * v**2 * r - 90 * d**3 - 4 * v * d**2 + 1190 * v**2 * d
    sway += 278 * d * (1 + u) ** 2 - 4 * (1 + u) ** 2
    yaw = -264 * v * (1 + u) - 166 * r * (1 + u) + 1636 * v**3 - 5483 * v**2 * r + 45 * d**3 + 13 * v * d**2 - 489 * v**2 * d
    yaw += -139 * d * (1 + u) ** 2 + 3 * (1 + u) ** 2
    return surge * 1e-5, sway * 1e-5, yaw * 1e-5


def linear_indices() -> tuple[float, float]:
    """K (1/s) and T = T1 + T2 - T3 (s) of the reference, from its linear derivatives."""
    # (m22 D + a) v + (m23 D + b) r = Yd d, (m32 D + c) v + (m33 D + e) r = Nd d, with primes; b holds m u0
    a, b, c, e = -_Y_V, _M - _Y_R - _M, -_N_V, -_N_R
    static = a * e - b * c
    first = _M22 * e + a * _M33 - _M23 * c - b * _M32
    gain = (a * _N_D - c * _Y_D) / static
    zero = (_M22 * _N_D - _M32 * _Y_D) / (a * _N_D - c * _Y_D)
    time = MARINER_LENGTH_M / MARINER_SPEED_MS
    return abs(gain) / time, (first / static - zero) * time


def simulator_ship(parameters: OwnShipParameters) -> Ship:
    """A ship of dynamics.py, under hand rudder at its service speed."""
    state = [MotionState(0.0, 0.0, 0.0, parameters.service_speed_kn)]
    turned, clock = [0.0], [0.0]

    def advance(rudder_deg: float) -> Sample:
        before = state[0]
        state[0] = step_rudder(before, rudder_deg, parameters.service_speed_kn, parameters, DT_S)
        now = state[0]
        turned[0] += (now.heading_deg - before.heading_deg + 180.0) % 360.0 - 180.0
        clock[0] += DT_S
        return Sample(clock[0], now.north_m, now.east_m, turned[0], now.rot_deg_min / 60.0, now.speed_kn * KN_MS)

    return Ship(parameters.length_m, advance, Sample(0.0, 0.0, 0.0, 0.0, 0.0, parameters.service_speed_kn * KN_MS))


def circle(ship: Ship, rudder_deg: float, seconds: float = 1500.0) -> Circle:
    """A turning circle. ValueError if the ship does not turn half round in `seconds`."""
    start = ship.now
    quarter: Sample | None = None
    half: Sample | None = None
    for _ in range(round(seconds / DT_S)):
        now = ship.step(rudder_deg)
        if quarter is None and abs(now.heading_deg) >= 90.0:
            quarter = now
        if half is None and abs(now.heading_deg) >= 180.0:
            half = now
    if quarter is None or half is None:
        raise ValueError(f"with {rudder_deg:g} deg of rudder the ship turns only {ship.now.heading_deg:.0f} deg in {seconds:g} s")
    end, length = ship.now, ship.length_m
    return Circle(
        advance=quarter.north_m / length,
        transfer=abs(quarter.east_m) / length,
        tactical_diameter=abs(half.east_m) / length,
        steady_diameter=2.0 * end.speed_ms / abs(radians(end.rate_deg_s)) / length,
        speed_kept=end.speed_ms / start.speed_ms,
        rate_deg_s=abs(end.rate_deg_s),
    )


def zig_zag(ship: Ship, angle_deg: float, seconds: float = 1500.0) -> ZigZag:
    """An angle/angle zig-zag that begins to starboard. ValueError if the third execute is not reached in `seconds`."""
    side, executes, peak, overshoots = 1.0, [], 0.0, []
    for _ in range(round(seconds / DT_S)):
        now = ship.step(side * angle_deg)
        peak = max(peak, -side * now.heading_deg)
        if side * now.heading_deg >= angle_deg:
            if executes:
                overshoots.append(peak - angle_deg)
            executes.append(now.t_s)
            side, peak = -side, 0.0
        if len(executes) == 3:
            return ZigZag(overshoots[0], overshoots[1], executes[1] - executes[0])
    raise ValueError(f"{angle_deg:g}/{angle_deg:g} zig-zag: {len(executes)} of 3 executes in {seconds:g} s")


def fitted() -> OwnShipParameters:
    """Parameters of dynamics.py for the reference ship: K and T as published; n3 and speed loss from one steady turn, at 20 deg."""
    turn = circle(mariner(), 20.0)
    rate = turn.rate_deg_s / turn.speed_kept  # taken to service speed, there r + n3 r^3 = K delta
    return OwnShipParameters(
        length_m=MARINER_LENGTH_M,
        service_speed_kn=MARINER_SPEED_MS / KN_MS,
        max_speed_kn=20.0,
        max_rot_deg_min=turn.rate_deg_s * 60.0,
        nomoto_k_1_s=PUBLISHED_K_1_S,
        nomoto_t_s=PUBLISHED_T_S,
        nomoto_n3_s2=(PUBLISHED_K_1_S * 20.0 - rate) / rate**3,
        rudder_rate_deg_s=MARINER_RUDDER_RATE_DEG_S,
        turn_speed_loss=1.0 - turn.speed_kept,
        surge_t_s=SURGE_T_S,
    )


def imo_limits(length_m: float, speed_ms: float) -> dict[str, float]:
    """The largest values that MSC.137(76) 5.3 allows; lengths in ship lengths."""
    ratio = length_m / speed_ms
    return {
        "advance": 4.5,
        "tactical_diameter": 5.0,
        "zig_zag_10_first_deg": 10.0 if ratio < 10.0 else 20.0 if ratio >= 30.0 else 5.0 + 0.5 * ratio,
        "zig_zag_10_second_deg": 25.0 if ratio < 10.0 else 40.0 if ratio >= 30.0 else 17.5 + 0.75 * ratio,
        "zig_zag_20_first_deg": 25.0,
    }


def figures(build: Callable[[], Ship]) -> dict[str, float]:
    """The figures that are compared, of a ship built anew for each manoeuvre."""
    full, mild = circle(build(), 35.0), circle(build(), 20.0)
    ten, twenty = zig_zag(build(), 10.0), zig_zag(build(), 20.0)
    return {
        "advance_35": full.advance,
        "transfer_35": full.transfer,
        "tactical_diameter_35": full.tactical_diameter,
        "advance_20": mild.advance,
        "transfer_20": mild.transfer,
        "tactical_diameter_20": mild.tactical_diameter,
        "zig_zag_20_first_deg": twenty.first_overshoot_deg,
        "zig_zag_20_second_deg": twenty.second_overshoot_deg,
        "zig_zag_20_half_period_s": twenty.half_period_s,
        "zig_zag_10_first_deg": ten.first_overshoot_deg,
        "zig_zag_10_second_deg": ten.second_overshoot_deg,
    }


def reference_report() -> dict[str, dict[str, float]]:
    """Figures of the reference ship, of the simulator's model fitted to it, the deviation in %, and of the default ship with its IMO limits."""
    parameters = fitted()
    wanted, got = figures(mariner), figures(lambda: simulator_ship(parameters))
    default = OwnShipParameters()
    k, t = linear_indices()
    return {
        "linear_indices": {"k_1_s": k, "t_s": t, "published_k_1_s": PUBLISHED_K_1_S, "published_t_s": PUBLISHED_T_S},
        "fit": {
            "k_1_s": parameters.nomoto_k_1_s,
            "t_s": parameters.nomoto_t_s,
            "n3_s2": parameters.nomoto_n3_s2,
            "turn_speed_loss": parameters.turn_speed_loss,
        },
        "reference": wanted,
        "model": got,
        "deviation_percent": {name: 100.0 * (got[name] / wanted[name] - 1.0) for name in wanted},
        "default_ship": figures(lambda: simulator_ship(default)),
        "default_ship_imo_limits": imo_limits(default.length_m, default.service_speed_kn * KN_MS),
    }


if __name__ == "__main__":
    for title, rows in reference_report().items():
        print(title)
        for name, value in rows.items():
            print(f"  {name:26} {value:9.3f}")
