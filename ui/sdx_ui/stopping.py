"""Stop over the wire, with the guard's confirmation."""

from typing import Any

from sdx_ros_nodes import events, topics
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports import open_transport

REPEAT_S = 0.3


def request_stop(active: bool, timeout_s: float, transport: Any = None, by: str = "sdx stop") -> bool:
    """Ask for the stop, or its end, again and again until the guard's `estop` says so. False when it did not in time."""
    wire = transport or open_transport("auto", NodeArguments("sdx_stop", topics.NAMESPACE))
    said: list[bool] = []
    try:
        wire.subscribe(
            topics.ESTOP.name, topics.ESTOP.type_name, topics.ESTOP.qos.reader(), lambda message, meta: said.append(bool(message.data))
        )
        operator = wire.publisher(topics.OPERATOR.name, topics.OPERATOR.type_name, topics.OPERATOR.qos)
        request = wire.publisher(topics.ESTOP_REQUEST.name, topics.ESTOP_REQUEST.type_name, topics.ESTOP_REQUEST.qos)
        ends_s = wire.steady_s() + timeout_s
        while wire.steady_s() < ends_s:
            if active:
                request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
            action = events.Stop(by=by, reason="stop from a terminal") if active else events.Reset(by=by)
            operator.publish(events.operator_event(action, wire.now_s()))
            wire.spin(for_s=REPEAT_S)
            if said and said[-1] == active:
                return True
        return False
    finally:
        wire.shutdown()
