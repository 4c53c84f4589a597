"""The wire on one side, the store on the other: a ROS 2 node that listens to the guard and sends what the operator does.

The stop goes out twice, as an operator action and as a Bool on `estop/request`: whichever arrives first counts.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sdx_ros_nodes import events, topics
from sdx_ros_nodes.api import MessageCallback, Meta, TransportEvent
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.ros_args import parse
from sdx_ros_nodes.transports import open_transport
from sdx_ui.api import OperatorCommand
from sdx_ui.page.store import BridgeStore

WHO = "bridge page"
OVERRIDE_PACES = 10
"""A takeover ends by itself after so many of the domain's times between decisions, or when released; at most after a day."""
PARTS = ("plant", "guard", "agent")


class BridgeLink:
    """Owns the transport. spin() runs in a thread of its own; send() may be called from any other."""

    def __init__(self, store: BridgeStore, argv: Sequence[str] = (), transport: str = "auto") -> None:
        name = store.domain.name
        arguments, unknown = parse(list(argv), f"{name}_page", f"/{name}")
        if unknown:
            raise ValueError(f"unknown arguments: {' '.join(unknown)}")
        self.store = store
        self._parts = {f"{name}_{part}": part for part in PARTS}
        self._transport = open_transport(transport, arguments)
        self._operator = self._publisher(topics.OPERATOR)
        self._stop = self._publisher(topics.ESTOP_REQUEST)
        self._transport.on_event(self._event)
        for topic, take in self._table():
            self._transport.subscribe(topic.name, topic.type_name, topic.qos.reader(), self._safely(take))

    def spin(self) -> None:
        self._transport.spin()

    def shutdown(self) -> None:
        self._transport.shutdown()

    def send(self, command: OperatorCommand) -> None:
        """Put a command on the wire."""
        if command.kind == "stop":
            self._stop.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
        self._operator.publish(events.operator_event(self._action(command), self._transport.now_s()))

    def _publisher(self, topic: topics.Topic) -> Any:
        return self._transport.publisher(topic.name, topic.type_name, topic.qos)

    def _table(self) -> list[tuple[topics.Topic, Callable[[Any], None]]]:
        return [
            (topics.PICTURE, self._picture),
            (topics.PROPOSAL, self._proposal),
            (topics.VERDICT, self._verdict),
            (topics.PENDING, self._pending),
            (topics.MODE, lambda message: self.store.put_mode(message.data)),
            (topics.ESTOP, lambda message: self.store.put_estop(bool(message.data))),
            (topics.HEARTBEAT, self._heartbeat),
            (topics.ALARM, self._alarm),
        ]

    def _safely(self, take: Callable[[Any], None]) -> MessageCallback:
        """What cannot be read becomes a line of the record, and the page lives on."""

        def callback(message: Any, meta: Meta) -> None:
            try:
                take(message)
            except ValueError as error:
                self.store.record("fault", str(error))

        return callback

    def _event(self, event: TransportEvent) -> None:
        self.store.record("fault", f"{event.topic}: {event.kind}: {event.detail}")

    def _picture(self, message: Any) -> None:
        self.store.put_picture(json.loads(message.json))

    def _proposal(self, message: Any) -> None:
        proposed = events.read_event(events.Proposed, message)
        documents = [passage.model_dump(mode="json") for passage in proposed.documents]
        about = {
            "model": proposed.model,
            "latency_s": proposed.latency_s,
            "note": proposed.note,
            "documents": documents,
            "decided_t_s": proposed.picture_t_s,
        }
        self.store.put_decision(proposed.proposal.model_dump(mode="json"), list(proposed.options), about)

    def _verdict(self, message: Any) -> None:
        judged = events.read_event(events.Judged, message)
        verdict = judged.verdict.model_dump(mode="json")
        if judged.verdict.order is not None:
            verdict["order"]["id"] = judged.verdict.order.id
        self.store.put_verdict(verdict, judged.about, judged.reason)

    def _pending(self, message: Any) -> None:
        pending = events.read_event(events.Pending, message)
        if pending.order is None:
            self.store.put_pending(None, pending.outcome)
            return
        order = pending.order
        shown = {"id": order.id, "label": order.label, "setpoints": dict(order.setpoints), "expires_s": pending.expires_s}
        self.store.put_pending(shown)

    def _alarm(self, message: Any) -> None:
        self.store.record("alarm", f"{message.severity}: {message.detail}" if message.active else f"over: {message.detail}")

    def _heartbeat(self, message: Any) -> None:
        part = self._parts.get(message.node.rpartition("/")[2])
        if part:
            self.store.heard(part)

    def _action(self, command: OperatorCommand) -> events.Action:
        return action_of(command, min(86_400.0, OVERRIDE_PACES * self.store.domain.pace.decide_every_s))


def action_of(command: OperatorCommand, override_s: float) -> events.Action:
    """The page's command as an action of the wire."""
    match command.kind:
        case "stop":
            return events.Stop(by=WHO)
        case "reset":
            return events.Reset(by=WHO)
        case "release":
            return events.Release(by=WHO)
        case "takeover":
            return events.Override(by=WHO, setpoints=command.setpoints or {}, valid_for_s=override_s)
        case "manual":
            return events.Manual(by=WHO, device=command.device or "", position_pct=command.position_pct)
        case "approve":
            return events.Approve(by=WHO, order_id=command.order_id or "")
        case "reject":
            return events.Refuse(by=WHO, order_id=command.order_id or "")
