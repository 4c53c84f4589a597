"""The plant's time as a node sees it: the machine's clock, or that of a simulated plant from /clock."""

from typing import Any

from sdx_ros_nodes import topics
from sdx_ros_nodes.conversions import seconds
from sdx_ros_nodes.shell import Shell

MAX_RATE = 10_000.0
GRACE_S = 1.0
"""A simulated plant that is late by less (steady clock) is only slow: its time stands still, and nothing grows old."""


class PlantClock:
    """now_s() never goes back, unless the simulated plant itself began anew: then `restarts` counts on.

    The time of a simulated plant is that of its last message; when it falls silent, time runs on at the last observed
    rate, as the plant has died and what is known of it must grow old.
    """

    def __init__(self, shell: Shell, simulated: bool) -> None:
        self.restarts = 0
        self._transport = shell.transport
        self._simulated = simulated
        self._plant_s: float | None = None
        self._at_s = 0.0
        self._rate = 0.0
        self._shown_s = 0.0
        if simulated:
            shell.subscribe(topics.CLOCK, self._on_clock)

    def now_s(self) -> float | None:
        """Seconds; None while a simulated plant was never heard."""
        if not self._simulated:
            return self._transport.now_s()
        if self._plant_s is None:
            return None
        silent_s = max(0.0, self._transport.steady_s() - self._at_s - GRACE_S)
        self._shown_s = max(self._shown_s, self._plant_s + self._rate * silent_s)
        return self._shown_s

    def _on_clock(self, message: Any) -> None:
        plant_s, at_s = seconds(message.clock), self._transport.steady_s()
        if self._plant_s is not None and plant_s < self._plant_s - 1.0:
            self.restarts += 1
            self._plant_s, self._shown_s, self._rate = None, plant_s, 0.0
        if self._plant_s is not None and at_s > self._at_s:
            seen = min((plant_s - self._plant_s) / (at_s - self._at_s), MAX_RATE)
            self._rate = seen if self._rate == 0.0 else 0.8 * self._rate + 0.2 * max(seen, 0.0)
        self._plant_s, self._at_s = plant_s, at_s
