"""All nodes in one process and thread, on a clock that the test (or a replay) moves: deterministic.

Messages travel as CDR bytes, as on the wire, so a field of a wrong type fails here too; QoS mismatches keep silent
here too, and are reported.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sdx_ros_nodes import messages
from sdx_ros_nodes.api import MessageCallback, Meta, TransportEvent
from sdx_ros_nodes.qos import QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.agenda import Agenda, AgendaTimer


@dataclass(eq=False)
class _Reader:
    transport: "MemoryTransport"
    topic: str
    type_name: str
    qos: QoS
    callback: MessageCallback
    waiting: deque[tuple[bytes, Meta]]


@dataclass(eq=False)
class _Writer:
    transport: "MemoryTransport"
    topic: str
    type_name: str
    qos: QoS
    kept: deque[tuple[bytes, Meta]] = field(default_factory=deque)

    def publish(self, message: Any) -> None:
        if message.__msgtype__ != self.type_name:
            raise TypeError(f"{self.topic} carries {self.type_name}, got {message.__msgtype__}")
        if self in self.transport.bus.writers:  # silent after shutdown, as a dead process is
            self.transport.bus.deliver(self, messages.serialise(message))


class MemoryBus:
    """The wire. `run()` moves time on in steps up to the next thing that is due."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._start_s = start_s
        self._elapsed_s = 0.0
        self.writers: list[_Writer] = []
        self.readers: list[_Reader] = []
        self._nodes: list[MemoryTransport] = []

    def transport(self, arguments: NodeArguments) -> "MemoryTransport":
        node = MemoryTransport(self, arguments)
        self._nodes.append(node)
        return node

    def now_s(self) -> float:
        return self._start_s + self._elapsed_s

    def steady_s(self) -> float:
        return self._elapsed_s

    def run(self, for_s: float, real_time: bool = False) -> None:
        """Let `for_s` pass: deliver what is sent, run timers when they are due."""
        until_s = self._elapsed_s + for_s
        while True:
            self._settle()
            due = [node.agenda.next_due_s() for node in self._nodes]
            next_s = min((d for d in due if d is not None), default=until_s)
            if next_s > until_s or not any(d is not None for d in due):
                break
            self._advance(next_s, real_time)
            for node in list(self._nodes):
                node.agenda.run_due()
        self._advance(until_s, real_time)

    def _advance(self, to_s: float, real_time: bool) -> None:
        if real_time and to_s > self._elapsed_s:
            time.sleep(to_s - self._elapsed_s)
        self._elapsed_s = max(self._elapsed_s, to_s)

    def _settle(self) -> None:
        """Deliver until nothing waits any more."""
        busy = True
        while busy:
            busy = False
            for reader in list(self.readers):
                while reader.waiting:
                    busy = True
                    data, meta = reader.waiting.popleft()
                    reader.transport.receive(reader, data, meta)

    def deliver(self, writer: _Writer, data: bytes) -> None:
        sample = (data, Meta(self.steady_s(), self.now_s()))
        if writer.qos.latched:
            writer.kept.append(sample)
        for reader in self.readers:
            if self._reaches(writer, reader):
                reader.waiting.append(sample)

    def join(self, end: _Writer | _Reader) -> None:
        """A new writer or reader meets those that are there: reports mismatches, hands over what is latched."""
        pairs = [(end, r) for r in self.readers] if isinstance(end, _Writer) else [(w, end) for w in self.writers]
        (self.writers if isinstance(end, _Writer) else self.readers).append(end)  # pyright: ignore[reportArgumentType]
        for writer, reader in pairs:
            if writer.topic != reader.topic or writer.type_name != reader.type_name:
                continue
            policy = writer.qos.mismatch(reader.qos)
            if policy:
                for node in (writer.transport, reader.transport):
                    node.agenda.emit(TransportEvent("incompatible_qos", reader.topic, policy))
            elif reader.qos.latched:
                reader.waiting.extend(writer.kept)

    def _reaches(self, writer: _Writer, reader: _Reader) -> bool:
        return writer.topic == reader.topic and writer.type_name == reader.type_name and not writer.qos.mismatch(reader.qos)

    def leave(self, node: "MemoryTransport") -> None:
        self.writers = [writer for writer in self.writers if writer.transport is not node]
        self.readers = [reader for reader in self.readers if reader.transport is not node]
        self._nodes = [other for other in self._nodes if other is not node]


class MemoryTransport:
    """One node on a MemoryBus; see api.Transport."""

    def __init__(self, bus: MemoryBus, arguments: NodeArguments) -> None:
        self.bus = bus
        self.arguments = arguments
        self.agenda = Agenda(bus.steady_s)
        self._open = True

    def publisher(self, topic: str, type_name: str, qos: QoS) -> _Writer:
        writer = _Writer(self, self.arguments.resolve(topic), type_name, qos, deque(maxlen=qos.depth))
        self.bus.join(writer)
        return writer

    def subscribe(self, topic: str, type_name: str, qos: QoS, callback: MessageCallback) -> None:
        self.bus.join(_Reader(self, self.arguments.resolve(topic), type_name, qos, callback, deque(maxlen=qos.depth)))

    def receive(self, reader: _Reader, data: bytes, meta: Meta) -> None:
        """Decode and call back; bytes that are no such message become an event."""
        try:
            message = messages.deserialise(data, reader.type_name)
        except Exception as error:  # noqa: BLE001  the decoder raises whatever the bytes make it
            self.agenda.emit(TransportEvent("bad_message", reader.topic, f"{type(error).__name__}: {error}"))
            return
        self.agenda.guarded(reader.topic, lambda: reader.callback(message, meta))

    def timer(self, period_s: float, callback: Callable[[], None]) -> AgendaTimer:
        return self.agenda.timer(period_s, callback)

    def on_event(self, callback: Callable[[TransportEvent], None]) -> None:
        self.agenda.on_event(callback)

    def call(self, work: Callable[[], None]) -> None:
        self.agenda.post(work)

    def now_s(self) -> float:
        return self.bus.now_s()

    def steady_s(self) -> float:
        return self.bus.steady_s()

    def spin(self, for_s: float | None = None) -> None:
        """Runs the whole bus, in real time."""
        until_s = None if for_s is None else self.bus.steady_s() + for_s
        while self._open and (until_s is None or self.bus.steady_s() < until_s):
            self.bus.run(0.01, real_time=True)

    def shutdown(self) -> None:
        self._open = False
        self.bus.leave(self)
