"""How a domain's guard reaches devices: readings from Equipment, the order to the domain's controller, its commands out. See guarding.Wire."""

from collections.abc import Callable, Sequence
from typing import Any

from sdx_agents.guard import GuardTick
from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, Alarm, Equipment, Operation
from sdx_ros_nodes import equipment_conversions as conversions
from sdx_ros_nodes import topics
from sdx_ros_nodes.shell import Shell
from sdx_ros_nodes.topic_equipment import TopicEquipment

HAND_AGAIN_S = 300.0
"""A device that a person set is told again after so long, plant time, so that one that lost power comes back."""
HAND_EXPIRES_S = 600.0
TOLD_S = 30.0
"""A command that a device did not take stays in the diagnostics this long."""


class EquipmentWire:
    """Guard and controller in one process: the order reaches the controller without a wire between them.

    A device that a person sets is shown to perceiver and controller as MANUAL: the controller leaves it, on any bus. A stop ends that.

    Args:
        make_controller: Equipped.controller; a new run of the plant gets a new one.
    """

    def __init__(self, shell: Shell, equipment: Equipment, make_controller: Callable[[], Any]) -> None:
        self._shell = shell
        self._equipment = equipment
        self._make_controller = make_controller
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._alarm = shell.publisher(topics.ALARM)
        # Devices behind topics are seen by everybody already.
        shown = () if isinstance(equipment, TopicEquipment) else _SHOWN
        self._shown = {topic: shell.publisher(topic) for topic in shown}
        self.sent = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        self._controller = self._make_controller()
        self._by_hand: dict[str, float] = {}
        self._hand_due_s: dict[str, float] = {}

    def drain(self) -> Sequence[Reading]:
        read = list(self._equipment.read())
        if self._shown:
            kinds = self._kinds()
            for topic, message in (conversions.from_any(reading, kinds) for reading in read):
                self._shown[topic].publish(message)
        return [self._as_held(reading) for reading in read]

    def _as_held(self, reading: Reading) -> Reading:
        held = isinstance(reading, ActuatorReading) and reading.device in self._by_hand
        return reading.model_copy(update={"right": "MANUAL"}) if held else reading

    def _kinds(self) -> dict[str, str]:
        return {device.name: device.kind for device in self._equipment.devices()}

    def send(self, tick: GuardTick, picture: Any, now_s: float) -> None:
        if tick.mode == "stopped":
            self.stop(picture, now_s)
        elif picture is not None:
            told = self._controller.act(picture, tick.order, now_s)
            self._tell([command for command in told if command.device not in self._by_hand])
            self._tell(self._of_hands(now_s))
        self._tell_alarms()

    def stop(self, picture: Any, now_s: float | None) -> None:
        self._by_hand.clear()
        self._tell(self._controller.stopped(picture, self._shell.transport.now_s() if now_s is None else now_s))

    def by_hand(self, device: str, position_pct: float | None) -> None:
        known = {name for name, kind in self._kinds().items() if kind != "sensor"}
        if device not in known:
            raise ValueError(f"no device {device!r}; there are {', '.join(sorted(known)) or 'none yet'}")
        self._hand_due_s.pop(device, None)
        if position_pct is None:
            self._by_hand.pop(device, None)
        else:
            self._by_hand[device] = position_pct

    def _of_hands(self, now_s: float) -> list[ActuatorCommand]:
        """What persons set, when it is due again."""
        kinds, told = self._kinds(), []
        for device, position_pct in self._by_hand.items():
            if not self._hand_due_s.get(device, now_s) - HAND_AGAIN_S <= now_s < self._hand_due_s.get(device, now_s):
                self._hand_due_s[device] = now_s + HAND_AGAIN_S
                told.append(_set(device, kinds.get(device, ""), position_pct, now_s))
        return told

    def close(self) -> None:
        self._equipment.close()

    def _tell(self, commands: Sequence[ActuatorCommand]) -> None:
        for command in commands:
            self.sent += 1
            result = self._equipment.send(command)
            if result.fate in ("rejected", "timeout"):
                self._shell.health(f"device {command.device}", "error", f"{command.op}: {result.fate}: {result.detail}", for_s=TOLD_S)

    def _tell_alarms(self) -> None:
        """Each alarm once when it begins, once when it ends."""
        now = {(alarm.kind, alarm.detail.split(" ", 1)[0]): alarm for alarm in self._controller.alarms()}
        for key in self._alarms.keys() - now.keys():
            self._alarm.publish(conversions.from_alarm(self._alarms[key], active=False))
        for key in now.keys() - self._alarms.keys():
            self._alarm.publish(conversions.from_alarm(now[key]))
        self._alarms = now
        worst = "error" if any(alarm.severity == "critical" for alarm in now.values()) else "warn" if now else "ok"
        self._shell.health("alarms", worst, "; ".join(alarm.detail for alarm in now.values())[:1000] or "none")


def _set(device: str, kind: str, position_pct: float, now_s: float) -> ActuatorCommand:
    """The command that brings a device there; what can only be on or off is on above 0."""
    switched = kind in ("switch", "nutrient")
    op: Operation = ("on" if position_pct > 0.0 else "stop") if switched else "set_position"
    return ActuatorCommand(
        id=f"hand:{device}@{now_s:.3f}",
        device=device,
        op=op,
        value={} if switched else {"position_pct": position_pct},
        issued_s=now_s,
        expires_s=now_s + HAND_EXPIRES_S,
        issuer="person",
        reason="by hand",
    )


_SHOWN = tuple(topic for topic in topics.EQUIPMENT if topic not in (topics.ACTUATOR_COMMAND, topics.ALARM))
