"""What the graph itself costs: a decision's time less the time inside the domain and the model.

python -m sdx_agents.overhead --scenario imazu-05
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np

from sdx_agents.audit import AuditLog
from sdx_agents.graph import Agent
from sdx_domains.contract import Domain, load_domain
from sdx_serving.client import ChatClient, Scripted


@dataclass(frozen=True, slots=True)
class Overhead:
    """Milliseconds per decision outside domain and model."""

    decisions: int
    p50_ms: float
    p95_ms: float
    with_audit_p50_ms: float
    """The same with one audit record per decision, synced to the disk."""
    with_audit_p95_ms: float


class _Timed:
    """Passes every call on and adds up how long the calls took."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.spent_s = 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._watched(value) if callable(value) else value

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.spent_s += time.perf_counter() - began

        return watched


def graph_overhead(domain: Domain, picture: Any, n: int = 200) -> Overhead:
    """Measure n decisions on one picture, without and with an audit log in the temporary folder."""
    bare = _spread(domain, picture, n, None)
    with TemporaryDirectory() as folder, AuditLog(Path(folder) / "audit.jsonl") as log:
        audited = _spread(domain, picture, n, log)
    return Overhead(n, *bare, *audited)


def _spread(domain: Domain, picture: Any, n: int, audit: AuditLog | None) -> tuple[float, float]:
    watched, chat = _Timed(domain), _Timed(Scripted("{}"))
    agent = Agent(cast(Domain, watched), cast(ChatClient, chat), audit)
    agent.decide(picture)
    took_ms = []
    for _ in range(n):
        watched.spent_s = chat.spent_s = 0.0
        began = time.perf_counter()
        agent.decide(picture)
        took_ms.append((time.perf_counter() - began - watched.spent_s - chat.spent_s) * 1000)
    p50, p95 = np.quantile(took_ms, [0.5, 0.95])
    return round(float(p50), 2), round(float(p95), 2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sdx_agents.overhead", description="Time of a decision outside domain and model, in ms."
    )
    parser.add_argument("--domain", default="ship")
    parser.add_argument("--scenario", default="imazu-05")
    parser.add_argument("--decisions", type=int, default=200)
    args = parser.parse_args(argv)
    domain = load_domain(args.domain)
    plant = domain.plant(args.scenario, 0)
    picture = domain.perceiver().take(plant.readings(), plant.t_s)
    print(json.dumps(asdict(graph_overhead(domain, picture, args.decisions))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
