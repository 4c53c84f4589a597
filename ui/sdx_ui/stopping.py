"""Stop over the wire, with the guards' confirmation."""

from collections.abc import Sequence
from typing import Any

from sdx_ros_nodes import events, topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports import open_transport

REPEAT_S = 0.3
GRACE_S = 1.0
"""After the first confirmation the others have so long; who is not there cannot confirm."""


def request_stop(
    active: bool, timeout_s: float, namespaces: Sequence[str] = (topics.NAMESPACE,), transport: Any = None, by: str = "sdx stop"
) -> list[str]:
    """Ask for the stop, or its end, again and again until every guard's `estop` says so, or time is over.

    Returns:
        The namespaces whose guard confirmed.
    """
    wire = transport or open_transport("auto", NodeArguments("sdx_stop", "/"))
    said: dict[str, bool] = {}
    try:
        asked = {namespace: _Asked(wire, namespace, said) for namespace in namespaces}
        ends_s = wire.steady_s() + timeout_s
        while wire.steady_s() < ends_s:
            for each in asked.values():
                each.ask(active, by)
            wire.spin(for_s=REPEAT_S)
            confirmed = [namespace for namespace in asked if said.get(namespace) == active]
            if len(confirmed) == len(asked):
                break
            if confirmed:
                ends_s = min(ends_s, wire.steady_s() + GRACE_S)
        return [namespace for namespace in asked if said.get(namespace) == active]
    finally:
        wire.shutdown()


class _Asked:
    """The writers to one guard; what its `estop` says goes into `said`."""

    def __init__(self, wire: Any, namespace: str, said: dict[str, bool]) -> None:
        self._wire = wire
        self._operator = self._publisher(namespace, topics.OPERATOR)
        self._request = self._publisher(namespace, topics.ESTOP_REQUEST)

        def hear(message: Any, meta: Any) -> None:
            said[namespace] = bool(message.data)

        wire.subscribe(f"{namespace}/{topics.ESTOP.name}", topics.ESTOP.type_name, topics.ESTOP.qos.reader(), hear)

    def ask(self, active: bool, by: str) -> None:
        if active:
            self._request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
        action = events.Stop(by=by, reason="stop from a terminal") if active else events.Reset(by=by)
        self._operator.publish(events.operator_event(action, self._wire.now_s()))

    def _publisher(self, namespace: str, topic: topics.Topic) -> Any:
        return self._wire.publisher(f"{namespace}/{topic.name}", topic.type_name, topic.qos)
