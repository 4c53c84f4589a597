"""The agent of any domain as a ROS 2 node: reads pictures, decides in a worker thread, publishes proposals. It commands nothing.

    python -m sdx_ros_nodes.agent_node --transport dds --ros-args -p domain:=farm -p engine:=http://127.0.0.1:8080/v1

With an engine, turns run through the checkpointed graph, and the folder `audit` keeps agent.jsonl (decisions, and what
became of each), turns.sqlite (the turn in progress) and sent.sqlite (orders that were handed to the guard). Started again
on the same folder, the agent ends the turn that a kill interrupted and hands no order over a second time. Without an
engine (`none`) it keeps no files.
"""

import json
import logging
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from sdx_domains.contract import Closed, Language, Picture, load_domain
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.deciding import Decide, Decided, handed_by, of_agent, planner
from sdx_ros_nodes.shell import Shell, run_node

if TYPE_CHECKING:  # heavy, and not needed where the planner decides
    from sdx_agents.durable import DurableAgent

log = logging.getLogger(__name__)


class AgentParameters(Closed):
    """Parameters of the node. Times are the plant's."""

    domain: str
    """Of which it is the agent; gives the namespace /<domain> and the name <domain>_agent, unless they are given."""
    engine: str = "none"
    """OpenAI-compatible address of the model, http://127.0.0.1:8080/v1; none: the domain's own planner proposes."""
    language: Language = "en"
    audit: Path = Path("audit")
    """Folder of agent.jsonl, turns.sqlite and sent.sqlite."""
    deadline_s: float = Field(10.0, gt=0.0)
    """A decision without an answer by then is over (seconds of this machine)."""
    documents: bool = True
    """Ask the user's library for what it says about the situation: shown and recorded, not decided with."""
    decide_every_s: float | None = Field(None, gt=0.0)
    """None: the domain's pace; so too below."""
    decide_at_most_every_s: float | None = Field(None, ge=0.0)
    """A change of salience brings a decision forward, but not below this."""


HAND_OVER_LIMIT_S = 5.0
"""The transport's thread takes a proposal within this, or it does not leave (seconds of this machine)."""


class AgentNode:
    """One decision at a time. Heartbeats come from the transport's thread and tell how long the present one takes."""

    def __init__(self, transport: Transport, parameters: AgentParameters, domain: Any, decide: Decide) -> None:
        self.shell = Shell(transport)
        self.shell.state = "idle"
        self._transport = transport
        self._parameters = parameters
        self._load_picture = picture_loader(domain)
        every_s, at_most_every_s = parameters.decide_every_s, parameters.decide_at_most_every_s
        self._every_s = domain.pace.decide_every_s if every_s is None else every_s
        self._at_most_every_s = domain.pace.decide_at_most_every_s if at_most_every_s is None else at_most_every_s
        self._decide = decide
        self._decided_s: float | None = None
        self._salience: str | None = ""
        self._newest: Any = None
        self._work: queue.Queue[Any] = queue.Queue(1)
        self._out = self.shell.publisher(topics.PROPOSAL)
        self.shell.subscribe(topics.PICTURE, self._on_picture)
        self._thread = threading.Thread(target=self._run, name="decide", daemon=True)
        self._thread.start()

    def use(self, agent: "DurableAgent") -> None:
        """Decide with a model behind the graph from now on. Before the first picture."""
        self._decide = of_agent(agent)
        self.tell_checkpoints(agent.trouble)

    def close(self) -> None:
        """End after the present decision; does not wait for it."""
        with self._work.mutex:
            self._work.queue.clear()
        self._work.put(None)

    def newest(self) -> Any:
        """The newest picture that could be read; None before the first. Any thread."""
        return self._newest

    def hand_over(self, picture: Picture, decided: Decided) -> str:
        """Publish a decision in the transport's thread and wait until it is out; returns the receipt. From another thread only.

        Raises:
            TimeoutError: it did not leave, and will not.
        """
        proposed, out = self._proposed(picture, decided), Future[None]()

        def publish() -> None:
            if out.set_running_or_notify_cancel():
                try:
                    self._publish(proposed)
                except Exception as error:  # noqa: BLE001 - told in the thread that waits
                    out.set_exception(error)
                else:
                    out.set_result(None)

        self._transport.call(publish)
        if not wait([out], HAND_OVER_LIMIT_S).done and out.cancel():
            raise TimeoutError(f"the transport took no proposal within {HAND_OVER_LIMIT_S:g} s")
        out.result()
        return f"proposal {proposed.id}"

    def _on_picture(self, message: Any) -> None:
        try:
            picture = self._load_picture(message)
        except ValueError as error:
            self.shell.health("picture", "error", f"refused: {error}", for_s=10.0)
            return
        self._newest = picture
        if self.shell.busy_since_s is None and self._due(picture):
            self._decided_s, self._salience = picture.t_s, picture.salience
            self.shell.busy_since_s, self.shell.state = self._transport.steady_s(), "deciding"
            self._work.put_nowait(picture)

    def _due(self, picture: Picture) -> bool:
        if self._decided_s is None or picture.t_s < self._decided_s:  # the plant began anew
            return True
        since_s = picture.t_s - self._decided_s
        changed = picture.salience != self._salience and since_s >= self._at_most_every_s
        return changed or since_s >= self._every_s

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
        if not decided.told:
            self._publish(self._proposed(picture, decided))
        if decided.repeated:  # as good as no decision: the next one need not wait for the situation to change
            self._salience = None
        if decided.checkpoints is not None:
            self.tell_checkpoints(decided.checkpoints)
        self.shell.health("decision", "warn" if decided.note else "ok", decided.note or "proposed", latency_s=round(decided.latency_s, 3))

    def tell_checkpoints(self, trouble: str) -> None:
        """Show whether turns would survive a kill; "" when they would."""
        self.shell.health("checkpoints", "error" if trouble else "ok", trouble or "on disk")

    def _proposed(self, picture: Picture, decided: Decided) -> events.Proposed:
        return events.Proposed(
            picture_id=picture.id,
            picture_t_s=picture.t_s,
            options=tuple(option.model_dump(mode="json") for option in decided.options),
            proposal=events.sayable(decided.proposal),
            passages=tuple(decided.passages),
            documents=tuple(decided.documents),
            model=decided.model,
            latency_s=decided.latency_s,
            language=self._parameters.language,
            note=decided.note,
            failed=decided.failed,
        )

    def _publish(self, proposed: events.Proposed) -> None:
        self._out.publish(events.event("proposal", proposed.id, proposed, self._transport.now_s()))


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


def build(transport: Transport, parameters: AgentParameters) -> Callable[[], None]:
    domain = load_domain(parameters.domain)
    node = AgentNode(transport, parameters, domain, planner(domain))
    end = ExitStack()
    if parameters.engine != "none":
        from sdx_agents.connect import connected_agent

        agent = end.enter_context(
            connected_agent(
                domain,
                parameters.engine,
                parameters.audit,
                parameters.deadline_s,
                node.newest,
                handed_by(node.hand_over),
                parameters.documents,
            )
        )
        node.use(agent)

    def close() -> None:
        node.close()
        end.close()

    return close


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "agent", AgentParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
