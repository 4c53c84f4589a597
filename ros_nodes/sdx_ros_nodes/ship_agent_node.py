"""The agent as a ROS 2 node: reads pictures, decides in a worker thread, publishes proposals. It commands nothing.

python -m sdx_ros_nodes.ship_agent_node --transport dds --ros-args -p engine:=http://127.0.0.1:8080/v1
"""

import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from sdx_domains.contract import Closed, Language, Passage, Picture, Proposal, load_domain
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.shell import Shell, run_node

if TYPE_CHECKING:  # heavy, and not needed where the planner decides
    from sdx_agents.graph import Agent

log = logging.getLogger(__name__)


class AgentParameters(Closed):
    """Parameters of the node. Times are the plant's."""

    engine: str = "none"
    """OpenAI-compatible address of the model, http://127.0.0.1:8080/v1; none: the domain's own planner proposes."""
    language: Language = "en"
    audit: Path = Path("audit")
    """Folder of the audit log (agent.jsonl)."""
    deadline_s: float = Field(10.0, gt=0.0)
    """A decision without an answer by then is over (seconds of this machine)."""
    decide_every_s: float = Field(60.0, gt=0.0)
    decide_at_most_every_s: float = Field(15.0, ge=0.0)
    """A change of salience brings a decision forward, but not below this."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What of a decision the node passes on."""

    options: Sequence[Any]
    proposal: Proposal
    passages: Sequence[Passage] = ()
    model: str = ""
    latency_s: float = 0.0
    note: str = ""
    failed: Literal["", "timeout", "engine", "answer"] = ""


Decide = Callable[[Any, Language], Decided]
"""Picture in, decision out. May take long and may raise."""


class ShipAgentNode:
    """One decision at a time. Heartbeats come from the transport's thread and tell how long the present one takes."""

    def __init__(self, transport: Transport, parameters: AgentParameters, load_picture: Callable[[Any], Any], decide: Decide) -> None:
        self.shell = Shell(transport)
        self.shell.state = "idle"
        self._transport = transport
        self._parameters = parameters
        self._load_picture = load_picture
        self._decide = decide
        self._decided_s: float | None = None
        self._salience = ""
        self._work: queue.Queue[Any] = queue.Queue(1)
        self._out = self.shell.publisher(topics.PROPOSAL)
        self.shell.subscribe(topics.PICTURE, self._on_picture)
        self._thread = threading.Thread(target=self._run, name="decide", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the present decision; does not wait for it."""
        with self._work.mutex:
            self._work.queue.clear()
        self._work.put(None)

    def _on_picture(self, message: Any) -> None:
        if self.shell.busy_since_s is not None:
            return
        try:
            picture = self._load_picture(message)
        except ValueError as error:
            self.shell.health("picture", "error", f"refused: {error}", for_s=10.0)
            return
        if self._due(picture):
            self._decided_s, self._salience = picture.t_s, picture.salience
            self.shell.busy_since_s, self.shell.state = self._transport.steady_s(), "deciding"
            self._work.put_nowait(picture)

    def _due(self, picture: Picture) -> bool:
        if self._decided_s is None or picture.t_s < self._decided_s:  # the plant began anew
            return True
        since_s = picture.t_s - self._decided_s
        changed = picture.salience != self._salience and since_s >= self._parameters.decide_at_most_every_s
        return changed or since_s >= self._parameters.decide_every_s

    def _run(self) -> None:
        while (picture := self._work.get()) is not None:
            try:
                decided, problem = self._decide(picture, self._parameters.language), ""
            except Exception as error:
                log.exception("a decision failed")
                decided, problem = None, f"{type(error).__name__}: {error}"
            self._transport.call(lambda p=picture, d=decided, w=problem: self._done(p, d, w))

    def _done(self, picture: Picture, decided: Decided | None, problem: str) -> None:
        self.shell.busy_since_s, self.shell.state = None, "idle"
        if decided is None:
            self.shell.health("decision", "error", problem)
            return
        proposed = events.Proposed(
            picture_id=picture.id,
            picture_t_s=picture.t_s,
            options=tuple(option.model_dump(mode="json") for option in decided.options),
            proposal=events.sayable(decided.proposal),
            passages=tuple(decided.passages),
            model=decided.model,
            latency_s=decided.latency_s,
            language=self._parameters.language,
            note=decided.note,
            failed=decided.failed,
        )
        self._out.publish(events.event("proposal", proposed.id, proposed, self._transport.now_s()))
        self.shell.health("decision", "warn" if decided.note else "ok", decided.note or "proposed", latency_s=round(decided.latency_s, 3))


def picture_loader(domain: Any) -> Callable[[Any], Any]:
    """Event message to the domain's picture; ValueError says what was wrong."""

    def load(message: Any) -> Any:
        if len(message.json) > events.MAX_JSON_CHARS:
            raise ValueError(f"picture of {len(message.json)} characters")
        try:
            return domain.load_picture(json.loads(message.json))
        except ValidationError as error:
            raise ValueError(str(error)) from error

    return load


def planner(domain: Any) -> Decide:
    """The domain's own deterministic choice as a proposal: the run without a model."""

    def decide(picture: Any, language: Language) -> Decided:
        began_s = time.monotonic()
        options = domain.options(picture)
        order = domain.fallback(picture, options).order
        proposal = Proposal(option_id=order.option_id if order else None, confidence=1.0, source="fallback")
        return Decided(options, proposal, model="planner", latency_s=time.monotonic() - began_s)

    return decide


def of_agent(agent: "Agent") -> Decide:
    """Decisions of a model behind the graph."""

    def decide(picture: Any, language: Language) -> Decided:
        made = agent.decide(picture, language)
        verdict = made.verdict
        note = made.failure or ("" if verdict.kind == "accept" else f"{verdict.kind}: {'; '.join(verdict.reasons)}")
        return Decided(made.options, made.proposal, made.passages, made.model, made.latency_s, note, made.answer.failure_kind)

    return decide


def build(transport: Transport, parameters: AgentParameters) -> Callable[[], None]:
    domain = load_domain("ship")
    end = ExitStack()
    if parameters.engine == "none":
        decide = planner(domain)
    else:
        from sdx_agents.connect import connected_agent

        log_path = parameters.audit / "agent.jsonl"
        decide = of_agent(end.enter_context(connected_agent(domain, parameters.engine, log_path, parameters.deadline_s)))
    node = ShipAgentNode(transport, parameters, picture_loader(domain), decide)

    def close() -> None:
        node.close()
        end.close()

    return close


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "ship_agent", AgentParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
