"""Something that answers, as the gateway knows it: where, what it can do, how long it takes, whether it is well."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from sdx_serving.engine import EngineFacts
from sdx_serving.engines.remote import RemoteEngine
from sdx_serving.gateway import config
from sdx_serving.gateway.breaker import Breaker
from sdx_serving.gateway.config import NEEDS, ConfigError, Need
from sdx_serving.gateway.events import Told, whole
from sdx_serving.gateway.latency import Latency
from sdx_serving.gateway.residents import Resident, Residents
from sdx_serving.gateway.slots import Slots
from sdx_serving.weights import sha256_of

log = logging.getLogger("sdx.gateway")
_TOGETHER = 16
"""Sent together to an address that says nothing about itself."""
_PROBE_S = 2.0
"""A probe that takes longer has failed."""


class Upstream:
    """One of the file's upstreams. ConfigError when it cannot be what the file says."""

    def __init__(self, name: str, told: config.Upstream, breaker: config.Breaker, resident: Resident | None, residents: Residents) -> None:
        self.name, self.told, self.resident = name, told, resident
        self._residents = residents
        self._key = _key(name, told)
        self.facts: frozenset[Need] | None = _told_facts(told, resident)
        self.sha256 = told.sha256
        self.latency, self.breaker = Latency(), Breaker(breaker.failures)
        self.probe_s = breaker.probe_s
        self.hoping: set[asyncio.Timeout] = set()
        """Requests that wait for it and have somebody else to ask."""
        self.tried_slow_s = 0.0
        """When it was last asked although it was too slow."""
        capacity = (
            resident.local.parallel if resident and resident.engine.facts.parallel else 1 if resident else told.concurrency or _TOGETHER
        )
        # One more than it computes together lies ready there, so that it never waits for us.
        self.slots = Slots(told.concurrency or capacity + (resident is not None), told.queue, capacity)
        self._freed_s = 0.0
        local = resident is not None or httpx.URL(told.url).host in config.LOOPBACK
        self.http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=told.connect_s),
            # Shorter than uvicorn's 5 s: a connection that the engine is about to close is never used again.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=4.0),
            verify=told.url.startswith("https://"),  # without TLS there is nothing to verify, and certificates are slow to load
            trust_env=not local,  # a proxy variable must not divert a request to this machine's own engine
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        common = {"content-type": "application/json", "accept-encoding": "identity"}
        return common | ({"authorization": f"Bearer {self._key}"} if self._key else {})

    def without_key(self, body: bytes) -> bytes:
        """An error that it sent, should it repeat our key."""
        return body.replace(self._key.encode(), b"***") if self._key else body

    @property
    def restarting(self) -> bool:
        """A request was lost with its engine, and nobody has found it well since."""
        return self.resident is not None and self.resident.suspect

    @asynccontextmanager
    async def address(self) -> AsyncIterator[str]:
        """Where to ask; a local model is loaded, and stays while this is held."""
        if self.resident is None:
            yield self.told.url.rstrip("/")
            return
        async with self._residents.using(self.resident) as url:
            yield url

    def expect(self, now_s: float, tokens: float | None, waves: int) -> float | None:
        """Seconds until an answer that has `waves` - 1 before it, in 95 of 100 cases; None if not known."""
        alone = self.latency.expect(now_s, tokens)
        loading = self.resident.load_s if self.resident and self.resident.state != "ready" else 0.0
        return None if alone is None else alone * waves + loading

    def may_try_slow(self, now_s: float) -> bool:
        """Has it not been measured for a probe interval, nor tried? Then one request may find out whether it is fast again."""
        if now_s - max(self.latency.last_at_s, self.tried_slow_s) < self.probe_s:
            return False
        self.tried_slow_s = now_s
        return True

    def give_up(self) -> None:
        """It answers nobody: who waits for it and can ask another does so now, not at the end of the time it was given."""
        for budget in self.hoping:
            budget.reschedule(asyncio.get_running_loop().time())
        self.hoping.clear()

    def measured(self, sent_s: float, behind: bool, tokens: float, done: bool) -> None:
        """`tokens` of an answer are here now; the time that it lay behind others in the engine is not counted."""
        now = time.monotonic()
        self.latency.add(now, tokens, now - (max(sent_s, self._freed_s) if behind else sent_s))
        if done:
            self._freed_s = now

    async def probe(self) -> bool:
        """Is it there? Learns what it serves on the way."""
        try:
            if resident := self.resident:
                resident.suspect = resident.state == "ready" and not await asyncio.to_thread(resident.engine.healthy)
                return not resident.suspect
            url = f"{self.told.url.rstrip('/')}/models"
            reply = await self.http.get(url, headers=self.headers, timeout=_PROBE_S)
        except httpx.HTTPError:
            return False
        if reply.status_code == 200:
            self._learn(reply.content)
            if self.facts is None:
                await self._ask_facts()
        return reply.status_code < 500 and reply.status_code not in (401, 403)

    def heard(self, fingerprint: object) -> None:
        """An answer's system_fingerprint, which may name the weights."""
        told = str(fingerprint or "")
        if told.startswith("sha256:") and told[7:] != self.sha256:
            if self.sha256:
                log.warning("%s: its weights are %s now, they were %s", self.name, told[7:], self.sha256)
            self.sha256 = told[7:]

    async def hash_weights(self) -> None:
        """The hash of a local model's file, where nobody has told it: a task can then be allowed before it was ever loaded."""
        path = self.resident.engine.serving.path if self.resident else None
        if not self.sha256 and path and path.is_file():
            self.sha256 = await asyncio.to_thread(sha256_of, path)

    async def warm(self) -> None:
        """Load a local model and measure it once, so that a deadline can be kept for it before it was ever needed. Failed if it cannot."""
        if not self.resident:
            return
        serving = self.resident.engine.serving
        async with self.address() as url:
            if serving.embeddings:
                return
            asked = {"model": serving.alias, "messages": [{"role": "user", "content": "Ready?"}], "max_tokens": 32, "temperature": 0}
            told, sent_s = Told(), time.monotonic()
            reply = await self.http.post(f"{url}/chat/completions", content=orjson.dumps(asked), headers=self.headers)
            whole(reply.content, told)
            self.measured(sent_s, False, told.completion_tokens, True)
            self.heard(told.fingerprint)

    async def close(self) -> None:
        await self.http.aclose()

    def _learn(self, body: bytes) -> None:
        try:
            cards = [card for card in orjson.loads(body)["data"] if isinstance(card, dict)]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return
        mine = [card for card in cards if card.get("id") == self.told.model] or (cards if len(cards) == 1 else [])
        meta = mine[0].get("meta") if mine else None
        if isinstance(meta, dict) and meta.get("sha256"):
            self.heard(f"sha256:{meta['sha256']}")

    async def _ask_facts(self) -> None:
        engine = RemoteEngine(self.told.url, self.told.model, self._key)
        if await asyncio.to_thread(engine.healthy):
            self.facts = _facts(engine.facts)
            log.info("%s: found to serve %s", self.name, ", ".join(sorted(self.facts)) or "plain text only")


def _key(name: str, told: config.Upstream) -> str:
    if told.key_env and not os.environ.get(told.key_env):
        raise ConfigError(f"upstreams.{name}.key_env: the variable {told.key_env} is not set: set it to the API key of {told.url}")
    return os.environ.get(told.key_env, "") if told.key_env else ""


def _told_facts(told: config.Upstream, resident: Resident | None) -> frozenset[Need] | None:
    if told.can is not None:
        return frozenset(told.can)
    if resident is None:
        return None
    serving, facts = resident.engine.serving, resident.engine.facts
    if facts.stream and serving.embeddings:  # started so it answers in vectors, else in words
        return frozenset({"embeddings"})
    blind = facts.formats == ("gguf",) and serving.projector is None
    return frozenset(need for need in _facts(facts) if not (blind and need == "images") and not (facts.stream and need == "embeddings"))


def _facts(facts: EngineFacts) -> frozenset[Need]:
    return frozenset(need for need in NEEDS if getattr(facts, need))


def shown(upstream: Upstream, now_s: float) -> Mapping[str, Any]:
    """For /info and `sdx gateway status`."""
    return {
        "kind": "local" if upstream.resident else "address",
        "model": upstream.resident.engine.serving.alias if upstream.resident else upstream.told.model,
        "can": sorted(upstream.facts) if upstream.facts is not None else None,
        "sha256": upstream.sha256,
        "circuit": upstream.breaker.state,
        "opened": upstream.breaker.opened,
        "sent": upstream.slots.sent,
        "waiting": upstream.slots.waiting,
        "expect_s": upstream.expect(now_s, None, 1),
    }
