"""The gateway's side of tango.py: any Equipment, a simulated house too, spoken to as TANGO2's controller would be.

python -m sdx_ros_nodes.mqtt.tango_gateway --broker mqtt://127.0.0.1:1883 --site site.yaml --domain farm --speed 60
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from sdx_domains.contract import load_domain
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, Equipment, Equipped, SensorReading
from sdx_ros_nodes.mqtt.connection import Connection
from sdx_ros_nodes.mqtt.tango import REMOTE_MODES, TangoSite, read_site

TELL_S = 1.0
"""Between two state messages, wall clock; the real one tells each minute."""
STEP_S = 10.0
"""A simulated house moves by at most so much at a time."""
COMMAND_VALID_S = 600.0


class TangoGateway:
    """Answers commands and tells states. One thread calls turn()."""

    def __init__(self, url: str, site: TangoSite, equipment: Equipment) -> None:
        self._site, self._equipment = site, equipment
        self._connection = Connection(url, [site.topic("_downstream")])
        self._seen: dict[str, ActuatorReading | SensorReading] = {}
        self._done: dict[tuple[str, int], int] = {}
        self.t_s = 0.0

    @property
    def up(self) -> bool:
        return self._connection.up and self._connection.births > 0

    def turn(self, tell: bool = True) -> None:
        """Carry out what was asked, take in what the equipment says, and tell it."""
        for message in self._connection.arrived():
            self._take(message.payload)
        for reading in self._equipment.read():
            if isinstance(reading, ActuatorReading):
                self._seen[reading.device] = reading
            elif isinstance(reading, SensorReading):
                self._seen[reading.sensor] = reading
            self.t_s = max(self.t_s, reading.t_s)
        if tell:
            self._connection.publish(self._site.topic("_data"), json.dumps(self._state()).encode(), qos=0)

    def close(self) -> None:
        self._connection.close()
        self._equipment.close()

    def _take(self, payload: bytes) -> None:
        try:
            asked = json.loads(payload)
            kind, seq, node = str(asked["command"]), int(asked["seq"]), str(asked["node_id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if not kind.endswith("_req") or not isinstance(asked.get("response_topic"), str):
            return
        if (node, seq) not in self._done:  # a repeated request acts once, and is answered again
            self._done[node, seq] = self._carried_out(asked, node, seq)
        error = self._done[node, seq]
        answer = {"command": kind.replace("_req", "_resp"), "seq": seq, "node_id": node, **({"error": error} if error else {})}
        self._connection.publish(asked["response_topic"], json.dumps(answer).encode())

    def _carried_out(self, asked: dict[str, Any], node: str, seq: int) -> int:
        """0, or the code of the error."""
        results: list[CommandResult] = []
        for name, motor in self._site.motors.items():
            wanted = asked.get(f"address_{motor.address}")
            if motor.node != node or not isinstance(wanted, dict) or f"channel_{motor.channel}" not in wanted:
                continue
            value = wanted[f"channel_{motor.channel}"]
            if not isinstance(value, int) or not 0 <= value <= (100 if motor.kind == "opener" else 1):
                return 101
            command = ActuatorCommand(
                id=f"{node}-{seq}-{name}", device=name, op="set_position",
                value={"position_pct": float(value if motor.kind == "opener" else 100 * value)},
                issued_s=self.t_s, expires_s=self.t_s + COMMAND_VALID_S,
                issuer="person" if asked.get("command_from") == REMOTE_MODES[1] else "controller",
            )  # fmt: skip
            results.append(self._equipment.send(command))
        return 0 if results and all(result.fate in ("accepted", "clamped", "confirmed") for result in results) else 600

    def _state(self) -> dict[str, Any]:
        nodes: dict[str, dict[str, dict[str, Any]]] = {}
        ts = round(self.t_s * (1000.0 if self._site.ts_unit == "ms" else 1.0))
        for name, place in [*self._site.motors.items(), *self._site.sensors.items()]:
            module = nodes.setdefault(place.node, {}).setdefault(f"address_{place.address}", {"ts": ts, "invalid": False})
            seen = self._seen.get(name)
            if isinstance(seen, SensorReading) and name in self._site.sensors:
                module[self._site.sensors[name].field] = seen.value
            elif isinstance(seen, ActuatorReading) and name in self._site.motors:
                self._told(module, name, seen)
        return {"ts": ts, "nodes": nodes}

    def _told(self, module: dict[str, Any], name: str, seen: ActuatorReading) -> None:
        motor, position = self._site.motors[name], seen.position_pct or 0.0
        module.setdefault("mode", REMOTE_MODES[0])
        module.setdefault("mode_switch", REMOTE_MODES[0] if seen.right == "REMOTE" else "local")
        if motor.kind == "switch":
            module.setdefault("state", [0] * 4)[motor.channel - 1] = int(position > 0.0)
        else:
            module.setdefault("open_rate", [0] * 8)[motor.channel - 1] = round(position)
            relay = {301: 100, 302: 0}.get(seen.status, 255)
            module.setdefault("relay", [255] * 8)[motor.channel - 1] = relay


def serve(gateway: TangoGateway, advance: Callable[[float], None], speed: float, ended: Callable[[], bool]) -> None:
    """Turn until `ended`, moving a simulated house `speed` times as fast as the clock."""
    last = told = time.monotonic()
    while not ended():
        time.sleep(0.05)
        now = time.monotonic()
        due, last = (now - last) * speed, now
        while due > 0.0:
            advance(min(due, STEP_S))
            due -= STEP_S
        tell = now - told >= TELL_S
        told = now if tell else told
        gateway.turn(tell)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True, help="mqtt://HOST:1883")
    parser.add_argument("--site", type=Path, required=True, help="site file, see docs/farm.md")
    parser.add_argument("--domain", default="farm")
    parser.add_argument("--scenario", default="greenhouse")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    given = parser.parse_args(argv)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    try:
        house = cast(Equipped, load_domain(given.domain)).house(given.scenario, given.seed)
        gateway = TangoGateway(given.broker, read_site(given.site), house)
    except (ValueError, KeyError, OSError) as error:
        print(f"error: {error.args[0] if error.args else error}", file=sys.stderr)
        return 2
    serve(gateway, house.step, given.speed, lambda: bool(stopped))
    gateway.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
