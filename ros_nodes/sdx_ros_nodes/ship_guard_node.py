"""The ship's guard as a ROS 2 node: the only writer of the helm command, 10 times a second, whatever else has died.

    python -m sdx_ros_nodes.ship_guard_node --transport dds --ros-args -p audit:=audit -p approval:=ask

What it does with proposals, people and the stop is in guarding.py; here is how the ship's readings come in and its orders go out.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from sdx_agents.guard import GuardTick
from sdx_domains.contract import Reading, load_domain
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.autopilot_out import AutopilotOut
from sdx_ros_nodes.guarding import GuardParameters, guarded
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.ship_inputs import ShipInputs


class ShipGuardParameters(GuardParameters):
    """Parameters of the node."""

    domain: str = "ship"
    autopilot: str = ""
    """host:port that gets HSC and HTC sentences by UDP once a second; empty: none."""


class ShipWire:
    """See guarding.Wire. The plant listens to the stop itself, so that nothing is sent for it."""

    def __init__(self, shell: Shell, autopilot: str = "") -> None:
        self._shell = shell
        self._inputs = ShipInputs(shell)
        self._out = shell.publisher(topics.COMMAND_COURSE)
        self._autopilot = AutopilotOut(autopilot) if autopilot else None
        self.sent = 0

    def drain(self) -> Sequence[Reading]:
        return self._inputs.drain()

    def send(self, tick: GuardTick, picture: Any, now_s: float) -> None:
        if tick.order is None or tick.verdict is None:
            return
        self.sent += 1
        self._out.publish(conversions.helm_from_order(tick.order, tick.verdict.id, self.sent))
        if self._autopilot is not None:
            self._autopilot.send(tick.order, picture.own.parameters, self._shell.transport.steady_s())
            if self._autopilot.failure:
                self._shell.health("autopilot", "error", self._autopilot.failure, for_s=5.0)

    def stop(self, picture: Any, now_s: float | None) -> None: ...

    def by_hand(self, device: str, position_pct: float | None) -> None:
        raise ValueError(f"a ship has no device {device!r} to set by hand; take over with heading_deg and speed_kn")

    def begin_anew(self) -> None: ...

    def close(self) -> None:
        """Let the autopilot's socket go."""
        if self._autopilot is not None:
            self._autopilot.close()


def build(transport: Transport, parameters: ShipGuardParameters) -> Callable[[], None]:
    return guarded(transport, parameters, load_domain(parameters.domain), lambda shell: ShipWire(shell, parameters.autopilot))


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "guard", ShipGuardParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
