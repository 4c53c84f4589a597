"""The guard as a ROS 2 node: the only writer of the helm command, 10 times a second, whatever else has died.

    python -m sdx_ros_nodes.ship_guard_node --transport dds --ros-args -p audit:=audit -p approval:=ask

Perceives for itself, assures every proposal against its own fresh picture, falls back when it must. Nothing slow runs
in its thread: the audit log has its own, and no other process is ever waited for.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from sdx_agents.guard import Guard, GuardTick
from sdx_domains.contract import Closed, Verdict, load_domain
from sdx_ros_nodes import conversions, events, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.approval_desk import ApprovalDesk
from sdx_ros_nodes.autopilot_out import AutopilotOut
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.plant_clock import PlantClock
from sdx_ros_nodes.recorder import Recorder
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.ship_inputs import ShipInputs
from sdx_ros_nodes.stop_memory import StopMemory

SEEN_PROPOSALS = 256

log = logging.getLogger(__name__)


class GuardParameters(Closed):
    """Parameters of the node."""

    audit: Path = Path("audit")
    """Folder of the audit log (guard.jsonl) and of the memory of the stop (stop.json)."""
    use_sim_time: bool = True
    """Time from /clock (simulated plant); false: the machine's clock (a real ship)."""
    tick_hz: float = Field(10.0, ge=1.0, le=50.0)
    watchdog_s: float = Field(3.0, gt=0.0)
    """An agent silent for longer (steady clock) loses the con."""
    agent: str = "ship_agent"
    """Node name whose heartbeat counts."""
    decision_limit_s: float = Field(30.0, gt=0.0)
    """An agent that has been at one decision for longer counts as silent."""
    proposal_max_age_s: float = Field(60.0, gt=0.0)
    """A proposal made from a picture older than this (plant time) is too late: verdict "timeout"."""
    approval: events.ApprovalPolicy = "auto"
    """ask: the agent's orders wait for a human. auto: only those for which the agent itself asks for one."""
    approval_s: float = Field(60.0, gt=0.0)
    """How long an order waits for approval, plant time."""
    picture_hz: float = Field(2.0, gt=0.0, le=10.0)
    autopilot: str = ""
    """host:port that gets HSC and HTC sentences by UDP once a second; empty: none."""


class ShipGuardNode:
    """Wires topics to sdx_agents.guard.Guard. All methods run in the transport's thread.

    Args:
        recorder: writes the audit log and other files in a thread of its own.
    """

    def __init__(self, transport: Transport, parameters: GuardParameters, domain: Any, recorder: Recorder, stop_memory: StopMemory) -> None:
        self.shell = Shell(transport)
        self._transport = transport
        self._parameters = parameters
        self._domain = domain
        self._recorder = recorder
        self._record = recorder.record
        self._stop_memory = stop_memory
        self._clock = PlantClock(self.shell, parameters.use_sim_time)
        self._inputs = ShipInputs(self.shell)
        self._autopilot = AutopilotOut(parameters.autopilot) if parameters.autopilot else None
        self._policy: events.ApprovalPolicy = parameters.approval
        self._out = {topic: self.shell.publisher(topic) for topic in _OUT}
        self._seq = 0
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
        """Let the autopilot's socket go."""
        if self._autopilot is not None:
            self._autopilot.close()

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
        if now_s is None:
            self.shell.health("guard", "stale", "no /clock from the simulated plant yet")
            return
        self._perceive(now_s)
        tick = self._guard.tick(self._picture, now_s, began_s)
        self._command(tick)
        self._tell(tick)
        if self._desk.expire(now_s):
            self._show_pending()
        if self._picture is not None and self._picture.salience != self._salience:
            self._publish_picture()
        self._tick_ms = max(self._tick_ms, (self._transport.steady_s() - began_s) * 1e3)

    def _perceive(self, now_s: float) -> None:
        try:
            self._picture = self._perceiver.take(self._inputs.drain(), now_s)
        except Exception as error:  # noqa: BLE001  the last picture grows old and the guard acts on that
            self.shell.health("picture", "error", f"{type(error).__name__}: {error}", for_s=2.0)

    def _command(self, tick: GuardTick) -> None:
        """The order goes out on every tick; the equipment's own watchdog counts on that."""
        if tick.order is None or tick.verdict is None:
            return
        self._seq += 1
        if tick.changed:
            self._record("order", {"order": tick.order.model_dump(mode="json"), "verdict_id": tick.verdict.id, "seq": self._seq})
        self._out[topics.COMMAND_COURSE].publish(conversions.helm_from_order(tick.order, tick.verdict.id, self._seq))
        if self._autopilot is not None:
            self._autopilot.send(tick.order, self._picture.own.parameters, self._transport.steady_s())
            if self._autopilot.failure:
                self.shell.health("autopilot", "error", self._autopilot.failure, for_s=5.0)

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
        if message.node.rpartition("/")[2] != self._parameters.agent:
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
        if not -1.0 <= age_s <= self._parameters.proposal_max_age_s:
            return Verdict(
                kind="timeout",
                picture_id=self._picture.id,
                reasons=(f"made from a picture {age_s:.1f} s old; at most {self._parameters.proposal_max_age_s:g} s",),
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
                heading_deg = action.heading_deg % 360.0
                self._guard.override({"heading_deg": heading_deg, "speed_kn": action.speed_kn}, action.valid_for_s)
                self._clear_desk("a human took over")
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
            self._publish_estop()
            self._clear_desk("stopped")
            self._recorder.do(lambda: self._stop_memory.write(text))
            self._record("stop", {"by": by, "reason": reason})
            log.warning("stopped: %s", text)

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
            "guard", level, f"{mode}: {reason}", tick_ms_max=round(self._tick_ms, 2), approval=self._policy, commands=self._seq
        )
        self._tick_ms = 0.0
        recorder = self._recorder
        lost = "error" if recorder.lost else "ok"
        self.shell.health("audit", lost, f"{recorder.acknowledged + 1} on disk", waiting=recorder.waiting, lost=recorder.lost)


_OUT = (topics.COMMAND_COURSE, topics.ESTOP, topics.MODE, topics.PICTURE, topics.VERDICT, topics.PENDING)


def build(transport: Transport, parameters: GuardParameters) -> Callable[[], None]:
    from sdx_agents.audit import AuditLog

    audit = AuditLog(parameters.audit / "guard.jsonl")
    recorder = Recorder(audit.append)
    node = ShipGuardNode(transport, parameters, load_domain("ship"), recorder, StopMemory(parameters.audit / "stop.json"))

    def close() -> None:
        node.close()
        recorder.close()
        audit.close()

    return close


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "ship_guard", GuardParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
