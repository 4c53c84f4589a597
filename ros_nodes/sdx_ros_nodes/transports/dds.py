"""ROS 2 on the wire without ROS: cyclonedds for DDS, the message registry for CDR.

What makes a participant a ROS 2 node: topics "rt/<name>", types "pkg::msg::dds_::Name_", XCDR1, user data
"enclave=/;" and "typehash=...;", and the graph message on "ros_discovery_info". `ros2 node list`, `topic echo` and
`topic pub` of an unmodified ROS 2 machine work with it.

The thread in spin() waits on a wait set, takes the bytes and runs the callbacks itself: one hop less than a queue
between two threads, and back pressure stays where ROS users expect it, in the reader's keep-last history.
"""

import gc
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from cyclonedds.core import DDSException, GuardCondition, InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from sdx_ros_nodes import messages
from sdx_ros_nodes.api import MessageCallback, Meta, TransportEvent
from sdx_ros_nodes.qos import QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.agenda import Agenda, AgendaTimer
from sdx_ros_nodes.transports.dds_types import RawSample, raw_sample, topic_class

MAX_DOMAIN_ID = 232
STATUS_PERIOD_S = 0.25
MAX_WAIT_S = 0.2
"""So that a signal handler of the main thread runs in time."""
BLOCK_NS = 10_000_000
"""A write waits this long at most for a reader that does not keep up: a hung page must not hold the guard."""
GRAPH_TYPE = "rmw_dds_common/msg/ParticipantEntitiesInfo"
POLICIES = {2: "DURABILITY", 4: "DEADLINE", 8: "LIVELINESS", 11: "RELIABILITY", 23: "DATA_REPRESENTATION", 24: "TYPE_CONSISTENCY"}


def domain_id() -> int:
    """ROS_DOMAIN_ID, 0 when unset.

    Raises:
        ValueError: not a number from 0 to 232.
    """
    text = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not text.isdigit() or int(text) > MAX_DOMAIN_ID:
        raise ValueError(f"ROS_DOMAIN_ID is {text!r}; it must be a number from 0 to {MAX_DOMAIN_ID} (0 to 101 is safe everywhere)")
    return int(text)


def default_uri() -> str:
    """Cyclone's configuration when CYCLONEDDS_URI is unset: this machine only, without multicast.

    ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET opens it to the network, ROS_STATIC_PEERS="10.0.0.5;10.0.0.6" to single hosts.
    """
    peers = [peer for peer in (os.environ.get("ROS_STATIC_PEERS") or "").split(";") if peer]
    subnet = (
        os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST").upper() == "SUBNET" and os.environ.get("ROS_LOCALHOST_ONLY") != "1"
    )
    network = "" if subnet or peers else '<Interfaces><NetworkInterface address="127.0.0.1" multicast="false"/></Interfaces>'
    listed = "".join(f"<Peer address={quoteattr(peer)}/>" for peer in ["127.0.0.1", *peers])
    return (
        f"<CycloneDDS><Domain Id='any'><General>{network}<AllowMulticast>{'true' if subnet else 'false'}</AllowMulticast></General>"
        "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>40</MaxAutoParticipantIndex>"
        f"<Peers>{listed}</Peers></Discovery></Domain></CycloneDDS>"
    )


def dds_qos(qos: QoS, type_hash: str, writes: bool) -> Qos:
    """The policies that rmw_cyclonedds sets for the same profile."""
    policies: list[Any] = [
        Policy.Reliability.Reliable(max_blocking_time=BLOCK_NS) if qos.reliable else Policy.Reliability.BestEffort,
        Policy.Durability.TransientLocal if qos.latched else Policy.Durability.Volatile,
        Policy.History.KeepLast(qos.depth),
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.Userdata(f"typehash={type_hash};".encode()),
    ]
    if qos.deadline_s is not None:
        policies.append(Policy.Deadline(_ns(qos.deadline_s)))
    if qos.lease_s is not None:
        policies.append(Policy.Liveliness.Automatic(_ns(qos.lease_s)))
    if writes:
        policies.append(Policy.WriterDataLifecycle(autodispose=False))
        if qos.lifespan_s is not None:
            policies.append(Policy.Lifespan(_ns(qos.lifespan_s)))
        if qos.latched:
            policies.append(Policy.DurabilityService(0, Policy.History.KeepLast(qos.depth), -1, -1, -1))
    return Qos(*policies)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


@dataclass(eq=False)
class _Reader:
    topic: str
    type_name: str
    depth: int
    reader: DataReader[Any]
    condition: ReadCondition
    callback: MessageCallback


class _Writer:
    def __init__(self, topic: str, type_name: str, writer: DataWriter[Any], agenda: Agenda) -> None:
        self.topic = topic
        self.writer: DataWriter[Any] | None = writer
        self._type_name = type_name
        self._agenda = agenda

    def publish(self, message: Any) -> None:
        """Send. A reader that blocks the write for too long costs this message and is reported."""
        if message.__msgtype__ != self._type_name:
            raise TypeError(f"{self.topic} carries {self._type_name}, got {message.__msgtype__}")
        writer = self.writer
        if writer is None:  # shut down meanwhile, as a dead process is silent
            return
        try:
            writer.write(raw_sample(self._type_name, messages.serialise(message)))
        except DDSException as error:
            event = TransportEvent("sample_lost", self.topic, f"not sent: {error}")
            self._agenda.post(lambda: self._agenda.emit(event))


class DdsTransport:
    """One ROS 2 node as a DDS participant; see api.Transport."""

    def __init__(self, arguments: NodeArguments) -> None:
        os.environ.setdefault("CYCLONEDDS_URI", default_uri())
        self.arguments = arguments
        self.agenda = Agenda(time.monotonic)
        self._lock = threading.RLock()
        self._readers: list[_Reader] = []
        self._writers: list[_Writer] = []
        self._topics: dict[str, Topic[Any]] = {}
        self._stop = threading.Event()
        self._spinning = False
        self._status_due_s = 0.0
        try:
            self._participant: Any = DomainParticipant(domain_id(), qos=Qos(Policy.Userdata(b"enclave=/;")))
        except DDSException as error:
            raise RuntimeError(
                f"DDS cannot start on domain {domain_id()}: {error}; CYCLONEDDS_URI is {os.environ['CYCLONEDDS_URI']!r}"
            ) from error
        self._wake: Any = GuardCondition(self._participant)
        self._waitset: Any = WaitSet(self._participant)
        self._waitset.attach(self._wake)
        self._graph = self._writer("ros_discovery_info", GRAPH_TYPE, QoS(1, latched=True))
        self._announce()

    def publisher(self, topic: str, type_name: str, qos: QoS) -> _Writer:
        messages.warm_up(type_name)
        name = self.arguments.resolve(topic)
        made = self._writer(f"rt{name}", type_name, qos)
        made.topic = name
        with self._lock:
            self._writers.append(made)
        self._announce()
        return made

    def subscribe(self, topic: str, type_name: str, qos: QoS, callback: MessageCallback) -> None:
        messages.warm_up(type_name)
        name = self.arguments.resolve(topic)
        asked = dds_qos(qos, messages.type_hash(type_name), writes=False)
        reader: DataReader[Any] = DataReader(self._participant, self._topic(f"rt{name}", type_name), qos=asked)
        condition = ReadCondition(reader, SampleState.NotRead | ViewState.Any | InstanceState.Any)
        with self._lock:
            self._readers.append(_Reader(name, type_name, qos.depth, reader, condition, callback))
            self._waitset.attach(condition)
        self._announce()
        self._wake.set(True)

    def timer(self, period_s: float, callback: Callable[[], None]) -> AgendaTimer:
        timer = self.agenda.timer(period_s, callback)
        self._wake.set(True)
        return timer

    def on_event(self, callback: Callable[[TransportEvent], None]) -> None:
        self.agenda.on_event(callback)

    def call(self, work: Callable[[], None]) -> None:
        self.agenda.post(work)
        wake = self._wake
        if wake is not None:
            wake.set(True)

    def now_s(self) -> float:
        return time.time()

    def steady_s(self) -> float:
        return time.monotonic()

    def spin(self, for_s: float | None = None) -> None:
        until_s = None if for_s is None else time.monotonic() + for_s
        self._spinning = True
        try:
            while not self._stop.is_set() and (until_s is None or time.monotonic() < until_s):
                self._turn(until_s)
        finally:
            self._spinning = False
            if self._stop.is_set():
                self._close()

    def shutdown(self) -> None:
        self._stop.set()
        if self._spinning:
            self.call(lambda: None)
        else:
            self._close()

    def _turn(self, until_s: float | None) -> None:
        self.agenda.run_due()
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            self._take(reader)
        now_s = time.monotonic()
        if now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_PERIOD_S
            self._poll_statuses(readers)
        due = [moment for moment in (self.agenda.next_due_s(), until_s) if moment is not None]
        wait_s = min([MAX_WAIT_S, *(moment - time.monotonic() for moment in due)])
        if wait_s > 0 and not self._stop.is_set():
            self._waitset.wait(_ns(wait_s))
        self._wake.take()

    def _take(self, reader: _Reader) -> None:
        for sample in reader.reader.take(N=max(reader.depth, 1)):
            if self._stop.is_set():
                return
            if isinstance(sample, RawSample):
                self._receive(reader, sample)

    def _receive(self, reader: _Reader, sample: RawSample) -> None:
        meta = Meta(time.monotonic(), sample.sample_info.source_timestamp / 1e9)
        try:
            message = messages.deserialise(sample.data, reader.type_name)
        except Exception as error:  # noqa: BLE001  the decoder raises whatever the bytes make it
            self.agenda.emit(TransportEvent("bad_message", reader.topic, f"{type(error).__name__}: {error}"))
            return
        self.agenda.guarded(reader.topic, lambda: reader.callback(message, meta))

    def _poll_statuses(self, readers: list[_Reader]) -> None:
        for reader in readers:
            wrong = reader.reader.get_requested_incompatible_qos_status()
            self._report(wrong, "incompatible_qos", reader.topic, _policy(wrong))
            late = reader.reader.get_requested_deadline_missed_status()
            self._report(late, "deadline_missed", reader.topic, f"{late.total_count} in all")
            lost = reader.reader.get_sample_lost_status()
            self._report(lost, "sample_lost", reader.topic, f"{lost.total_count} in all")
            alive = reader.reader.get_liveliness_changed_status()
            if alive.not_alive_count_change > 0:
                self.agenda.emit(TransportEvent("liveliness", reader.topic, f"{alive.not_alive_count} writers not alive"))
        with self._lock:
            writers = list(self._writers)
        for writer in writers:
            if writer.writer is not None:
                wrong = writer.writer.get_offered_incompatible_qos_status()
                self._report(wrong, "incompatible_qos", writer.topic, _policy(wrong))

    def _report(self, status: Any, kind: Any, topic: str, detail: str) -> None:
        if status.total_count_change > 0:
            self.agenda.emit(TransportEvent(kind, topic, detail))

    def _topic(self, dds_name: str, type_name: str) -> Topic[Any]:
        with self._lock:
            if dds_name not in self._topics:
                self._topics[dds_name] = Topic(self._participant, dds_name, topic_class(type_name))
            return self._topics[dds_name]

    def _writer(self, dds_name: str, type_name: str, qos: QoS) -> _Writer:
        offered = dds_qos(qos, messages.type_hash(type_name), writes=True)
        writer: DataWriter[Any] = DataWriter(self._participant, self._topic(dds_name, type_name), qos=offered)
        return _Writer(dds_name, type_name, writer, self.agenda)

    def _announce(self) -> None:
        """Tell the ROS graph which readers and writers are this node's. Latched: the newest counts."""
        with self._lock:
            readers = [_gid(reader.reader) for reader in self._readers]
            writers = [_gid(writer.writer) for writer in self._writers]
            node = messages.new(
                "rmw_dds_common/msg/NodeEntitiesInfo",
                node_namespace=self.arguments.namespace,
                node_name=self.arguments.node,
                reader_gid_seq=readers,
                writer_gid_seq=writers,
            )
            self._graph.publish(messages.new(GRAPH_TYPE, gid=_gid(self._participant), node_entities_info_seq=[node]))

    def _close(self) -> None:
        """Leave the wire at once: others see the participant go, not a lease run out."""
        with self._lock:
            if self._participant is None:
                return
            for writer in [*self._writers, self._graph]:
                writer.writer = None
            self._writers, self._readers = [], []
            self._waitset = self._wake = None
            self._topics = {}
            self._participant = None
        gc.collect()


def _policy(status: Any) -> str:
    return POLICIES.get(status.last_policy_id, f"policy {status.last_policy_id}")


def _gid(entity: Any) -> Any:
    """16 bytes from jazzy on, 24 (zero padded) before."""
    gid = messages.new("rmw_dds_common/msg/Gid")
    guid = entity.guid.bytes
    gid.data[: len(guid)] = list(guid)
    return gid
