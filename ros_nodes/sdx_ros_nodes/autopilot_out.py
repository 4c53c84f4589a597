"""The guard's heading to a real autopilot: HSC and HTC sentences by UDP. Speed has no such sentence."""

import socket

from sdx_domains.contract import Order
from sdx_domains.ship.inputs.autopilot import hsc, htc
from sdx_domains.ship.picture import OwnShipParameters

PERIOD_S = 1.0


def endpoint(text: str) -> tuple[str, int]:
    """("10.0.0.9", 10110) from "10.0.0.9:10110".

    Raises:
        ValueError: not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port, as in 127.0.0.1:10110")
    return host, int(port)


class AutopilotOut:
    """Sends at most once a second, never waits; `failure` tells the last error."""

    def __init__(self, address: str) -> None:
        self._address = endpoint(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._due_s = float("-inf")
        self.failure = ""

    def send(self, order: Order, parameters: OwnShipParameters, steady_s: float) -> None:
        if steady_s < self._due_s:
            return
        self._due_s = steady_s + PERIOD_S
        heading = order.setpoints["heading_deg"]
        lines = hsc(heading), htc(heading, max_rot_deg_min=parameters.max_rot_deg_min, max_rudder_deg=parameters.max_rudder_deg)
        try:
            for line in lines:
                self._socket.sendto((line.rstrip("\r\n") + "\r\n").encode("ascii"), self._address)
            self.failure = ""
        except OSError as error:
            self.failure = f"{self._address[0]}:{self._address[1]}: {error}"

    def close(self) -> None:
        self._socket.close()
