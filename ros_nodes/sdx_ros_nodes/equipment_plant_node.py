"""A domain's simulated house as a ROS 2 node: measurements out, actuator commands in, /clock, its own watchdog and stop latch.

python -m sdx_ros_nodes.equipment_plant_node --transport dds --ros-args -p domain:=farm -p rate:=600.0
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from sdx_domains.contract import Closed, Reading, load_domain
from sdx_domains.equipment import SimulatedHouse
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes import equipment_conversions as equipment
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.stop_latch import StopLatch

ON_THE_WIRE_S = 2.0
"""Of this machine: a command's life is lengthened by it, as the plant's time runs on while the command is on its way."""
TOLD_AGAIN_S = 3600.0
"""Plant time after which the domain's own readings (forecast, prices, date) go out again, for a guard that starts in mid-run."""


class HouseParameters(Closed):
    """Parameters of the node."""

    domain: str
    """Whose house; gives the namespace /<domain> and the name <domain>_plant, unless they are given."""
    scenario: str = ""
    """Name of a scenario, or several separated by commas: one after the other. Empty: the domain's first."""
    seed: int = 0
    rate: float = Field(60.0, gt=0.0, le=3600.0)
    """Plant seconds per second."""
    tick_hz: float = Field(10.0, ge=1.0, le=50.0)
    watchdog_s: float = Field(10.0, gt=0.0)
    """With neither a command nor a heartbeat of the guard for so long (steady clock), the devices go into their safe positions."""
    on_end: Literal["restart", "hold", "exit"] = "restart"
    """What to do when the scenario is over: the next one with a new seed, go on, or end the process."""


class HousePlantNode:
    """Turns the house's readings into topics and the guard's commands into the house's.

    The stop latches here too, from `estop` and straight from `estop/request`, and ends only by an operator's reset:
    it works with every other process dead.

    Args:
        make_controller: for the safe positions of the devices, which are the domain's to say.
    """

    def __init__(
        self,
        transport: Transport,
        parameters: HouseParameters,
        make_house: Callable[[int], SimulatedHouse],
        make_controller: Callable[[], Any],
        step_s: float,
    ) -> None:
        self.shell = Shell(transport)
        self._transport = transport
        self._parameters = parameters
        self._make_house = make_house
        self._make_controller = make_controller
        self._step_s = step_s
        self._run = 0
        self._owed_s = 0.0
        self._stop = StopLatch(self.shell, self._make_safe, self._on_reset)
        self._begin(0)
        self._out = {topic: self.shell.publisher(topic) for topic in _OUT}
        self.shell.subscribe(topics.ACTUATOR_COMMAND, self._on_command)
        self.shell.subscribe(topics.HEARTBEAT, self._on_heartbeat)
        transport.timer(1.0 / parameters.tick_hz, self._tick)

    def _begin(self, run: int) -> None:
        self.house = self._make_house(run)
        self._safety = self._make_controller()
        self._kinds = {device.name: device.kind for device in self.house.devices()}
        self._guarded_s: float | None = None
        self.safe = False
        self._own: dict[str, Reading] = {}
        self._own_due_s = self.house.t_s + TOLD_AGAIN_S
        if self.stopped:
            self._make_safe()

    @property
    def stopped(self) -> bool:
        """The stop is on."""
        return self._stop.on

    def _tick(self) -> None:
        if self.house.done and self._parameters.on_end == "exit":
            self._transport.shutdown()
            return
        if self.house.done and self._parameters.on_end == "restart":
            self._run += 1
            self._begin(self._run)
        self._watch()
        self._owed_s += self._parameters.rate / self._parameters.tick_hz
        while self._owed_s >= (step_s := min(self._step_s, self._parameters.rate / self._parameters.tick_hz)) - 1e-9:
            self.house.step(step_s)
            self._owed_s -= step_s
        if self.safe or self.stopped:
            self._make_safe()
        self._publish()

    def _publish(self) -> None:
        now_s = self.house.t_s
        self._out[topics.CLOCK].publish(new(topics.CLOCK.type_name, clock=conversions.stamp(now_s)))
        for reading in [*self.house.read(), *self._told_again(now_s)]:
            topic, message = equipment.from_any(reading, self._kinds)
            if topic is topics.INFORMATION:
                self._own[type(reading).__name__] = reading
            self._out[topic].publish(message)
        mode = "stopped" if self.stopped else "safe positions: no guard" if self.safe else "under command" if self._guarded_s else "waits"
        level = "error" if self.stopped or self.safe else "ok"
        self.shell.health("plant", level, mode, t_s=round(now_s, 1), scenario=self._parameters.scenario)

    def _told_again(self, now_s: float) -> list[Reading]:
        if now_s < self._own_due_s:
            return []
        self._own_due_s = now_s + TOLD_AGAIN_S
        return list(self._own.values())

    def _on_command(self, message: Any) -> None:
        late_s = ON_THE_WIRE_S * self._parameters.rate
        try:
            command = equipment.command_from_message(message, self.house.t_s - late_s)
        except ValueError as error:
            self.shell.health("command", "warn", str(error)[:300], for_s=10.0)
            return
        self._guarded_s = self._transport.steady_s()
        if self.stopped:
            return
        self.safe = False
        result = self.house.send(command.model_copy(update={"expires_s": command.expires_s + late_s}))
        if result.fate in ("rejected", "timeout"):
            self.shell.health(f"device {command.device}", "warn", f"{result.fate}: {result.detail}", for_s=10.0)

    def _on_heartbeat(self, message: Any) -> None:
        if self._guarded_s is not None and message.node.rpartition("/")[2] == f"{self._parameters.domain}_guard":
            self._guarded_s = self._transport.steady_s()

    def _watch(self) -> None:
        """The watchdog: counts only after a first command; a guard that lives speaks for its controller, which tells changes only."""
        if self.stopped or self.safe or self._guarded_s is None:
            return
        if self._transport.steady_s() - self._guarded_s > self._parameters.watchdog_s:
            self.safe = True

    def _make_safe(self) -> None:
        for command in self._safety.stopped(None, self.house.t_s):
            self.house.send(command)

    def _on_reset(self) -> None:
        self.safe, self._guarded_s = False, None


_OUT = (*(topic for topic in topics.EQUIPMENT if topic not in (topics.ACTUATOR_COMMAND, topics.ALARM)), topics.CLOCK)


def build(transport: Transport, parameters: HouseParameters) -> Callable[[], None]:
    domain: Any = load_domain(parameters.domain)
    if not hasattr(domain, "house"):
        raise ValueError(f"domain {parameters.domain!r} steers no devices (it has no house); use its own plant node")
    names = [name.strip() for name in parameters.scenario.split(",") if name.strip()]
    names = names or [next(iter(domain.plants().values()))[0]]

    def make_house(run: int) -> SimulatedHouse:
        return domain.house(names[run % len(names)], parameters.seed + run)

    pace = domain.fitted(domain.case(names[0], parameters.seed)).pace
    HousePlantNode(transport, parameters, make_house, domain.controller, pace.step_s)
    return lambda: None


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "plant", HouseParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
