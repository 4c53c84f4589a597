"""The plant's own stop: latched by `estop`, `estop/request` or an operator, ended by an operator's reset alone. Needs no other process."""

from collections.abc import Callable
from typing import Any

from sdx_ros_nodes import events, topics
from sdx_ros_nodes.shell import Shell

DEAF_S = 1.5
"""For a moment after a reset an older repetition of the guard's state may still come in."""


class StopLatch:
    """Whether the stop is on. `on_stop` is called once when it comes on, `on_reset` when it ends."""

    def __init__(self, shell: Shell, on_stop: Callable[[], None], on_reset: Callable[[], None]) -> None:
        self.on = False
        self._shell, self._on_stop, self._on_reset = shell, on_stop, on_reset
        self._reset_s = float("-inf")
        shell.subscribe(topics.ESTOP, self._on_estop)
        shell.subscribe(topics.ESTOP_REQUEST, self._on_request)
        shell.subscribe(topics.OPERATOR, self._on_operator)

    def _latch(self) -> None:
        if not self.on:
            self.on = True
            self._on_stop()

    def _on_estop(self, message: Any) -> None:
        if message.data and self._shell.transport.steady_s() - self._reset_s > DEAF_S:
            self._latch()

    def _on_request(self, message: Any) -> None:
        if message.data:
            self._latch()

    def _on_operator(self, message: Any) -> None:
        if message.kind not in ("stop", "reset"):
            return
        try:
            action = events.read_action(message)
        except ValueError as error:
            self._shell.health("operator", "warn", str(error), for_s=10.0)
            return
        if isinstance(action, events.Stop):
            self._latch()
        elif isinstance(action, events.Reset) and self.on:
            self.on = False
            self._on_reset()
            self._reset_s = self._shell.transport.steady_s()
