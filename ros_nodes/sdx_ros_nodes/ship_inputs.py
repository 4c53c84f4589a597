"""Collects the ship's sensor topics as readings, for whoever perceives."""

from collections.abc import Callable
from typing import Any

from sdx_domains.contract import Reading
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.shell import Shell

MAX_WAITING = 5_000
"""Readings between two ticks; more is a flood, the rest is dropped and reported."""
MAX_TARGETS = 1_000
"""In one message."""


class ShipInputs:
    """Subscribes to everything a picture is made of; drain() gives what came since the last call."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._waiting: list[Reading] = []
        self._dropped = 0
        one: list[tuple[topics.Topic, Callable[[Any], Reading | None]]] = [
            (topics.FIX, conversions.own_from_fix),
            (topics.VEL, conversions.own_from_vel),
            (topics.IMU, conversions.own_from_imu),
            (topics.OWN_STATE, conversions.own_from_state),
            (topics.ENVIRONMENT, conversions.environment_from_state),
            (topics.ROUTE, conversions.route_from_message),
        ]
        for topic, convert in one:
            shell.subscribe(topic, self._taker(topic, convert))
        shell.subscribe(topics.TARGETS, self._take_targets)

    def drain(self) -> list[Reading]:
        given, self._waiting = self._waiting, []
        if self._dropped:
            self._shell.health("inputs", "error", f"{self._dropped} readings were dropped: more than {MAX_WAITING} in one tick", for_s=30.0)
            self._dropped = 0
        return given

    def _taker(self, topic: topics.Topic, convert: Callable[[Any], Reading | None]) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            reading = convert(message)
            if reading is None:
                self._shell.health(f"input {topic.name}", "warn", "a message without a usable value was left out", for_s=10.0)
            else:
                self._keep([reading])

        return take

    def _take_targets(self, message: Any) -> None:
        if len(message.targets) > MAX_TARGETS:
            self._shell.health(
                "input targets", "error", f"{len(message.targets)} targets in one message; {MAX_TARGETS} are read", for_s=30.0
            )
            message.targets = message.targets[:MAX_TARGETS]
        self._keep(conversions.targets_from_array(message))

    def _keep(self, readings: list[Any]) -> None:
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(readings[:room])
        self._dropped += max(0, len(readings) - room)
