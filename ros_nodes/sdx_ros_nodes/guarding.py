"""A domain's guard on the wire, whatever its equipment: proposals, approval, override, stop, audit. Start at GuardNode.

Perceives for itself, assures every proposal against its own fresh picture, falls back when it must. Nothing slow runs
in its thread: the audit log has its own, and no other process is ever waited for. What comes in as readings and how an
order goes out is a Wire: the ship's is in ship_guard_node.py, that of domains that steer devices in equipment_wire.py.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from sdx_agents.guard import Guard, GuardTick
from sdx_domains.contract import Closed, Reading, Verdict
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.approval_desk import ApprovalDesk
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.plant_clock import PlantClock
from sdx_ros_nodes.recorder import Recorder
from sdx_ros_nodes.shell import Shell
from sdx_ros_nodes.stop_memory import StopMemory

SEEN_PROPOSALS = 256

log = logging.getLogger(__name__)


class Wire(Protocol):
    """The equipment as the guard sees it. Every call comes from the transport's thread and returns soon."""

    sent: int
    """Messages that went out to the equipment."""

    def drain(self) -> Sequence[Reading]:
        """What came in since the last call."""
        ...

    def send(self, tick: GuardTick, picture: Any, now_s: float) -> None:
        """Called on every tick, with or without an order, stopped or not."""
        ...

    def stop(self, picture: Any, now_s: float | None) -> None:
        """The stop was latched this moment; picture and time may still be unknown."""
        ...

    def by_hand(self, device: str, position_pct: float | None) -> None:
        """A person sets one device, or gives it back. ValueError says why not."""
        ...

    def begin_anew(self) -> None:
        """The plant began a new run."""
        ...

    def close(self) -> None: ...


class GuardParameters(Closed):
    """Parameters of every guard node."""

    domain: str
    """Which it guards; gives the namespace /<domain> and the name <domain>_guard, unless they are given."""
    audit: Path = Path("audit")
    """Folder of the audit log (guard.jsonl) and of the memory of the stop (stop.json)."""
    use_sim_time: bool = True
    """Time from /clock (simulated plant); false: the machine's clock (real equipment)."""
    tick_hz: float = Field(10.0, ge=0.1, le=50.0)
    watchdog_s: float = Field(3.0, gt=0.0)
    """An agent silent for longer (steady clock) loses the con."""
    agent: str = ""
    """Node name whose heartbeat counts; empty: <domain>_agent."""
    decision_limit_s: float = Field(30.0, gt=0.0)
    """An agent that has been at one decision for longer counts as silent."""
    proposal_max_age_s: float | None = Field(None, gt=0.0)
    """A proposal made from a picture older than this (plant time) is too late: verdict "timeout". None: the domain's decide_every_s."""
    approval: events.ApprovalPolicy = "auto"
    """ask: the agent's orders wait for a human. auto: only those for which the agent itself asks for one."""
    approval_s: float = Field(60.0, gt=0.0)
    """How long an order waits for approval, plant time."""
    picture_hz: float = Field(2.0, gt=0.0, le=10.0)


class GuardNode:
    """Wires topics to sdx_agents.guard.Guard. All methods run in the transport's thread.

    Args:
        wire: made from the node's shell.
        recorder: writes the audit log and other files in a thread of its own.
    """

    def __init__(
        self,
        transport: Transport,
        parameters: GuardParameters,
        domain: Any,
        recorder: Recorder,
        stop_memory: StopMemory,
        wire: Callable[[Shell], Wire],
    ) -> None:
        self.shell = Shell(transport)
        self._transport = transport
        self._parameters = parameters
        self._domain = domain
        self._recorder = recorder
        self._record = recorder.record
        self._stop_memory = stop_memory
        self._clock = PlantClock(self.shell, parameters.use_sim_time)
        self._wire = wire(self.shell)
        self._agent = parameters.agent or f"{domain.name}_agent"
        self._max_age_s = parameters.proposal_max_age_s or domain.pace.decide_every_s
        self._policy: events.ApprovalPolicy = parameters.approval
        self._out = {topic: self.shell.publisher(topic) for topic in _OUT}
        self._tick_ms = 0.0
        self._begin_anew(stop_memory.read())
        self.shell.subscribe(topics.HEARTBEAT, self._on_heartbeat)
        self.shell.subscribe(topics.PROPOSAL, self._on_proposal)
        self.shell.subscribe(topics.OPERATOR, self._on_operator)
        self.shell.subscribe(topics.ESTOP_REQUEST, self._on_request)
        transport.timer(1.0 / parameters.tick_hz, self._tick)
        transport.timer(1.0 / parameters.picture_hz, self._publish_picture)
        transport.timer(1.0, self._publish_state)
        self._publish_state()

    def close(self) -> None:
        """Let the equipment go."""
        self._wire.close()

    def _begin_anew(self, stopped: str | None) -> None:
        """A new run of the plant: nothing of the old one holds, except the stop."""
        self._guard = Guard(self._domain, watchdog_s=self._parameters.watchdog_s)
        if stopped is not None:
            self._guard.stop(stopped)
        self._perceiver = self._domain.perceiver()
        self._picture: Any = None
        self._salience = ""
        self._last: GuardTick | None = None
        self._desk = ApprovalDesk(self._parameters.approval_s)
        self._seen: list[str] = []
        self._run = self._clock.restarts

    # the fast clock

    def _tick(self) -> None:
        began_s = self._transport.steady_s()
        now_s = self._clock.now_s()
        if self._clock.restarts != self._run:
            self._record("plant_restart", {"restarts": self._clock.restarts})
            self._begin_anew(self._guard.stopped)
            self._wire.begin_anew()
        if now_s is None:
            self.shell.health("guard", "stale", "no /clock from the simulated plant yet")
            return
        self._perceive(now_s)
        tick = self._guard.tick(self._picture, now_s, began_s)
        self._command(tick, now_s)
        self._tell(tick)
        if self._desk.expire(now_s):
            self._show_pending()
        if self._picture is not None and self._picture.salience != self._salience:
            self._publish_picture()
        self._tick_ms = max(self._tick_ms, (self._transport.steady_s() - began_s) * 1e3)

    def _perceive(self, now_s: float) -> None:
        try:
            self._picture = self._perceiver.take(self._wire.drain(), now_s)
        except Exception as error:  # noqa: BLE001  the last picture grows old and the guard acts on that
            self.shell.health("picture", "error", f"{type(error).__name__}: {error}", for_s=2.0)

    def _command(self, tick: GuardTick, now_s: float) -> None:
        """The order goes out on every tick; the equipment's own watchdog counts on that."""
        if tick.changed and tick.order is not None and tick.verdict is not None:
            order = tick.order.model_dump(mode="json")
            self._record("order", {"order": order, "verdict_id": tick.verdict.id, "seq": self._wire.sent + 1})
        try:
            self._wire.send(tick, self._picture, now_s)
        except Exception as error:  # noqa: BLE001  the guard outlives a wire that fails; the equipment has its own watchdog
            self.shell.health("equipment", "error", f"{type(error).__name__}: {error}", for_s=5.0)

    def _tell(self, tick: GuardTick) -> None:
        last, self._last = self._last, tick
        if not tick.changed:
            return
        if last is None or last.mode != tick.mode:
            log.info("mode %s: %s", tick.mode, tick.reason)
            self._out[topics.MODE].publish(new(topics.MODE.type_name, data=tick.mode))
        verdict = tick.verdict or Verdict(
            kind="reject", picture_id=self._picture.id if self._picture is not None else "", reasons=(tick.reason,)
        )
        judged = events.Judged(verdict=verdict, about="order", mode=tick.mode, reason=tick.reason)
        self._publish(topics.VERDICT, "verdict", verdict.id, judged)
        picture = self._picture.model_dump(mode="json") if self._picture is not None else None
        self._record("standing", {"judged": judged.model_dump(mode="json"), "picture": picture})

    # what comes in

    def _on_heartbeat(self, message: Any) -> None:
        if message.node.rpartition("/")[2] != self._agent:
            return
        if message.busy > self._parameters.decision_limit_s:
            self.shell.health("agent", "error", f"at one decision for {message.busy:.0f} s: counts as silent", for_s=5.0)
            return
        self._guard.agent_seen(self._transport.steady_s())

    def _on_proposal(self, message: Any) -> None:
        try:
            proposed = events.read_event(events.Proposed, message)
            options = self._domain.load_options(proposed.options)
        except ValueError as error:
            self._refused("proposal", str(error))
            return
        now_s, identity = self._clock.now_s(), proposed.id
        if now_s is None or self._picture is None or identity in self._seen:
            return
        self._seen = [*self._seen[-SEEN_PROPOSALS:], identity]
        self._guard.agent_seen(self._transport.steady_s())
        verdict = self._judge(proposed, options, now_s)
        judged = events.Judged(verdict=verdict, about="proposal", proposal_id=identity, mode=self._last.mode if self._last else "")
        self._publish(topics.VERDICT, "verdict", verdict.id, judged)
        self._record(
            "judged",
            {
                "domain": self._domain.name,
                "t_s": now_s,
                "picture": self._picture.model_dump(mode="json"),
                "options": list(proposed.options),
                "proposal": proposed.proposal.model_dump(mode="json"),
                "verdict": verdict.model_dump(mode="json"),
                "model": proposed.model,
                "latency_s": proposed.latency_s,
                "proposal_id": identity,
                "picture_of_proposal": proposed.picture_id,
            },
        )

    def _judge(self, proposed: events.Proposed, options: Any, now_s: float) -> Verdict:
        age_s = now_s - proposed.picture_t_s
        if not -1.0 <= age_s <= self._max_age_s:
            return Verdict(
                kind="timeout",
                picture_id=self._picture.id,
                reasons=(f"made from a picture {age_s:.1f} s old; at most {self._max_age_s:g} s",),
            )
        if proposed.failed:
            kind = "timeout" if proposed.failed == "timeout" else "reject"
            return Verdict(kind=kind, picture_id=self._picture.id, reasons=(proposed.note or proposed.failed,))
        proposal = proposed.proposal.model_copy(update={"picture_id": proposed.picture_id})
        if self._policy == "auto" and not proposal.needs_human:
            return self._guard.offer(self._picture, options, proposal)
        verdict = self._guard.assure(self._picture, options, proposal)
        if verdict.kind in ("accept", "clip") and verdict.order is not None:
            self._desk.ask(verdict, proposed.id, now_s)
            self._show_pending()
        return verdict

    def _on_request(self, message: Any) -> None:
        if message.data:
            self._stop("estop/request", "a stop was requested")

    def _on_operator(self, message: Any) -> None:
        try:
            action = events.read_action(message)
            self._carry_out(action)
        except ValueError as error:
            self._refused("operator", str(error))
            return
        self._record("operator", action.model_dump(mode="json"))

    def _carry_out(self, action: events.Action) -> None:
        match action:
            case events.Stop():
                self._stop(action.by, action.reason)
            case events.Reset():
                self._guard.reset()
                self._recorder.do(lambda: self._stop_memory.write(None))
                self._publish_estop()
            case events.Override():
                self._guard.override(self._domain.wished(self._picture, action.setpoints), action.valid_for_s)
                self._clear_desk("a human took over")
            case events.Manual():
                self._wire.by_hand(action.device, action.position_pct)
            case events.Release():
                self._guard.release()
            case events.Approve():
                self._approve(action.order_id)
            case events.Refuse():
                self._desk.refuse(action.order_id)
                self._show_pending()
            case events.Policy():
                self._policy = action.approval

    def _approve(self, order_id: str) -> None:
        now_s = self._clock.now_s()
        if now_s is None or self._picture is None:
            raise ValueError("there is no picture to check the order against")
        waiting = self._desk.take(order_id, now_s)
        verdict = self._guard.hold(self._picture, waiting.verdict, now_s)
        if verdict is not waiting.verdict:
            self._desk.shown = events.Pending(outcome="not carried out: " + "; ".join(verdict.reasons))
        self._show_pending()
        judged = events.Judged(verdict=verdict, about="proposal", proposal_id=waiting.proposal_id, reason="approved by a human")
        self._publish(topics.VERDICT, "verdict", verdict.id, judged)
        self._record("approval", {"order_id": order_id, "verdict": verdict.model_dump(mode="json")})

    def _stop(self, by: str, reason: str) -> None:
        if self._guard.stopped is None:
            text = f"{reason} ({by})"
            self._guard.stop(text)
            self._tell_equipment_of_stop()
            self._publish_estop()
            self._clear_desk("stopped")
            self._recorder.do(lambda: self._stop_memory.write(text))
            self._record("stop", {"by": by, "reason": reason})
            log.warning("stopped: %s", text)

    def _tell_equipment_of_stop(self) -> None:
        """A wire that fails here takes nothing from the stop: it is latched, and the next tick tells it again."""
        try:
            self._wire.stop(self._picture, self._clock.now_s())
        except Exception as error:  # noqa: BLE001
            self.shell.health("equipment", "error", f"at the stop: {type(error).__name__}: {error}", for_s=30.0)

    def _refused(self, what: str, why: str) -> None:
        log.warning("%s refused: %s", what, why)
        self.shell.health(what, "warn", why, for_s=30.0)
        self._record("refused", {"what": what, "why": why[:2000]})

    # what goes out

    def _publish(self, topic: topics.Topic, kind: str, identity: str, payload: Closed) -> None:
        self._out[topic].publish(events.event(kind, identity, payload, self._transport.now_s()))

    def _clear_desk(self, outcome: str) -> None:
        if self._desk.clear(outcome):
            self._show_pending()

    def _show_pending(self) -> None:
        shown = self._desk.shown
        self._publish(topics.PENDING, "pending", shown.order.id if shown.order else "", shown)

    def _publish_picture(self) -> None:
        if self._picture is not None:
            self._salience = self._picture.salience
            self._guard.remember(self._picture)
            self._publish(topics.PICTURE, "picture", self._picture.id, self._picture)

    def _publish_estop(self) -> None:
        self._out[topics.ESTOP].publish(new(topics.ESTOP.type_name, data=self._guard.stopped is not None))

    def _publish_state(self) -> None:
        self._publish_estop()
        if self._last is None:
            return
        mode, reason = self._last.mode, self._last.reason
        self._out[topics.MODE].publish(new(topics.MODE.type_name, data=mode))
        level = "error" if self._last.order is None else "ok" if mode == "agent" else "warn"
        self.shell.health(
            "guard", level, f"{mode}: {reason}", tick_ms_max=round(self._tick_ms, 2), approval=self._policy, commands=self._wire.sent
        )
        self._tick_ms = 0.0
        recorder = self._recorder
        lost = "error" if recorder.lost else "ok"
        self.shell.health("audit", lost, f"{recorder.acknowledged + 1} on disk", waiting=recorder.waiting, lost=recorder.lost)


_OUT = (topics.ESTOP, topics.MODE, topics.PICTURE, topics.VERDICT, topics.PENDING)


def guarded(transport: Transport, parameters: GuardParameters, domain: Any, wire: Callable[[Shell], Wire]) -> Callable[[], None]:
    """The node with its audit log and stop memory; returns what ends them all."""
    from sdx_agents.audit import AuditLog

    audit = AuditLog(parameters.audit / "guard.jsonl")
    recorder = Recorder(audit.append)
    node = GuardNode(transport, parameters, domain, recorder, StopMemory(parameters.audit / "stop.json"), wire)

    def close() -> None:
        node.close()
        recorder.close()
        audit.close()

    return close
