"""The same nodes on an installed ROS 2. rclpy is imported here and nowhere else; pip does not bring it.

Messages pass as CDR bytes (raw publishers and subscriptions), so nodes handle one kind of message object on every
transport and no field is converted twice. Names arrive here already remapped.
"""

import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

from sdx_ros_nodes import messages
from sdx_ros_nodes.api import EventKind, MessageCallback, Meta, TransportEvent
from sdx_ros_nodes.qos import QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports.agenda import Agenda, AgendaTimer

TURN_S = 0.2


def rclpy_or_explain() -> Any:
    """The module, or an error with what to type."""
    try:
        return importlib.import_module("rclpy")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "ROS 2 is not sourced: run `source /opt/ros/jazzy/setup.bash` (and your workspace's install/setup.bash), or take --transport dds"
        ) from error


def message_class(type_name: str) -> Any:
    """The generated Python class of a message.

    Raises:
        RuntimeError: its package is not installed; says which.
    """
    package, folder, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{folder}"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise RuntimeError(f"ROS package {package} with {name} is not installed: build ros_nodes/msgs with colcon and source it") from error


def ros_qos(qos: QoS) -> Any:
    """rclpy's QoSProfile."""
    from rclpy.duration import Duration
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.latched else DurabilityPolicy.VOLATILE,
    )
    if qos.deadline_s is not None:
        profile.deadline = Duration(seconds=qos.deadline_s)
    if qos.lifespan_s is not None:
        profile.lifespan = Duration(seconds=qos.lifespan_s)
    if qos.lease_s is not None:
        profile.liveliness_lease_duration = Duration(seconds=qos.lease_s)
    return profile


class _Writer:
    def __init__(self, topic: str, type_name: str, writer: Any) -> None:
        self.topic = topic
        self._type_name = type_name
        self._writer = writer

    def publish(self, message: Any) -> None:
        if message.__msgtype__ != self._type_name:
            raise TypeError(f"{self.topic} carries {self._type_name}, got {message.__msgtype__}")
        self._writer.publish(messages.serialise(message))


class RclpyTransport:
    """One rclpy node with a single-threaded executor; see api.Transport."""

    def __init__(self, arguments: NodeArguments) -> None:
        rclpy = rclpy_or_explain()
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self.arguments = arguments
        self.agenda = Agenda(time.monotonic)
        self._stop = threading.Event()
        self._closed = False
        self._spinning = False
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._node = Node(arguments.node, namespace=arguments.namespace, context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._wake = self._node.create_guard_condition(self.agenda.run_due)

    def publisher(self, topic: str, type_name: str, qos: QoS) -> _Writer:
        messages.warm_up(type_name)
        name = self.arguments.resolve(topic)
        events = self._events("PublisherEventCallbacks", name)
        return _Writer(name, type_name, self._node.create_publisher(message_class(type_name), name, ros_qos(qos), event_callbacks=events))

    def subscribe(self, topic: str, type_name: str, qos: QoS, callback: MessageCallback) -> None:
        messages.warm_up(type_name)
        name = self.arguments.resolve(topic)

        def receive(data: bytes) -> None:
            self._receive(name, type_name, callback, data)

        events = self._events("SubscriptionEventCallbacks", name)
        self._node.create_subscription(message_class(type_name), name, receive, ros_qos(qos), event_callbacks=events, raw=True)

    def timer(self, period_s: float, callback: Callable[[], None]) -> AgendaTimer:
        timer = self.agenda.timer(period_s, callback)
        self._wake.trigger()
        return timer

    def on_event(self, callback: Callable[[TransportEvent], None]) -> None:
        self.agenda.on_event(callback)

    def call(self, work: Callable[[], None]) -> None:
        self.agenda.post(work)
        if not self._closed:
            self._wake.trigger()

    def now_s(self) -> float:
        return time.time()

    def steady_s(self) -> float:
        return time.monotonic()

    def spin(self, for_s: float | None = None) -> None:
        until_s = None if for_s is None else time.monotonic() + for_s
        self._spinning = True
        try:
            while not self._stop.is_set() and (until_s is None or time.monotonic() < until_s):
                self.agenda.run_due()
                due = [moment for moment in (self.agenda.next_due_s(), until_s) if moment is not None]
                self._executor.spin_once(timeout_sec=max(0.0, min([TURN_S, *(moment - time.monotonic() for moment in due)])))
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

    def _receive(self, topic: str, type_name: str, callback: MessageCallback, data: bytes) -> None:
        # The source time stamp is not handed to raw callbacks by every distribution: the receipt stands for it.
        meta = Meta(time.monotonic(), time.time())
        try:
            message = messages.deserialise(data, type_name)
        except Exception as error:  # noqa: BLE001  the decoder raises whatever the bytes make it
            self.agenda.emit(TransportEvent("bad_message", topic, f"{type(error).__name__}: {error}"))
            return
        self.agenda.guarded(topic, lambda: callback(message, meta))

    def _events(self, kind: str, topic: str) -> Any:
        """Callbacks for what data alone would not show; the module's name changed after humble."""
        try:
            module = importlib.import_module("rclpy.event_handler")
        except ModuleNotFoundError:
            module = importlib.import_module("rclpy.qos_event")

        def tell(event: EventKind, field: str) -> Callable[[Any], None]:
            return lambda info: self.agenda.emit(TransportEvent(event, topic, str(getattr(info, field, info))))

        wanted: dict[str, Any] = {"incompatible_qos": tell("incompatible_qos", "last_policy_kind")}
        if kind == "SubscriptionEventCallbacks":
            wanted["deadline"] = tell("deadline_missed", "total_count")
            wanted["message_lost"] = tell("sample_lost", "total_count")
        return getattr(module, kind)(**wanted)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
