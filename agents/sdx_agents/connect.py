"""An agent from addresses and paths, for processes that know nothing of serving (the ROS nodes)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdx_agents.audit import AuditLog
from sdx_agents.graph import Agent
from sdx_domains.contract import Domain
from sdx_serving.llama_cpp import open_chat


@contextmanager
def connected_agent(domain: Domain, model: str, audit: Path | None, deadline_s: float) -> Iterator[Agent]:
    """An agent that asks the named model; the audit log and the connection end with it.

    Args:
        model: as open_chat() takes it. An address need not answer yet: a decision without an answer ends in the
            domain's fallback.

    Raises:
        AuditError: another process writes that audit log. EngineError: a model that had to be started cannot be.
    """
    log = AuditLog(audit) if audit is not None else None
    try:
        with open_chat(model) as chat:
            yield Agent(domain, chat, log, deadline_s=deadline_s)
    finally:
        if log is not None:
            log.close()
