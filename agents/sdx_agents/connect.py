"""An agent from addresses and paths, for processes that know nothing of serving (the ROS nodes)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sdx_agents.audit import AuditLog
from sdx_agents.documents import library_documents
from sdx_agents.durable import DurableAgent, HandOver
from sdx_domains.contract import Domain
from sdx_serving.connect import open_chat


@contextmanager
def connected_agent(
    domain: Domain, model: str, folder: Path, deadline_s: float, fresh: Callable[[], Any], hand_over: HandOver, documents: bool = True
) -> Iterator[DurableAgent]:
    """An agent that asks the named model; its files and the connection end with it.

    Args:
        model: as open_chat() takes it. An address need not answer yet: a decision without an answer ends in the
            domain's fallback.
        folder: of the audit log (agent.jsonl) and of what DurableAgent keeps.
        fresh, hand_over: as DurableAgent takes them.
        documents: whether the user's library of this domain is asked at every decision; where there is none, nothing is.

    Raises:
        AuditError: another process writes that audit log. EngineError: a model that had to be started cannot be.
    """
    with (
        AuditLog(folder / "agent.jsonl") as log,
        open_chat(model) as chat,
        library_documents(domain.name) if documents else nullcontext() as asked,
        DurableAgent(domain, chat, log, folder, fresh, hand_over, deadline_s, asked) as agent,
    ):
        yield agent
