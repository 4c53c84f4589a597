"""Devices behind ROS 2 topics as Equipment: a simulated house in a process of its own, or anybody's drivers."""

from collections.abc import Callable, Sequence
from typing import Any

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, CommandResult, Device
from sdx_ros_nodes import equipment_conversions as conversions
from sdx_ros_nodes import topics
from sdx_ros_nodes.shell import Shell

MAX_WAITING = 20_000
"""Readings between two reads; more is a flood, the rest is dropped and reported."""
MAX_DEVICES = 1_000


class TopicEquipment:
    """Implements equipment.Equipment. All calls from the transport's thread.

    Args:
        kinds: the domain's own kinds of reading (Equipped.reading_types).
    """

    def __init__(self, shell: Shell, kinds: Sequence[type[Reading]]) -> None:
        self._shell = shell
        self._waiting: list[Reading] = []
        self._dropped = 0
        self._devices: dict[str, Device] = {}
        self._command = shell.publisher(topics.ACTUATOR_COMMAND)
        types = {kind.__name__: kind for kind in kinds}
        for quantity, (topic, _, _) in conversions.STANDARD.items():
            self._take(topic, lambda message, quantity=quantity: conversions.sensor_from_standard(quantity, message))
        self._take(topics.MEASUREMENT, conversions.sensor_from_measurement)
        self._take(topics.ACTUATOR_STATE, self._actuator)
        self._take(topics.INFORMATION, lambda message: conversions.information(message, types))

    def devices(self) -> Sequence[Device]:
        """Those that have told of themselves."""
        return list(self._devices.values())

    def read(self) -> Sequence[Reading]:
        given, self._waiting = self._waiting, []
        if self._dropped:
            self._shell.health("inputs", "error", f"{self._dropped} readings were dropped: more than {MAX_WAITING} at once", for_s=30.0)
            self._dropped = 0
        return given

    def send(self, command: ActuatorCommand) -> CommandResult:
        """On the wire; what becomes of it shows in the device's read-back."""
        self._command.publish(conversions.from_command(command))
        return CommandResult(command_id=command.id, fate="accepted")

    def close(self) -> None: ...

    def _actuator(self, message: Any) -> Reading:
        reading = conversions.actuator_from_state(message)
        if reading.device not in self._devices and len(self._devices) < MAX_DEVICES:
            self._devices[reading.device] = conversions.device_from_state(message)
        return reading

    def _take(self, topic: topics.Topic, convert: Callable[[Any], Reading]) -> None:
        def take(message: Any) -> None:
            try:
                reading = convert(message)
            except ValueError as error:
                self._shell.health(f"input {topic.name}", "warn", f"left out: {str(error)[:300]}", for_s=10.0)
                return
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(reading)
            else:
                self._dropped += 1

        self._shell.subscribe(topic, take)
