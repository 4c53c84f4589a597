"""The simulated sea: own ship on its route or under orders, targets, sensors, and the truth for scoring.

`python -m sdx_domains.ship.simulator.world` prints how many steps per second it makes.
"""

from collections.abc import Sequence
from datetime import datetime
from math import hypot, isfinite
from random import Random
from time import perf_counter

from sdx_domains.contract import Order, Reading
from sdx_domains.ship.dynamics import MotionState, over_ground, step
from sdx_domains.ship.geometry import NM_M, LocalPlane, bearing_range, wrap180, wrap360
from sdx_domains.ship.picture import EnvironmentReading, RouteReading
from sdx_domains.ship.scenarios.scenario import Scenario
from sdx_domains.ship.simulator.pilot import RoutePilot
from sdx_domains.ship.simulator.sensors import Sensors
from sdx_domains.ship.simulator.trace import Trace
from sdx_domains.ship.simulator.traffic import Vessel, drift_of
from sdx_domains.ship.simulator.wire import Wire

GOAL_RADIUS_M = 0.2 * NM_M
CLEAR_FOR_S = 60.0
CLEAR_RANGE_M = 0.5 * NM_M
ON_COURSE_DEG = 5.0
ENVIRONMENT_EVERY_S = 60.0
SETPOINTS = {"heading_deg", "speed_kn"}


class ShipWorld:
    """contract.Plant. Follows the route until the first order; then the autopilot holds the last order's heading and speed.

    The plant limits nothing but by physics: an order is carried out as far as rudder, engine and turn rate allow.
    """

    def __init__(self, scenario: Scenario, seed: int = 0, dt_s: float = 1.0) -> None:
        """`seed` drives sensor noise only; the situation itself is the scenario's."""
        self.scenario, self.seed, self.dt_s = scenario, seed, dt_s
        self.trace = Trace()
        start = scenario.own
        self.plane = LocalPlane(start.lat_deg, start.lon_deg)
        self.own = MotionState(0.0, 0.0, wrap360(start.heading_deg), start.speed_kn)
        waypoints = [self.plane.to_plane(*point) for point in scenario.route]
        self._goal = waypoints[-1]
        self._pilot = RoutePilot(self.own, waypoints, [scenario.planned_speed_kn] * len(waypoints))
        self._order: tuple[float, float] | None = None
        self._t_s = 0.0
        around = scenario.environment
        self._drift = drift_of(around.wind_kn, around.wind_from_deg, around.current_kn, around.current_to_deg)
        self.vessels = [self._vessel(i) for i in range(len(scenario.targets))]
        self._sensors = Sensors(scenario.sensing, scenario.targets, self.plane, self.own, Random(f"{scenario.name}/{seed}"))
        self._wire = Wire()
        self._pending: list[Reading] = [self._environment(), self.route_reading()]
        self._environment_s = ENVIRONMENT_EVERY_S
        self._clear_since_s: float | None = None
        self._steer = self._pilot.steer(self.own)
        self._observe()

    @property
    def t_s(self) -> float:
        """Seconds since the start."""
        return self._t_s

    @property
    def done(self) -> bool:
        """Time is over; or the goal is reached (0.2 NM); or, for a minute, all targets were past, opening and over 0.5 NM off while own
        ship was on the last leg, on course for the goal and at its planned speed: what is left of the route is then undisturbed."""
        if self._t_s >= self.scenario.duration_s or not self._pilot.waypoints:
            return True
        if hypot(self._goal[0] - self.own.north_m, self._goal[1] - self.own.east_m) <= GOAL_RADIUS_M and len(self._pilot.waypoints) == 1:
            return True
        return self._clear_since_s is not None and self._t_s - self._clear_since_s >= CLEAR_FOR_S

    def readings(self) -> Sequence[Reading]:
        """What the sensors gave since the last call; the first call also brings the route and the surroundings."""
        given, self._pending = self._pending, []
        return given

    def route_reading(self) -> RouteReading:
        """The route still ahead, for a perceiver that starts in mid-run."""
        ahead = [self.plane.to_geo(*point) for point in self._pilot.waypoints]
        return RouteReading(t_s=self._t_s, source="plan", waypoints=tuple(ahead), planned_sog_kn=self.scenario.planned_speed_kn)

    def sentences(self, readings: Sequence[Reading], utc: datetime) -> list[str]:
        """The same readings as they would come over the wire: RMC, HDT, ROT, RSA for own ship, AIVDM for targets. `utc` is the wall time of t = 0.

        Static data (name, type, size) go out with a target's first report and then every 6 minutes, as AIS does.
        """
        return self._wire.sentences(readings, utc)

    def apply(self, order: Order) -> None:
        """Set the autopilot: "heading_deg" and "speed_kn", what is not given stays. ValueError: another set-point, or not a number."""
        setpoints = dict(order.setpoints)
        if unknown := set(setpoints) - SETPOINTS:
            raise ValueError(f"order {order.id}: unknown set-points {sorted(unknown)}; the ship takes {sorted(SETPOINTS)}")
        if wrong := [name for name, value in setpoints.items() if not isfinite(value)]:
            raise ValueError(f"order {order.id}: {wrong[0]} is {setpoints[wrong[0]]!r}, not a number")
        heading, speed = self._steer
        self._order = wrap360(setpoints.get("heading_deg", heading)), setpoints.get("speed_kn", speed)
        self._steer = self._order
        self.trace.orders.append((self._t_s, order))

    def step(self, dt_s: float | None = None) -> None:
        """Move everything on by `dt_s` (default: the world's step), then observe."""
        dt = self.dt_s if dt_s is None else dt_s
        own_velocity = over_ground(self.own, *self._drift)
        own_before = self.own
        self.own = step(own_before, *self._steer, self.scenario.own.parameters, dt, *self._drift)
        for vessel in self.vessels:
            vessel.step(self._t_s, dt, own_before, own_velocity, self._drift)
        self._t_s += dt
        followed = self._pilot.steer(self.own)
        self._steer = self._order or followed
        self._observe()

    def _observe(self) -> None:
        """Record the truth and let the sensors see it."""
        drift = self._drift
        states = [vessel.state for vessel in self.vessels]
        velocity = over_ground(self.own, *drift)
        velocities = [over_ground(state, *drift) for state in states]
        self.trace.add(self._t_s, self.own, *self._steer, states)
        self._pending.append(self._sensors.own(self._t_s, self.own, velocity, self._steer))
        self._pending.extend(self._sensors.targets(self._t_s, states, velocities))
        if self._t_s >= self._environment_s:
            self._environment_s += ENVIRONMENT_EVERY_S
            self._pending.append(self._environment())
        if not self._is_clear(states, velocity, velocities):
            self._clear_since_s = None
        elif self._clear_since_s is None:
            self._clear_since_s = self._t_s

    def _is_clear(self, states: list[MotionState], velocity: tuple[float, float], velocities: list[tuple[float, float]]) -> bool:
        """Nothing disturbs the rest of the route as it is now."""
        if not states or len(self._pilot.waypoints) != 1 or abs(self.own.speed_kn - self.scenario.planned_speed_kn) > 1.0:
            return False
        dn, de = self._goal[0] - self.own.north_m, self._goal[1] - self.own.east_m
        toward, _ = bearing_range(dn, de)
        track, _ = self._pilot.steer(self.own)
        heading = self.own.heading_deg
        if abs(wrap180(heading - toward)) > ON_COURSE_DEG and abs(wrap180(heading - track)) > ON_COURSE_DEG:
            return False
        for state, (vn, ve) in zip(states, velocities, strict=True):
            dn, de = state.north_m - self.own.north_m, state.east_m - self.own.east_m
            if dn * (vn - velocity[0]) + de * (ve - velocity[1]) <= 0.0 or hypot(dn, de) < CLEAR_RANGE_M:
                return False
        return True

    def _vessel(self, i: int) -> Vessel:
        start = self.scenario.targets[i]
        north, east = self.plane.to_plane(start.lat_deg, start.lon_deg)
        waypoints = [self.plane.to_plane(*point) for point in start.waypoints]
        return Vessel(start, MotionState(north, east, wrap360(start.heading_deg), start.speed_kn), waypoints)

    def _environment(self) -> EnvironmentReading:
        around = self.scenario.environment
        return EnvironmentReading(
            t_s=self._t_s,
            source="simulator",
            visibility_nm=around.visibility_nm,
            wind_kn=around.wind_kn,
            wind_from_deg=around.wind_from_deg,
            current_kn=around.current_kn,
            current_to_deg=around.current_to_deg,
            daylight=around.daylight,
            depth_m=around.depth_m,
        )


def steps_per_second(steps: int = 5000) -> float:
    """World steps per second at dt 1 s: own ship and 3 targets (imazu-13) with all readings fetched, one thread."""
    from sdx_domains.ship.scenarios import scenario

    world = ShipWorld(scenario("imazu-13", 0))
    began = perf_counter()
    for i in range(steps):
        if i % 600 == 0:  # an order now and then, so that turning is measured too
            heading = 40.0 if i % 1200 else 0.0
            world.apply(
                Order(
                    domain="ship", setpoints={"heading_deg": heading}, issued_s=world.t_s, valid_for_s=60.0, source="human", picture_id=""
                )
            )
        world.step(1.0)
        world.readings()
    return steps / (perf_counter() - began)


if __name__ == "__main__":
    print(f"{steps_per_second():.0f} steps/s")
