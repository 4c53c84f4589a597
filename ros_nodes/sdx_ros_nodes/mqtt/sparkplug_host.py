"""A Sparkplug B edge node as Equipment: the primary host's side, with rebirth when a message was missed."""

import json
import time
from collections.abc import Callable, Iterator, Sequence

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, ControlRight, Device, SensorReading
from sdx_ros_nodes.mqtt.connection import Connection, Message
from sdx_ros_nodes.mqtt.sparkplug import NAMESPACE, REBIRTH, Metric, Payload, decode, encode, parts, topic
from sdx_ros_nodes.mqtt.sparkplug_edge import POSITION

REMEMBERED = 512
RIGHTS: dict[object, ControlRight] = {"LOCAL": "LOCAL", "MANUAL": "MANUAL", "REMOTE": "REMOTE"}


class SparkplugEquipment:
    """equipment.Equipment over a broker: metrics sensor/NAME with property "quantity", actuator/NAME/position_pct, /status, /right.

    Historical metrics carry their own time; they come as readings of the past.

    Args:
        clock: plant time, stamped on what is news; None: the edge node's own stamps are taken.
    """

    def __init__(self, url: str, group: str, edge: str, host: str = "sdx", clock: Callable[[], float] | None = None) -> None:
        self._group, self._edge, self._host, self._clock = group, edge, host, clock
        state = f"{NAMESPACE}/STATE/{host}"
        self._connection = Connection(url, [topic(group, "+", edge), topic(group, "+", edge, "+")], will=(state, self._state(False), True))
        self._announced = 0
        self._alive = False
        self._seq: int | None = None
        self._alias: dict[int, str] = {}
        self._quantities: dict[str, str] = {}
        self._actuators: dict[str, ActuatorReading] = {}
        self._device = ""
        self._results: dict[str, CommandResult] = {}

    def devices(self) -> Sequence[Device]:
        """What the births named so far."""
        sensors = [Device(name=name, kind="sensor", quantity=quantity) for name, quantity in self._quantities.items()]
        return [*(Device(name=name, kind="opener") for name in self._actuators), *sensors]

    def read(self) -> Sequence[Reading]:
        if self._connection.up and self._connection.births != self._announced:
            self._announced = self._connection.births
            self._connection.publish(f"{NAMESPACE}/STATE/{self._host}", self._state(True), retain=True)
            self._ask_for_birth()  # it may have been born before anybody listened
        return [reading for message in self._connection.arrived() for reading in self._taken(message)]

    def send(self, command: ActuatorCommand) -> CommandResult:
        if command.id not in self._results:
            self._results[command.id] = self._sent(command)
            while len(self._results) > REMEMBERED:
                del self._results[next(iter(self._results))]
        return self._results[command.id]

    def close(self) -> None:
        self._connection.publish(f"{NAMESPACE}/STATE/{self._host}", self._state(False), retain=True)
        self._connection.close()

    def _sent(self, command: ActuatorCommand) -> CommandResult:
        position = {"open": 100.0, "close": 0.0, "on": 100.0, "stop": None}.get(command.op, command.value.get("position_pct"))
        known = self._actuators.get(command.device)
        if known is None:
            return CommandResult(command_id=command.id, fate="rejected", detail=f"no actuator {command.device!r} was born")
        if command.op == "stop":
            position = known.position_pct
        if position is None or not 0.0 <= position <= 100.0:
            return CommandResult(
                command_id=command.id, fate="rejected", detail=f"{command.op} {dict(command.value)} is no position from 0 to 100"
            )
        payload = Payload((Metric(f"actuator/{command.device}/{POSITION}", position),), None, round(time.time() * 1000.0))
        if not (self._alive and self._connection.publish(topic(self._group, "DCMD", self._edge, self._device), encode(payload))):
            return CommandResult(command_id=command.id, fate="timeout", detail="the edge node is not there")
        return CommandResult(command_id=command.id, fate="accepted")

    def _taken(self, message: Message) -> Iterator[Reading]:
        where = parts(message.topic)
        try:
            payload = decode(message.payload)
        except ValueError:
            return
        if not where or where[1] in ("NCMD", "DCMD"):
            return
        kind, device = where[1], where[3]
        if kind in ("NDEATH", "DDEATH"):
            self._alive = False
            yield from self._lost(payload)
            return
        if not self._in_order(kind, payload):
            return
        if kind in ("NBIRTH", "DBIRTH"):
            self._alive = True
            self._alias |= {metric.alias: metric.name for metric in payload.metrics if metric.alias is not None and metric.name}
            self._device = device or self._device
        for metric in payload.metrics:
            yield from self._reading(metric, payload)

    def _in_order(self, kind: str, payload: Payload) -> bool:
        """False, and a rebirth is asked for, when a message was missed or no birth was seen (specification, 6.4.2)."""
        expected = None if self._seq is None else (self._seq + 1) % 256
        if kind == "NBIRTH" or payload.seq == expected:
            self._seq = payload.seq
            return True
        self._seq = None
        self._ask_for_birth()
        return False

    def _ask_for_birth(self) -> None:
        ask = Payload((Metric(REBIRTH, True),), None, round(time.time() * 1000.0))
        self._connection.publish(topic(self._group, "NCMD", self._edge), encode(ask))

    def _reading(self, metric: Metric, payload: Payload) -> Iterator[Reading]:
        name = metric.name or self._alias.get(metric.alias if metric.alias is not None else -1, "")
        t_s = (metric.timestamp_ms or payload.timestamp_ms) / 1000.0 if self._clock is None or metric.historical else self._clock()
        kind, _, rest = name.partition("/")
        number = float(metric.value) if isinstance(metric.value, int | float) else None
        if kind == "sensor":
            self._quantities[rest] = metric.properties.get("quantity", self._quantities.get(rest, rest))
            quality = "good" if number is not None else "bad"
            yield SensorReading(t_s=t_s, source="sparkplug", sensor=rest, quantity=self._quantities[rest], value=number, quality=quality)
        elif kind == "actuator" and "/" in rest:
            device, _, field = rest.rpartition("/")
            known = self._actuators.get(device) or ActuatorReading(t_s=t_s, source="sparkplug", device=device)
            changed = {
                POSITION: ("position_pct", number),
                "status": ("status", int(number or 0)),
                "right": ("right", RIGHTS.get(metric.value, "REMOTE")),
            }
            if field in changed:
                self._actuators[device] = known.model_copy(update={"t_s": t_s, changed[field][0]: changed[field][1]})
                yield self._actuators[device]

    def _lost(self, payload: Payload) -> Iterator[Reading]:
        """The edge node is gone: every sensor is without a value, every actuator checks."""
        t_s = max((reading.t_s for reading in self._actuators.values()), default=payload.timestamp_ms / 1000.0)
        for name, quantity in self._quantities.items():
            yield SensorReading(t_s=t_s, source="sparkplug", sensor=name, quantity=quantity, value=None, status=103, quality="bad")
        for reading in self._actuators.values():
            yield reading.model_copy(update={"status": 103})

    def _state(self, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": round(time.time() * 1000.0)}).encode()
