"""What every node process has: parameters, heartbeat, diagnostics, clean end on SIGTERM. run_node() is each main()."""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from sdx_domains.contract import Closed
from sdx_ros_nodes import ros_args, topics
from sdx_ros_nodes.api import Transport, TransportEvent
from sdx_ros_nodes.conversions import header
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.transports import KINDS, open_transport

HEARTBEAT_S = 0.5
DIAGNOSTICS_S = 1.0
EVENT_SHOWN_S = 30.0
"""A transport event stays in the diagnostics this long."""
LEVELS = {"ok": 0, "warn": 1, "error": 2, "stale": 3}
Level = Literal["ok", "warn", "error", "stale"]
P = TypeVar("P", bound=Closed)

log = logging.getLogger(__name__)


class Shell:
    """Heartbeat (2 Hz) and /diagnostics (1 Hz) of one node. Transport events become diagnostics and log entries."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.state = "active"
        self.busy_since_s: float | None = None
        """Steady time since which the node's slow work is under way; None: none is."""
        self._seq = 0
        self._health: dict[str, tuple[int, str, dict[str, str]]] = {}
        self._forget_s: dict[str, float] = {}
        self._heartbeat = transport.publisher(topics.HEARTBEAT.name, topics.HEARTBEAT.type_name, topics.HEARTBEAT.qos)
        self._diagnostics = transport.publisher(topics.DIAGNOSTICS.name, topics.DIAGNOSTICS.type_name, topics.DIAGNOSTICS.qos)
        transport.on_event(self._on_event)
        transport.timer(HEARTBEAT_S, self._beat)
        transport.timer(DIAGNOSTICS_S, self._diagnose)

    def health(self, part: str, level: Level, message: str, for_s: float | None = None, **values: object) -> None:
        """Set the health of a part, until it is set again or `for_s` is over."""
        self._health[part] = (LEVELS[level], message, {key: str(value) for key, value in values.items()})
        self._forget_s.pop(part, None)
        if for_s is not None:
            self._forget_s[part] = self.transport.steady_s() + for_s

    def publisher(self, topic: topics.Topic) -> Any:
        return self.transport.publisher(topic.name, topic.type_name, topic.qos)

    def subscribe(self, topic: topics.Topic, callback: Callable[[Any], None]) -> None:
        """The topic with what any ROS writer offers; see QoS.reader()."""
        self.transport.subscribe(topic.name, topic.type_name, topic.qos.reader(), lambda message, meta: callback(message))

    def _on_event(self, event: TransportEvent) -> None:
        log.warning("%s on %s: %s", event.kind, event.topic, event.detail)
        serious = event.kind in ("incompatible_qos", "callback_failed")
        self.health(f"transport {event.topic} {event.kind}", "error" if serious else "warn", event.detail, for_s=EVENT_SHOWN_S)

    def _beat(self) -> None:
        self._seq += 1
        busy_s = 0.0 if self.busy_since_s is None else self.transport.steady_s() - self.busy_since_s
        self._heartbeat.publish(
            new(
                topics.HEARTBEAT.type_name,
                header=header(self.transport.now_s()),
                node=self.transport.arguments.full_name,
                state=self.state,
                seq=self._seq,
                busy=busy_s,
            )
        )

    def _diagnose(self) -> None:
        now_s = self.transport.steady_s()
        for part in [part for part, end_s in self._forget_s.items() if end_s <= now_s]:
            self._health.pop(part, None)
            self._forget_s.pop(part)
        name = self.transport.arguments.full_name
        parts = self._health or {"node": (0, self.state, {})}
        status = [
            new(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=level,
                name=f"{name}: {part}",
                message=message,
                hardware_id=name,
                values=[new("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in values.items()],
            )
            for part, (level, message, values) in parts.items()
        ]
        self._diagnostics.publish(new(topics.DIAGNOSTICS.type_name, header=header(self.transport.now_s()), status=status))


def run_node(
    argv: Sequence[str] | None, name: str, parameters: type[P], build: Callable[[Transport, P], Callable[[], None]], about: str | None
) -> int:
    """Parse, open the transport, build the node, spin until SIGTERM or SIGINT, end cleanly.

    Args:
        name: of the node; with a parameter `domain` it stands behind the domain's: <domain>_<name>.
        parameters: closed model; `--ros-args -p key:=value` and parameter files fill it.
        build: makes the node and returns what to call at its end.

    Returns:
        0; 2 when arguments or parameters are wrong, or the transport cannot start (told in one line).
    """
    name, bare = name_of(name, parameters), name
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request says nothing
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        arguments, rest = of_domain(words, bare, parameters)
        parser = argparse.ArgumentParser(prog=name, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--transport", choices=KINDS, default="auto", help="auto: rclpy where ROS 2 is sourced, else dds")
        parser.epilog = "parameters (--ros-args -p name:=value): " + ", ".join(
            f"{key} = {field.default!r}" for key, field in parameters.model_fields.items()
        )
        options = parser.parse_args(rest)
        given = parameters.model_validate({key: value for key, value in arguments.parameters.items() if key not in ROS_PARAMETERS})
        transport = open_transport(options.transport, arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        print(f"{name}: parameter {where}: {first['msg']}; known: {', '.join(parameters.model_fields)}", file=sys.stderr)
        return 2
    except (ValueError, RuntimeError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return _spin(transport, given, build, name)


def name_of(name: str, parameters: type[Closed]) -> str:
    """ "guard" -> "ship_guard" where the parameters' default is the domain ship."""
    field = parameters.model_fields.get("domain")
    return f"{field.default}_{name}" if field is not None and isinstance(field.default, str) else name


def of_domain(argv: Sequence[str], name: str, parameters: type[Closed]) -> tuple[ros_args.NodeArguments, list[str]]:
    """The arguments, with name and namespace of the domain that they or the parameters' default name; the ship's without one."""
    field = parameters.model_fields.get("domain")
    if field is None:
        return ros_args.parse(argv, name, topics.NAMESPACE)
    domain = ros_args.parse(argv, name)[0].parameters.get("domain", field.default)
    if not isinstance(domain, str):
        return ros_args.parse(argv, name)
    return ros_args.parse(argv, f"{domain}_{name}", f"/{domain}")


ROS_PARAMETERS = frozenset({"use_sim_time", "start_type_description_service"})
"""Parameters that ROS tools hand to every node; the nodes that know them have them as fields too."""


def _spin(transport: Transport, given: P, build: Callable[[Transport, P], Callable[[], None]], name: str) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: transport.shutdown())
    try:
        close = build(transport, given)
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        transport.shutdown()
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    log.info("%s runs as %s", name, transport.arguments.full_name)
    try:
        transport.spin()
    finally:
        close()
        transport.shutdown()
    return 0
