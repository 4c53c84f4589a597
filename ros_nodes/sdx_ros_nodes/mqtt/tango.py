"""The controller of TANGO2's farms as Equipment: topics {application}/{region}/{_data|_upstream|_downstream}/{gateway}, JSON.

Openers take `set_agsmotor_operation_req` (0-100 % a channel), magnet switches `set_mc_switch_req` (0 or 1, at most four).
Its documents show the state of one module; where a gateway bundles several, they are taken from `nodes` by node and address.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from sdx_domains.contract import Closed, Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, ControlRight, Device, SensorReading
from sdx_ros_nodes.mqtt.connection import Connection, Message

ANSWER_S = 0.9
"""How long a command waits for the gateway's answer."""
REMEMBERED = 512
"""Commands whose result is kept, so that the same one sent twice acts once."""
REMOTE_MODES = ("beymons_auto", "beymons_remote")
ERRORS = {100: "device fault", 101: "sensor fault", 600: "motor fault", 601: "motor overload", 602: "motor timeout"}
"""What this program takes the codes for: their list is not public."""


class Place(Closed):
    """One thing behind the gateway."""

    node: str
    address: int = Field(1, ge=0)


class Motor(Place):
    kind: Literal["opener", "switch"]
    channel: int = Field(ge=1, le=8)
    travel_s: float | None = None


class Sensor(Place):
    field: str
    """Name in the message: temp, humi, rain, lux."""
    quantity: str
    """Name here, with unit: air_temp_c. rain is 1 only while it rains."""


class TangoSite(Closed):
    """A site file (YAML)."""

    application: str = "ags"
    region: str
    gateway: str
    ts_unit: Literal["s", "ms"] = "s"
    fresh_s: float = Field(130.0, gt=0)
    """Older than this, a motor or sensor counts as silent."""
    motors: dict[str, Motor] = Field(default_factory=dict)
    sensors: dict[str, Sensor] = Field(default_factory=dict)

    def topic(self, kind: Literal["_data", "_upstream", "_downstream"]) -> str:
        return f"{self.application}/{self.region}/{kind}/{self.gateway}"


def read_site(path: Path) -> TangoSite:
    """ValueError names the file, each wrong field and its value."""
    try:
        return TangoSite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        wrong = error.errors() if isinstance(error, ValidationError) else []
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r:.80})" for e in wrong]
        raise ValueError(f"{path}: {'; '.join(lines) or error}") from error


class TangoEquipment:
    """equipment.Equipment over a broker.

    Args:
        clock: plant time, stamped on what arrives; None: the gateway's own stamps are taken.
    """

    def __init__(self, url: str, site: TangoSite, clock: Callable[[], float] | None = None) -> None:
        self._site, self._clock = site, clock
        self._connection = Connection(url, [site.topic("_data"), site.topic("_upstream")])
        self._seq = int(time.time()) % 1_000_000_000
        self._results: dict[str, CommandResult] = {}
        self._held: list[Message] = []
        self._heard: dict[str, float] = {}
        self._positions: dict[str, float] = {}

    def devices(self) -> Sequence[Device]:
        site = self._site
        motors = [Device(name=name, kind=motor.kind, travel_s=motor.travel_s) for name, motor in site.motors.items()]
        return [*motors, *(Device(name=name, kind="sensor", quantity=sensor.quantity) for name, sensor in site.sensors.items())]

    def read(self) -> Sequence[Reading]:
        messages = [*self._held, *self._connection.arrived()]
        self._held.clear()
        found = [reading for message in messages for reading in self._readings(message)]
        return [*found, *self._silent(found)]

    def send(self, command: ActuatorCommand) -> CommandResult:
        if command.id not in self._results:
            self._results[command.id] = self._sent(command)
            while len(self._results) > REMEMBERED:
                del self._results[next(iter(self._results))]
        return self._results[command.id]

    def close(self) -> None:
        self._connection.close()

    # -- commands

    def _sent(self, command: ActuatorCommand) -> CommandResult:
        motor = self._site.motors.get(command.device)
        if motor is None:
            return CommandResult(command_id=command.id, fate="rejected", detail=f"no motor {command.device!r} in the site file")
        value = self._asked(command, motor)
        if isinstance(value, str):
            return CommandResult(command_id=command.id, fate="rejected", detail=value)
        self._seq += 1
        request = {
            "command": "set_agsmotor_operation_req" if motor.kind == "opener" else "set_mc_switch_req",
            "response_topic": self._site.topic("_upstream"),
            "seq": self._seq,
            "node_id": motor.node,
            "command_from": "beymons_remote" if command.issuer == "person" else "beymons_auto",
            f"address_{motor.address}": {f"channel_{motor.channel}": value},
        }
        if not self._connection.publish(self._site.topic("_downstream"), json.dumps(request).encode()):
            return CommandResult(command_id=command.id, fate="timeout", detail="no connection to the broker")
        return self._answer(command.id, request["command"].replace("_req", "_resp"))

    def _asked(self, command: ActuatorCommand, motor: Motor) -> int | str:
        """What the channel is set to, or why it cannot be."""
        if motor.kind == "switch":
            known = {"on": 1, "open": 1, "stop": 0, "close": 0}
            if command.op == "set_position":
                return int(command.value.get("position_pct", 0.0) >= 50.0)
            return known.get(command.op, f"a magnet switch knows on and stop, not {command.op}")
        match command.op:
            case "open":
                return 100
            case "close":
                return 0
            case "set_position":
                wanted = command.value.get("position_pct", -1.0)
                return round(wanted) if 0.0 <= wanted <= 100.0 else f"position_pct {wanted} is not from 0 to 100"
            case "stop" if command.device in self._positions:
                return round(self._positions[command.device])  # the protocol has no stop: stay where it is
            case _:
                return f"an opener here knows open, close, set_position and stop, not {command.op}"

    def _answer(self, command_id: str, expected: str) -> CommandResult:
        ends = time.monotonic() + ANSWER_S
        while (left_s := ends - time.monotonic()) > 0 and (message := self._connection.wait(left_s)) is not None:
            answer = _json(message)
            if answer is None or answer.get("command") != expected or str(answer.get("seq")) != str(self._seq):
                self._held.append(message)
                continue
            error = int(answer.get("error") or 0)
            if error:
                return CommandResult(command_id=command_id, fate="rejected", detail=f"{ERRORS.get(error, 'error')} ({error})")
            return CommandResult(command_id=command_id, fate="accepted")
        return CommandResult(command_id=command_id, fate="timeout", detail=f"no answer of the gateway within {ANSWER_S:g} s")

    # -- readings

    def _readings(self, message: Message) -> Iterator[Reading]:
        data = _json(message)
        if data is None or not message.topic.endswith(f"/_data/{self._site.gateway}"):
            return
        for node, address, module in _modules(data, self._site.gateway):
            stamp_s = _number(module.get("ts", data.get("ts")), 0.0) / (1000.0 if self._site.ts_unit == "ms" else 1.0)
            t_s = stamp_s if self._clock is None else self._clock()
            for name, motor in self._site.motors.items():
                if (motor.node, motor.address) == (node, address) and (reading := self._of_motor(name, motor, module, t_s)):
                    yield reading
            for name, sensor in self._site.sensors.items():
                if (sensor.node, sensor.address) == (node, address) and sensor.field in module:
                    yield self._of_sensor(name, sensor, module, t_s)

    def _of_motor(self, name: str, motor: Motor, module: Mapping[str, Any], t_s: float) -> ActuatorReading | None:
        states = module.get("open_rate" if motor.kind == "opener" else "state")
        if not isinstance(states, list) or len(states) < motor.channel:
            return None
        place = motor.channel - 1
        position = min(100.0, max(0.0, _number(states[place], 0.0) * (1.0 if motor.kind == "opener" else 100.0)))
        relay = module.get("relay")
        moving = relay[place] if isinstance(relay, list) and len(relay) > place else None
        local = str(module.get("mode_switch", module.get("mode", REMOTE_MODES[0]))) not in REMOTE_MODES
        right: ControlRight = "LOCAL" if local else "REMOTE"
        status = 1 if module.get("invalid") is True else 399 if local else self._status(motor, position, moving)
        self._heard[name], self._positions[name] = time.monotonic(), position
        return ActuatorReading(t_s=t_s, source="mqtt", device=name, position_pct=position, status=status, right=right)

    def _status(self, motor: Motor, position: float, moving: Any) -> int:
        """KS X 3267: 301 opening, 302 closing, 201 on, 0 ready. A relay says 100 open, 0 close, 255 stop; the window stands at its end."""
        if motor.kind == "switch":
            return 201 if position else 0
        return 301 if moving == 100 and position < 100.0 else 302 if moving == 0 and position > 0.0 else 0

    def _of_sensor(self, name: str, sensor: Sensor, module: Mapping[str, Any], t_s: float) -> SensorReading:
        value = module[sensor.field]
        number = _number(value, float("nan"))
        if sensor.field == "rain":
            number = float(number == 1.0)
        broken = module.get("invalid") is True or math.isnan(number)
        self._heard[name] = time.monotonic()
        return SensorReading(
            t_s=t_s, source="mqtt", sensor=name, quantity=sensor.quantity, value=None if broken else number,
            status=103 if broken else 0, quality="bad" if broken else "good",
        )  # fmt: skip

    def _silent(self, found: Sequence[Reading]) -> Iterator[Reading]:
        """Once for each thing that was heard before and is not any more."""
        t_s = max((reading.t_s for reading in found), default=0.0)
        for name, heard in list(self._heard.items()):
            if time.monotonic() - heard <= self._site.fresh_s:
                continue
            del self._heard[name]
            if (sensor := self._site.sensors.get(name)) is not None:
                yield SensorReading(t_s=t_s, source="mqtt", sensor=name, quantity=sensor.quantity, value=None, status=103, quality="bad")
            else:
                yield ActuatorReading(t_s=t_s, source="mqtt", device=name, status=1)


def _json(message: Message) -> dict[str, Any] | None:
    try:
        found = json.loads(message.payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _modules(data: Mapping[str, Any], gateway: str) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """(node, address, state) of each module in a message: alone, by address, or by node and address."""
    nodes = data.get("nodes")
    for node, held in (nodes if isinstance(nodes, dict) else {str(data.get("node_id", gateway)): data}).items():
        if not isinstance(held, dict):
            continue
        addressed = {key: state for key, state in held.items() if key.startswith("address_") and isinstance(state, dict)}
        if not addressed:
            yield node, int(_number(held.get("address"), 1.0)), held
        for key, state in addressed.items():
            if key[8:].isdigit():
                yield node, int(key[8:]), state


def _number(value: object, otherwise: float) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return otherwise
