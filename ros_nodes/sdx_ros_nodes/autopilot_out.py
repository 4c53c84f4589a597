"""The guard's heading to a real autopilot: HSC and HTC sentences by UDP. Speed has no such sentence."""

from sdx_domains.contract import Order
from sdx_domains.ship.inputs.autopilot import hsc, htc
from sdx_domains.ship.picture import OwnShipParameters
from sdx_ros_nodes.udp_out import UdpOut

PERIOD_S = 1.0


class AutopilotOut:
    """Sends at most once a second, never waits."""

    def __init__(self, address: str) -> None:
        self._out = UdpOut(address)
        self._due_s = float("-inf")

    @property
    def failure(self) -> str:
        """The last error; "" when the last sentence went out."""
        return self._out.failure

    def send(self, order: Order, parameters: OwnShipParameters, steady_s: float) -> None:
        if steady_s < self._due_s:
            return
        self._due_s = steady_s + PERIOD_S
        heading_deg = order.setpoints["heading_deg"]
        self._out.send(hsc(heading_deg))
        self._out.send(htc(heading_deg, max_rot_deg_min=parameters.max_rot_deg_min, max_rudder_deg=parameters.max_rudder_deg))

    def close(self) -> None:
        self._out.close()
