"""The simulated ship as a ROS 2 node: sensors out, helm commands in, its own watchdog and stop latch.

python -m sdx_ros_nodes.ship_plant_node --transport dds --ros-args -p scenario:=imazu-05 -p rate:=5.0
"""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from pydantic import Field

from sdx_domains.contract import Closed, Order, Plant, Reading, load_domain
from sdx_domains.ship.picture import OwnReading, RouteReading
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.stop_latch import StopLatch
from sdx_ros_nodes.udp_out import UdpOut

MAX_STEP_S = 1.0
ROUTE_EVERY_S = 30.0
SAFE_ORDER_S = 86_400.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Date of plant time 0 in sentences that carry one."""


class ShipPlant(Plant, Protocol):
    """A plant that can also tell the route still ahead, for a guard that starts in mid-run, and speak NMEA."""

    def route_reading(self) -> RouteReading: ...

    def sentences(self, readings: Sequence[Reading], utc: datetime) -> list[str]:
        """The same readings as NMEA 0183 and AIS sentences; `utc` is the date of plant time 0."""
        ...


class PlantParameters(Closed):
    """Parameters of the node."""

    scenario: str = "imazu-05"
    """Name of a scenario, or several separated by commas: one after the other."""
    seed: int = 0
    rate: float = Field(1.0, gt=0.0, le=20.0)
    """Plant seconds per second."""
    tick_hz: float = Field(20.0, ge=1.0, le=50.0)
    watchdog_s: float = Field(3.0, gt=0.0)
    """Without a valid command for so long (steady clock), the ship goes into its safe state."""
    safe_speed_kn: float = Field(4.0, ge=0.0)
    sensors: Literal["topics", "nmea", "both"] = "topics"
    """How own ship and targets are told: as ROS topics, as sentences on topic `nmea` (for ship_sensors), or both."""
    nmea_udp: str = ""
    """host:port that gets the sentences by UDP too."""
    on_end: Literal["restart", "hold", "exit"] = "restart"
    """What to do when the scenario is over: the next one with a new seed, sail on, or end the process."""


class ShipPlantNode:
    """Turns the plant's readings into topics and the guard's commands into orders.

    The stop latches here too, from `estop` and straight from `estop/request`, and ends only by an operator's reset:
    it works with every other process dead.
    """

    def __init__(self, transport: Transport, parameters: PlantParameters, make_plant: Callable[[int], ShipPlant]) -> None:
        self.shell = Shell(transport)
        self._transport = transport
        self._parameters = parameters
        self._make_plant = make_plant
        self._run = 0
        self._plant = make_plant(0)
        self._heading_deg: float | None = None
        self._speed_kn: float | None = None
        self._commanded_s: float | None = None
        self._applied = ""
        self._stop = StopLatch(self.shell, lambda: self._hold(0.0, "stop"), self._on_reset)
        self.safe = False
        self._route_due_s = ROUTE_EVERY_S
        self._origin: tuple[float, float] | None = None
        self._udp = UdpOut(parameters.nmea_udp) if parameters.nmea_udp else None
        self._out = {topic: self.shell.publisher(topic) for topic in _OUT}
        self.shell.subscribe(topics.COMMAND_COURSE, self._on_command)
        transport.timer(1.0 / parameters.tick_hz, self._tick)

    @property
    def plant(self) -> ShipPlant:
        return self._plant

    @property
    def stopped(self) -> bool:
        """The stop is on."""
        return self._stop.on

    def _tick(self) -> None:
        if self._plant.done and self._parameters.on_end != "hold":
            self._begin_anew()
            return
        self._watch()
        left_s = self._parameters.rate / self._parameters.tick_hz
        while left_s > 1e-9:
            step_s = min(left_s, MAX_STEP_S)
            self._plant.step(step_s)
            left_s -= step_s
        self._publish()

    def _publish(self) -> None:
        now_s = self._plant.t_s
        readings = list(self._plant.readings())
        if now_s >= self._route_due_s:
            self._route_due_s = now_s + ROUTE_EVERY_S
            readings.append(self._plant.route_reading())
        for reading in readings:
            if isinstance(reading, OwnReading):
                self._remember(reading)
        self._out[topics.CLOCK].publish(new(topics.CLOCK.type_name, clock=conversions.stamp(now_s)))
        self._speak_nmea(readings)
        for topic, message in conversions.from_readings(readings, now_s):
            if self._parameters.sensors != "nmea" or topic not in _SENSED:
                self._out[topic].publish(message)
        for reading in readings:
            if isinstance(reading, RouteReading) and self._origin is not None:
                self._out[topics.PLAN].publish(conversions.path_from_route(reading, self._origin, now_s))
        mode = "stopped" if self.stopped else "safe state" if self.safe else "under orders" if self._applied else "own route"
        self.shell.health(
            "plant", "error" if self.stopped or self.safe else "ok", mode, t_s=round(now_s, 1), scenario=self._parameters.scenario
        )

    def _speak_nmea(self, readings: Sequence[Reading]) -> None:
        if self._parameters.sensors == "topics" and self._udp is None:
            return
        for line in self._plant.sentences(readings, EPOCH):
            if self._parameters.sensors != "topics":
                self._out[topics.NMEA].publish(new(topics.NMEA.type_name, data=line))
            if self._udp is not None:
                self._udp.send(line)

    def _remember(self, own: OwnReading) -> None:
        self._heading_deg = own.heading_deg if own.heading_deg is not None else self._heading_deg
        self._speed_kn = own.sog_kn if own.sog_kn is not None else self._speed_kn
        if self._origin is None and own.lat_deg is not None and own.lon_deg is not None:
            self._origin = own.lat_deg, own.lon_deg

    def _on_command(self, message: Any) -> None:
        now_s = self._plant.t_s
        try:
            order = conversions.order_from_helm(message, now_s)
        except ValueError as error:
            self.shell.health("command", "warn", str(error), for_s=10.0)
            return
        self._commanded_s = self._transport.steady_s()
        if self.stopped:
            return
        if self.safe:
            self.safe, self._applied = False, ""
        if message.order_id != self._applied:
            self._plant.apply(order)
            self._applied = message.order_id

    def _watch(self) -> None:
        """The watchdog: counts only after a first command; before, the ship follows its own route."""
        if self.stopped or self.safe or self._commanded_s is None:
            return
        silent_s = self._transport.steady_s() - self._commanded_s
        if silent_s > self._parameters.watchdog_s:
            self.safe = True
            self._hold(min(self._parameters.safe_speed_kn, self._speed_kn or self._parameters.safe_speed_kn), "watchdog")

    def _on_reset(self) -> None:
        self.safe, self._applied = True, ""

    def _hold(self, speed_kn: float, why: str) -> None:
        """Bring the ship into its safe state: the present heading, and this speed."""
        setpoints = {"speed_kn": speed_kn}
        if self._heading_deg is not None:
            setpoints["heading_deg"] = self._heading_deg
        order = Order(
            domain="ship",
            setpoints=setpoints,
            issued_s=self._plant.t_s,
            valid_for_s=SAFE_ORDER_S,
            source="guard",
            picture_id="",
            label=why,
        )
        self._plant.apply(order)
        self._applied = ""

    def _begin_anew(self) -> None:
        if self._parameters.on_end == "exit":
            self._transport.shutdown()
            return
        self._run += 1
        self._plant = self._make_plant(self._run)
        self._applied, self.safe, self._commanded_s, self._route_due_s = "", False, None, ROUTE_EVERY_S
        if self.stopped:
            self._hold(0.0, "stop")


_SENSED = frozenset({topics.FIX, topics.VEL, topics.IMU, topics.OWN_STATE, topics.TARGETS})
_OUT = (*_SENSED, topics.ENVIRONMENT, topics.ROUTE, topics.PLAN, topics.CLOCK, topics.NMEA)


def build(transport: Transport, parameters: PlantParameters) -> Callable[[], None]:
    domain = load_domain("ship")
    names = [name.strip() for name in parameters.scenario.split(",") if name.strip()]

    def make_plant(run: int) -> Any:
        return domain.plant(names[run % len(names)], parameters.seed + run)

    ShipPlantNode(transport, parameters, make_plant)
    return lambda: None


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "ship_plant", PlantParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
