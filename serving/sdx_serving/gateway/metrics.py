"""What the gateway counts, for Prometheus. Labels are names of the file only: no client can make new ones."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sdx_serving.gateway.residents import Resident
from sdx_serving.gateway.upstream import Upstream

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CIRCUIT = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """Of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "sdx_gateway_requests", "Requests by how they ended", ["route", "answered_by", "status", "degraded"], registry=self._registry
        )
        self.seconds = Histogram(
            "sdx_gateway_request_seconds", "From request to the end of its answer", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self.first = Histogram(
            "sdx_gateway_first_token_seconds", "From request to its first token", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self.tokens = Counter("sdx_gateway_tokens", "Tokens of questions and answers", ["route", "kind"], registry=self._registry)
        self._upstream = {
            name: Gauge(f"sdx_gateway_upstream_{name}", text, ["upstream"], registry=self._registry)
            for name, text in {
                "circuit": "0 closed, 1 half-open, 2 open",
                "sent": "Requests that it computes now",
                "waiting": "Requests that wait for it",
                "loaded": "1 while a local model is loaded",
            }.items()
        }
        self._journal = {
            name: Gauge(f"sdx_gateway_journal_{name}", text, registry=self._registry)
            for name, text in {"waiting": "Records not yet delivered", "dropped": "Records dropped for want of room"}.items()
        }

    def text(self, upstreams: list[Upstream], residents: list[Resident], waiting: int, dropped: int) -> bytes:
        """The page that Prometheus reads."""
        for upstream in upstreams:
            self._upstream["circuit"].labels(upstream.name).set(_CIRCUIT[upstream.breaker.state])
            self._upstream["sent"].labels(upstream.name).set(upstream.slots.sent)
            self._upstream["waiting"].labels(upstream.name).set(upstream.slots.waiting)
        for resident in residents:
            self._upstream["loaded"].labels(resident.name).set(resident.state == "ready")
        self._journal["waiting"].set(waiting)
        self._journal["dropped"].set(dropped)
        return generate_latest(self._registry)
