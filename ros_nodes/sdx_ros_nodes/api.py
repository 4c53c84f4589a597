"""What the nodes need of a transport. Three speak it: `memory`, `dds` (ROS 2 wire without ROS) and `rclpy`.

One thread runs all callbacks and timers of a transport: the one in spin(). Other threads hand work in with call().
A callback that raises is reported as an event and the loop goes on: hostile input must not end a node.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sdx_ros_nodes.qos import QoS
from sdx_ros_nodes.ros_args import NodeArguments

EventKind = Literal["incompatible_qos", "deadline_missed", "liveliness", "sample_lost", "bad_message", "callback_failed"]


@dataclass(frozen=True, slots=True)
class Meta:
    """About a message that arrived."""

    received_s: float
    """On this machine's steady clock."""
    sent_s: float
    """Source time stamp, seconds since 1970; of the sender's clock."""


@dataclass(frozen=True, slots=True)
class TransportEvent:
    """Something the wire or a callback did that data alone would not show."""

    kind: EventKind
    topic: str
    detail: str


MessageCallback = Callable[[Any, Meta], None]


class Publisher(Protocol):
    def publish(self, message: Any) -> None: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Transport(Protocol):
    """One node on the wire."""

    arguments: NodeArguments

    def publisher(self, topic: str, type_name: str, qos: QoS) -> Publisher:
        """A writer; `topic` may be relative. The same node may have one writer per topic."""
        ...

    def subscribe(self, topic: str, type_name: str, qos: QoS, callback: MessageCallback) -> None: ...

    def timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """Every period_s of steady time; a late timer skips what it missed."""
        ...

    def on_event(self, callback: Callable[[TransportEvent], None]) -> None: ...

    def call(self, work: Callable[[], None]) -> None:
        """Run `work` in the spinning thread soon. From any thread."""
        ...

    def now_s(self) -> float:
        """Seconds since 1970."""
        ...

    def steady_s(self) -> float:
        """A clock that never jumps."""
        ...

    def spin(self, for_s: float | None = None) -> None:
        """Run callbacks until shutdown(), or for so long."""
        ...

    def shutdown(self) -> None:
        """End spin() and leave the wire. From any thread, any number of times."""
        ...
