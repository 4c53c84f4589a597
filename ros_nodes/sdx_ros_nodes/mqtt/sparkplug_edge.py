"""Any Equipment as a Sparkplug B edge node: births, data on change, commands, store and forward while the primary host is away.

python -m sdx_ros_nodes.mqtt.sparkplug_edge --broker mqtt://127.0.0.1:1883 --group farm --edge house1 --bus modbus://10.0.0.7:502
"""

import argparse
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, Equipment, SensorReading
from sdx_ros_nodes.buses import KNOWN, open_bus
from sdx_ros_nodes.mqtt.connection import Connection
from sdx_ros_nodes.mqtt.sparkplug import BD_SEQ, NAMESPACE, REBIRTH, Metric, Payload, decode, encode, parts, topic

POSITION = "position_pct"
STORED = 20_000
"""Metrics that are kept while nobody listens; older ones are lost first."""
COMMAND_VALID_S = 600.0


class SparkplugEdge:
    """One edge node with one device. One thread calls turn().

    Args:
        host: id of the primary host; while it is not online, data are stored and later sent as historical. "": nobody is waited for.
        bd_seq: number of this birth, 0-255; one more at each start of the process (the caller keeps it).
    """

    def __init__(self, url: str, group: str, edge: str, device: str, equipment: Equipment, host: str = "", bd_seq: int = 0) -> None:
        self._group, self._edge, self._device, self._host = group, edge, device, host
        self._equipment, self._bd_seq = equipment, bd_seq % 256
        topics = [topic(group, "NCMD", edge), topic(group, "DCMD", edge, device), *([f"{NAMESPACE}/STATE/{host}"] if host else [])]
        self._connection = Connection(url, topics, will=(topic(group, "NDEATH", edge), encode(self._death()), False))
        self._born = 0
        self._seq = 0
        self._online = not host
        self._last: dict[str, Metric] = {}
        self._stored: deque[Metric] = deque(maxlen=STORED)
        self._commands = 0
        self.t_s = 0.0

    @property
    def up(self) -> bool:
        return self._connection.up and self._born > 0

    def turn(self) -> None:
        """Take commands, take in what the equipment says, tell what changed."""
        for message in self._connection.arrived():
            if message.topic.startswith(f"{NAMESPACE}/STATE/"):
                self._heed_host(message.payload)
            else:
                self._obey(message.topic, message.payload)
        changed = self._news()
        if self._connection.up and self._connection.births != self._born:
            self._give_birth()
        elif changed and self._reachable():
            self._tell(changed)
        elif changed:
            self._stored.extend(changed)
        if self._stored and self._reachable():
            self._forward()

    def close(self) -> None:
        if self._connection.up:
            self._connection.publish(topic(self._group, "NDEATH", self._edge), encode(self._death()))
        self._connection.close()
        self._equipment.close()

    def _reachable(self) -> bool:
        return self._connection.up and self._online and self._born == self._connection.births

    def _news(self) -> list[Metric]:
        found: dict[str, Metric] = {}
        for reading in self._equipment.read():
            self.t_s = max(self.t_s, reading.t_s)
            stamp = round(reading.t_s * 1000.0)
            if isinstance(reading, SensorReading):
                found[f"sensor/{reading.sensor}"] = Metric(
                    f"sensor/{reading.sensor}", reading.value, stamp, properties={"quantity": reading.quantity}
                )
            elif isinstance(reading, ActuatorReading):
                name = f"actuator/{reading.device}"
                found[f"{name}/{POSITION}"] = Metric(f"{name}/{POSITION}", reading.position_pct, stamp)
                found[f"{name}/status"] = Metric(f"{name}/status", float(reading.status), stamp)
                found[f"{name}/right"] = Metric(f"{name}/right", reading.right, stamp)
        changed = [metric for name, metric in found.items() if name not in self._last or self._last[name].value != metric.value]
        self._last |= found
        return changed

    def _give_birth(self) -> None:
        """NBIRTH begins the sequence anew; DBIRTH holds every metric there is."""
        self._born, self._seq = self._connection.births, 0
        node = (Metric(BD_SEQ, self._bd_seq), Metric(REBIRTH, False))
        self._connection.publish(topic(self._group, "NBIRTH", self._edge), encode(Payload(node, self._next(), self._now_ms())))
        self._publish("DBIRTH", tuple(self._last.values()))

    def _tell(self, metrics: list[Metric]) -> None:
        self._publish("DDATA", tuple(metrics))

    def _forward(self) -> None:
        """What was stored, oldest first, marked as historical."""
        held = [self._stored.popleft() for _ in range(min(len(self._stored), 500))]
        self._publish("DDATA", tuple(Metric(m.name, m.value, m.timestamp_ms, None, True, m.properties) for m in held))

    def _publish(self, kind: str, metrics: tuple[Metric, ...]) -> None:
        self._connection.publish(
            topic(self._group, kind, self._edge, self._device), encode(Payload(metrics, self._next(), self._now_ms())), qos=0
        )

    def _next(self) -> int:
        number, self._seq = self._seq, (self._seq + 1) % 256
        return number

    def _death(self) -> Payload:
        return Payload((Metric(BD_SEQ, self._bd_seq),), None, self._now_ms())

    def _now_ms(self) -> int:
        return round(time.time() * 1000.0)

    def _heed_host(self, payload: bytes) -> None:
        try:
            state = json.loads(payload)
        except ValueError:
            return
        self._online = isinstance(state, Mapping) and state.get("online") is True

    def _obey(self, where: str, raw: bytes) -> None:
        try:
            metrics = decode(raw).metrics
        except ValueError:
            return
        kind = (*parts(where), "", "")[1]
        for metric in metrics:
            if kind == "NCMD" and metric.name == REBIRTH and metric.value is True:
                self._born = 0  # the next turn gives birth again
            elif kind == "DCMD" and metric.name.endswith(f"/{POSITION}") and isinstance(metric.value, int | float):
                self._move(metric.name.split("/")[1], float(metric.value))

    def _move(self, device: str, position_pct: float) -> None:
        self._commands += 1
        command = ActuatorCommand(
            id=f"sparkplug-{self._bd_seq}-{self._commands}", device=device, op="set_position", value={"position_pct": position_pct},
            issued_s=self.t_s, expires_s=self.t_s + COMMAND_VALID_S, issuer="controller",
        )  # fmt: skip
        self._equipment.send(command)


def next_birth(path: Path) -> int:
    """Number of this start of the process, 0-255, kept in a file so that a host can tell an old death from a new birth."""
    number = (int(path.read_text(encoding="ascii")) + 1) % 256 if path.exists() else 0
    beside = path.with_name(path.name + ".part")
    beside.write_text(str(number), encoding="ascii")
    beside.replace(path)
    return number


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True, help="mqtt://HOST:1883")
    parser.add_argument("--group", required=True)
    parser.add_argument("--edge", required=True)
    parser.add_argument("--device", default="house")
    parser.add_argument("--bus", required=True, help=KNOWN)
    parser.add_argument("--site", type=Path, help="which device is where on the bus")
    parser.add_argument("--host", default="", help="primary host: while it is away, data are stored")
    parser.add_argument("--folder", type=Path, default=Path("sparkplug"), help="for what must outlive a restart")
    given = parser.parse_args(argv)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    try:
        given.folder.mkdir(parents=True, exist_ok=True)
        bus = open_bus(given.bus, given.site, given.folder)
        birth = next_birth(given.folder / "bdseq")
        edge = SparkplugEdge(given.broker, given.group, given.edge, given.device, bus, given.host, birth)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    while not stopped:
        edge.turn()
        time.sleep(0.5)
    edge.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
