"""The gateway's parts together: upstreams, routes, keys, journal, and what runs beside the requests. Start at Gateway."""

import asyncio
import logging
import math
import os
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import httpx

from sdx_serving.gateway.choose import Route, Tasks, by_name
from sdx_serving.gateway.config import LOOPBACK, NEEDS, ConfigError, GatewayConfig
from sdx_serving.gateway.errors import Failed, Refused
from sdx_serving.gateway.images import ImageGate
from sdx_serving.gateway.journal import Journal, deliver
from sdx_serving.gateway.keys import Key, KeyStore
from sdx_serving.gateway.metrics import Metrics
from sdx_serving.gateway.relay import Relay
from sdx_serving.gateway.residents import Resident, Residents
from sdx_serving.gateway.upstream import Upstream, shown
from sdx_serving.registry import Registry

log = logging.getLogger("sdx.gateway")
_TICK_S = 0.5


class Gateway:
    """One running gateway. ConfigError when the file asks for what cannot be."""

    def __init__(self, config: GatewayConfig, registry: Registry | None = None) -> None:
        self.config = config
        locals_ = {name: told.local for name, told in config.upstreams.items() if told.local}
        held = {name: Resident(name, local, config.state / "logs" / f"{name}.log") for name, local in locals_.items()}
        self.residents = Residents(list(held.values()), config.memory_mb)
        self.upstreams = {
            name: Upstream(name, told, config.breaker, held.get(name), self.residents) for name, told in config.upstreams.items()
        }
        self.routes: dict[str, Route] = by_name(config.all_routes(), self.upstreams)
        self.images = ImageGate(config.limits)
        self.keys = KeyStore(config.state / "keys.sqlite")
        self.open_to_all = config.listen.host in LOOPBACK and not self.keys.any
        self.relay = Relay(Tasks(registry or Registry()).passed)
        self.metrics = Metrics()
        self.collector_key = _collector_key(config)
        self.journal = Journal(config.state / "journal.sqlite", int(config.collector.max_mb * 1e6)) if config.collector else None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._began_s = time.time()

    async def start(self) -> None:
        """Begin what runs beside the requests."""
        for upstream in self.upstreams.values():
            self._beside(self._look_after(upstream))
            self._beside(upstream.hash_weights())
            if upstream.told.local and upstream.told.local.preload:
                self._beside(self._preload(upstream))
        self._beside(self._idle())
        if self.journal and self.config.collector:
            self._beside(self._deliver(self.journal, self.config.collector.url))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.residents.close()
        for upstream in self.upstreams.values():
            await upstream.close()
        self.keys.close()
        if self.journal:
            self.journal.close()

    def admit(self, headers: Mapping[str, str]) -> Key | None:
        """Whose request this is; None where no key is asked for. Refused: 401, 403 or 429."""
        if self.open_to_all and not self.keys.any:
            name = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
            if name.strip("[]") not in LOOPBACK:  # a page from elsewhere that made its name lead here
                raise Refused(403, f"without a key this gateway answers to {', '.join(LOOPBACK)} only", "wrong_host")
            return None
        return self.keys.enter(headers.get("authorization", "").removeprefix("Bearer ").strip())

    def route(self, model: str, key: Key | None) -> Route:
        """Refused: 404 names the known ones, 403 if the key may not ask it."""
        route = self.routes.get(model)
        known = [name for name in self.routes if key is None or key.may(name)]
        if route is None:
            raise Refused(
                404, f"no model {model[:100]!r} here; known: {', '.join(known) or 'none for this key'}", "model_not_found", "model"
            )
        if key and not key.may(model):
            raise Refused(403, f"key {key.name} may not ask {model!r}; it may: {', '.join(known) or 'none'}", "model_not_allowed", "model")
        return route

    def deadline_s(self, route: Route, headers: Mapping[str, str]) -> float:
        """From the client, else the route's own. Refused (400) when it is no time."""
        told = headers.get("x-sdx-deadline-s")
        if told is None:
            return route.told.deadline_s
        try:
            seconds = float(told)
        except ValueError:
            seconds = math.nan
        if not 0.0 < seconds <= 86_400.0:
            raise Refused(400, f"X-SDX-Deadline-S: {told[:40]!r} is no number of seconds above 0", "invalid_value", "X-SDX-Deadline-S")
        return seconds

    def models(self, key: Key | None) -> list[dict[str, Any]]:
        """Cards of what a key may ask."""
        return [self.card(route) for name, route in self.routes.items() if key is None or key.may(name)]

    def card(self, route: Route) -> dict[str, Any]:
        meta = {
            "to": [target.upstream.name for target in route.targets],
            "task": route.told.task,
            "sha256": route.targets[0].upstream.sha256,
        }
        return {"id": route.name, "object": "model", "created": int(self._began_s), "owned_by": "sdx", "meta": meta}

    def info(self) -> dict[str, Any]:
        """What this gateway is and how it stands; no secrets."""
        now_s = time.monotonic()
        return {
            "service": "sdx-gateway",
            "version": version("sdx"),
            "pid": os.getpid(),
            "since": self._began_s,
            "models": {name: {"to": self.card(route)["meta"]["to"], "facts": _facts(route)} for name, route in self.routes.items()},
            "upstreams": {name: dict(shown(upstream, now_s)) for name, upstream in self.upstreams.items()},
            "limits": self.config.limits.model_dump(),
            "journal": self._journal_info(),
        }

    def running(self) -> list[dict[str, Any]]:
        """The local models that are loaded, or about to be."""
        return [_running(resident) for resident in self.residents.residents if resident.state != "unloaded"]

    def metrics_text(self) -> bytes:
        journal = self.journal
        waiting, dropped = (journal.waiting, journal.dropped) if journal else (0, 0)
        return self.metrics.text(list(self.upstreams.values()), self.residents.residents, waiting, dropped)

    def _journal_info(self) -> dict[str, Any] | None:
        journal = self.journal
        return {"waiting": journal.waiting, "dropped": journal.dropped, "last_error": journal.last_error} if journal else None

    def _beside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a part of the gateway ended: %r", error)

    async def _look_after(self, upstream: Upstream) -> None:
        """Probe what is left alone or unknown, in steps of the probe interval."""
        loop, first = asyncio.get_running_loop(), True
        next_s = loop.time()
        while True:
            if first or upstream.breaker.state == "open" or upstream.restarting or upstream.facts is None:
                was, first = upstream.breaker.state, False
                upstream.breaker.probed(await upstream.probe())
                if was != upstream.breaker.state:
                    log.info("%s: circuit %s, was %s", upstream.name, upstream.breaker.state, was)
            next_s = max(next_s + upstream.probe_s, loop.time())
            await asyncio.sleep(next_s - loop.time())

    async def _preload(self, upstream: Upstream) -> None:
        try:
            await upstream.warm()
        except (Failed, httpx.HTTPError) as error:
            log.error("%s was not loaded: %s", upstream.name, error)

    async def _idle(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await asyncio.gather(*self.residents.unload_idle())

    async def _deliver(self, journal: Journal, url: str) -> None:
        async with httpx.AsyncClient() as http:
            await deliver(journal, url, self.collector_key, http)


def _collector_key(config: GatewayConfig) -> str:
    name = config.collector.key_env if config.collector else ""
    if name and not os.environ.get(name):
        raise ConfigError(f"collector.key_env: the variable {name} is not set: set it to the collector's API key")
    return os.environ.get(name, "") if name else ""


def _facts(route: Route) -> dict[str, bool]:
    can = frozenset().union(*(target.upstream.facts or frozenset() for target in route.targets))
    return {need: need in can for need in NEEDS} | {"stream": True, "parallel": True}


def _running(resident: Resident) -> dict[str, Any]:
    now_s, ready = time.time(), resident.state == "ready"
    return {
        "upstream": resident.name,
        "model": resident.engine.serving.alias,
        "engine": resident.engine.name,
        "state": "restarting" if resident.suspect else resident.state,
        "since": resident.since_s if ready else None,
        "idle_s": now_s - resident.used_s if ready and not resident.users else 0.0,
        "requests": resident.requests,
        "pid": resident.engine.pid,
        "restarts": resident.engine.restarts,
        "memory_mb": resident.memory_mb,
    }
