"""Real sensors as ROS 2 topics: NMEA 0183 and AIS from UDP, TCP, a file or standard input, and ROS topic `nmea`.

python -m sdx_ros_nodes.ship_sensors_node --transport dds --ros-args -p source:=udp:0.0.0.0:10110
python -m sdx_ros_nodes.ship_sensors_node --ros-args -p source:=file:traffic.nmea -p lines_per_s:=50.0
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.ship.inputs.nmea import NmeaDecoder
from sdx_ros_nodes import conversions, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.plant_clock import PlantClock
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.udp_out import endpoint

MAX_WAITING = 2_000
"""Lines between reader and node; more is dropped and reported."""
MAX_LINE_BYTES = 4_096
RETRY_S = 2.0
FAULTS_SHOWN = 3

log = logging.getLogger(__name__)


class SensorParameters(Closed):
    """Parameters of the node."""

    source: str = "udp:127.0.0.1:10110"
    """udp:host:port to listen at, tcp:host:port to connect to, file:path, stdin:, or topic: for the ROS topic `nmea`."""
    use_sim_time: bool = False
    """Readings are stamped with /clock (sentences of a simulated plant) instead of the machine's time."""
    lines_per_s: float = Field(0.0, ge=0.0)
    """Pace of a file; 0: as fast as it is read."""


class ShipSensorsNode:
    """Decodes lines and publishes what they say. take() may be called by the reader's thread."""

    def __init__(self, transport: Transport, use_sim_time: bool = False) -> None:
        self.shell = Shell(transport)
        self._transport = transport
        self._clock = PlantClock(self.shell, use_sim_time)
        self._decoder = NmeaDecoder()
        self._waiting = 0
        self._lock = threading.Lock()
        self.lines = 0
        self.dropped = 0
        self._out = {topic: self.shell.publisher(topic) for topic in _OUT}
        transport.timer(1.0, self._report)

    def listen(self) -> None:
        """Take sentences from the ROS topic `nmea` too."""
        self.shell.subscribe(topics.NMEA, lambda message: self._decode(str(message.data)))

    def take(self, line: str) -> bool:
        """Hand in one line; False when the node is too far behind and the line was dropped."""
        with self._lock:
            if self._waiting >= MAX_WAITING:
                self.dropped += 1
                return False
            self._waiting += 1
        self._transport.call(lambda: self._handle(line))
        return True

    def _handle(self, line: str) -> None:
        with self._lock:
            self._waiting -= 1
        self._out[topics.NMEA].publish(new(topics.NMEA.type_name, data=line))
        self._decode(line)

    def _decode(self, line: str) -> None:
        self.lines += 1
        now_s = self._clock.now_s()
        if now_s is None:
            return
        for topic, message in conversions.from_readings(self._decoder.feed(line, now_s), now_s):
            self._out[topic].publish(message)

    def _report(self) -> None:
        faults = self._decoder.take_faults()
        if faults:
            shown = "; ".join(f"{fault.kind}: {fault.detail}" for fault in faults[:FAULTS_SHOWN])
            self.shell.health("nmea", "warn", f"{len(faults)} faults: {shown}", for_s=10.0, lines=self.lines)
        else:
            self.shell.health("nmea", "ok" if self.lines else "stale", f"{self.lines} lines read")
        with self._lock:
            dropped, self.dropped = self.dropped, 0
        if dropped:
            self.shell.health("nmea flood", "error", f"{dropped} lines dropped: more than {MAX_WAITING} at once", for_s=30.0)


_OUT = (topics.NMEA, topics.FIX, topics.VEL, topics.IMU, topics.OWN_STATE, topics.TARGETS, topics.ENVIRONMENT)


def lines_of(source: str, ended: threading.Event, lines_per_s: float = 0.0) -> Iterator[str]:
    """Lines as they come, until the source or `ended` ends; a lost TCP connection is taken up again.

    Raises:
        ValueError: no such kind of source. OSError: a file or port that cannot be opened.
    """
    kind, _, where = source.partition(":")
    if kind == "udp":
        yield from _udp(endpoint(where), ended)
    elif kind == "tcp":
        yield from _tcp(endpoint(where), ended)
    elif kind == "file":
        with Path(where).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if ended.wait(1.0 / lines_per_s) if lines_per_s else ended.is_set():
                    return
                yield line.rstrip("\r\n")
    elif kind == "stdin":
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    else:
        raise ValueError(f"source {source!r} is none of udp:host:port, tcp:host:port, file:path, stdin:, topic:")


def _udp(address: tuple[str, int], ended: threading.Event) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(0.5)
        while not ended.is_set():
            try:
                datagram = listener.recv(65_535)
            except TimeoutError:
                continue
            yield from datagram.decode("utf-8", "replace").splitlines()


def _tcp(address: tuple[str, int], ended: threading.Event) -> Iterator[str]:
    while not ended.is_set():
        try:
            with socket.create_connection(address, timeout=5.0) as connection:
                connection.settimeout(0.5)
                yield from _stream(connection, ended)
        except OSError as error:
            log.warning("%s:%d: %s; next try in %.0f s", *address, error, RETRY_S)
        ended.wait(RETRY_S)


def _stream(connection: socket.socket, ended: threading.Event) -> Iterator[str]:
    waiting = b""
    while not ended.is_set():
        try:
            received = connection.recv(65_536)
        except TimeoutError:
            continue
        if not received:
            return
        *lines, waiting = (waiting + received).split(b"\n")
        waiting = waiting[-MAX_LINE_BYTES:]
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")


def build(transport: Transport, parameters: SensorParameters) -> Callable[[], None]:
    node = ShipSensorsNode(transport, parameters.use_sim_time)
    ended = threading.Event()
    if parameters.source.startswith("topic:"):
        node.listen()
        return ended.set
    lines = lines_of(parameters.source, ended, parameters.lines_per_s)

    def read() -> None:
        # A file waits for the node; a wire cannot, there the node drops.
        patient = parameters.source.startswith(("file:", "stdin:"))
        try:
            for line in lines:
                while not node.take(line) and patient and not ended.is_set():
                    time.sleep(0.01)
        except (OSError, ValueError) as error:
            log.error("%s: %s", parameters.source, error)
            text = f"{parameters.source}: {error}"
            transport.call(lambda: node.shell.health("source", "error", text))

    threading.Thread(target=read, name="lines", daemon=True).start()
    return ended.set


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "ship_sensors", SensorParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
