"""One request from the client's question to an upstream's answer: tries them in turn, keeps the deadline. Start at Relay.ask().

Another upstream is tried only before the first token has left, unless the client allows a restart. What is lost with a local engine
is asked again when the engine is back, for nobody else may be there.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from sdx_serving.gateway.choose import Choice, Passed, Route, Target, choose, why_not
from sdx_serving.gateway.errors import Failed, Refused
from sdx_serving.gateway.events import Stream, Told, split, whole
from sdx_serving.gateway.mark import Mark
from sdx_serving.gateway.requests import Asked
from sdx_serving.gateway.upstream import Upstream

_ROUNDS = 5
"""How often a local engine that dies under a request is asked again."""
_PATIENCE_S = 5.0
"""Given so long and not in time, an unmeasured upstream is taken for failing."""


@dataclass(slots=True)
class Reply:
    """An answer whose beginning is here."""

    status: int
    body: bytes
    """Whole answer; of a stream the events up to its first token."""
    mark: Mark | None
    """None when an upstream refused the request: then the body is its error."""
    told: Told
    stream: Stream | None = None
    open: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closed when the answer has left: frees the place at the upstream."""


@dataclass(slots=True)
class Trip:
    """What one request has behind it."""

    route: Route
    asked: Asked
    ends_s: float
    """Monotonic time of the client's deadline."""
    tried: set[int] = field(default_factory=set[int])
    lost: set[int] = field(default_factory=set[int])
    """Those of them whose local engine died; it comes back."""
    why: list[str] = field(default_factory=list[str])
    busy_s: list[float] = field(default_factory=list[float])
    rounds: int = 0
    sent_s: float = 0.0
    """Monotonic time at which the present upstream was asked; 0 while it has not been."""

    def left_s(self) -> float:
        return self.ends_s - time.monotonic()

    def note(self, reason: str) -> None:
        if reason not in self.why:
            self.why.append(reason)


class Relay:
    """Asks upstreams. `passed` says whether weights have passed a task."""

    def __init__(self, passed: Passed) -> None:
        self._passed = passed

    async def ask(self, trip: Trip) -> Reply:
        """The first good answer. Refused when there is none (503), none in time (504), or no room anywhere (429)."""
        self._refuse_unfit(trip)
        while True:
            choice, reasons = choose(trip.route, trip.asked, trip.left_s(), time.monotonic(), trip.tried, self._passed)
            for reason in reasons:
                trip.note(reason)
            if trip.left_s() <= 0.0:
                raise self._nothing(trip)
            if choice is None:
                if not trip.lost or trip.rounds >= _ROUNDS:
                    raise self._nothing(trip)
                trip.tried -= trip.lost
                trip.lost.clear()
                trip.rounds += 1
                continue
            try:
                return await self._attempt(trip, choice)
            except Failed as failure:
                self._failed(trip, choice.target, failure)

    async def continued(self, reply: Reply) -> AsyncGenerator[bytes, None]:
        """The rest of a stream, the mark in its last event. Failed when it breaks off."""
        stream = reply.stream
        assert stream is not None and reply.mark is not None
        try:
            async for event in stream.rest():
                yield event
        except httpx.HTTPError as error:
            raise Failed(_in_words(error), "down") from error
        yield reply.mark.into(stream.last())

    def broke(self, trip: Trip, reply: Reply, failure: Failed) -> None:
        """A stream ended early after its first token."""
        target = next(target for target in trip.route.targets if reply.mark and target.upstream.name == reply.mark.answered_by)
        self._unwell(target.upstream)
        self._failed(trip, target, failure)

    def _refuse_unfit(self, trip: Trip) -> None:
        """Nobody on this route serves such a request: the client's to change, so 400."""
        needs = trip.asked.needs
        if needs and all(needs - (target.upstream.facts if target.upstream.facts is not None else needs) for target in trip.route.targets):
            lacking = ", ".join(sorted(needs))
            raise Refused(
                400,
                f"model {trip.route.name!r} does not serve {lacking} here (GET /info tells; an upstream that does says so by `can` in the file)",
                "unsupported",
            )
        reasons = [why_not(trip.route, target, trip.asked, self._passed) for target in trip.route.targets]
        if all(reasons):
            raise Refused(503, f"nobody may answer: {'; '.join(reasons)}", "no_upstream", retry_after_s=5.0)

    def _failed(self, trip: Trip, target: Target, failure: Failed) -> None:
        trip.note(f"{target.upstream.name}: {failure}")
        trip.tried.add(target.place)
        if failure.kind == "busy":
            trip.busy_s.append(failure.retry_after_s or 1.0)
        resident = target.upstream.resident
        if resident and resident.state == "ready" and failure.kind == "down":
            resident.suspect = True
            trip.lost.add(target.place)

    def _nothing(self, trip: Trip) -> Refused:
        why = "; ".join(trip.why) or "nobody is well"
        if trip.left_s() <= 0.0:
            return Refused(504, f"no answer within the deadline: {why}", "deadline_exceeded")
        if trip.busy_s:
            return Refused(429, f"no room: {why}", "overloaded", retry_after_s=min(trip.busy_s))
        probe_s = min(target.upstream.probe_s for target in trip.route.targets)
        return Refused(503, f"nobody answered: {why}", "no_upstream", retry_after_s=probe_s)

    async def _attempt(self, trip: Trip, choice: Choice) -> Reply:
        """One upstream, within its budget. The breaker and its latency learn how it went."""
        upstream, began, budget = choice.target.upstream, time.monotonic(), None
        trip.sent_s = 0.0
        leaning = choice.following.upstream.slots if choice.following else None
        upstream.breaker.begin()
        if leaning:
            leaning.leaning += 1
        try:
            async with asyncio.timeout(max(choice.budget_s, 0.0)) as budget:
                if choice.following:
                    upstream.hoping.add(budget)
                reply = await self._answer(trip, choice.target)
            upstream.breaker.succeeded()
            return reply
        except TimeoutError as error:
            self._late(trip, upstream)
            raise Failed(f"no answer within {time.monotonic() - began:.2f} s", "late") from error
        except Failed as failure:
            if failure.kind == "error":
                upstream.breaker.failed()
            upstream.breaker.left()
            raise
        except httpx.HTTPError as error:
            self._unwell(upstream)
            raise Failed(_in_words(error), "down") from error
        except BaseException:  # the client went
            upstream.breaker.left()
            raise
        finally:
            if budget:
                upstream.hoping.discard(budget)
            if leaning:
                leaning.leaning -= 1

    def _unwell(self, upstream: Upstream) -> None:
        """Its connection broke. A local engine is started again and asked for its health before the next request: no circuit opens."""
        if not upstream.resident:
            upstream.breaker.failed()
        upstream.breaker.left()

    def _late(self, trip: Trip, upstream: Upstream) -> None:
        """An answer that was not waited for took at least so long, and likely more: twice that is believed. Too little time says nothing."""
        given_s = time.monotonic() - trip.sent_s if trip.sent_s else 0.0
        expected_s = upstream.latency.expect(time.monotonic(), trip.asked.tokens)
        if trip.sent_s and given_s >= (expected_s or 0.0):
            upstream.latency.add(time.monotonic(), 1 if trip.asked.stream else trip.asked.tokens or 1, 2.0 * given_s)
        if not trip.sent_s or given_s < (expected_s or _PATIENCE_S):
            return upstream.breaker.left()
        upstream.breaker.failed()
        if upstream.breaker.state == "open":
            upstream.give_up()

    async def _answer(self, trip: Trip, target: Target) -> Reply:
        upstream, told = target.upstream, Told()
        async with AsyncExitStack() as open_:
            await open_.enter_async_context(upstream.slots.place(trip.ends_s, upstream.latency.expect(time.monotonic()) or 1.0))
            address = await open_.enter_async_context(upstream.address())
            behind = upstream.slots.sent > upstream.slots.capacity
            sent_s = trip.sent_s = time.monotonic()
            response = await self._send(trip, target, address, open_)
            if response.status_code != 200:
                reply = await self._not_good(upstream, response, told)
            elif trip.asked.stream:
                reply = await self._first(trip, target, response, told, open_)
                upstream.measured(sent_s, behind, 1, False)
                open_.callback(lambda: upstream.measured(sent_s, behind, told.completion_tokens, True) if told.finished else None)
            else:
                body = await response.aread()
                whole(body, told)
                upstream.measured(sent_s, behind, told.completion_tokens, True)
                upstream.heard(told.fingerprint)
                mark = self._mark(trip, target)
                reply = Reply(200, mark.into(body), mark, told)
            reply.open = open_.pop_all()
            return reply

    async def _send(self, trip: Trip, target: Target, address: str, open_: AsyncExitStack) -> httpx.Response:
        upstream = target.upstream
        body: dict[str, Any] = trip.asked.body | {"model": target.model} if target.model else trip.asked.body
        if upstream.resident:
            engine = upstream.resident.engine
            body = engine.request(body if target.model else body | {"model": engine.serving.alias})
        if trip.asked.stream:  # events are no tokens: several may come in one
            body = body | {"stream_options": (body.get("stream_options") or {}) | {"include_usage": True}}
        headers = upstream.headers | {"x-sdx-deadline-s": f"{max(trip.left_s(), 0.001):.3f}"}
        request = upstream.http.build_request("POST", f"{address}/{trip.asked.surface}", content=orjson.dumps(body), headers=headers)
        response = await upstream.http.send(request, stream=True)
        open_.push_async_callback(response.aclose)
        return response

    async def _first(self, trip: Trip, target: Target, response: httpx.Response, told: Told, open_: AsyncExitStack) -> Reply:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Failed("it does not stream", "unfit")
        stream = Stream(split(response.aiter_raw()), told, trip.asked.wants_usage)
        open_.push_async_callback(stream.close)
        early = await stream.until_first()
        target.upstream.heard(told.fingerprint)
        body = b"".join(event + b"\n\n" for event in early)
        return Reply(200, body, self._mark(trip, target), told, stream)

    async def _not_good(self, upstream: Upstream, response: httpx.Response, told: Told) -> Reply:
        """What is wrong with the request goes on to the client; what is wrong with the upstream is Failed."""
        status, body = response.status_code, upstream.without_key(await response.aread())[:100_000]
        said = body[:300].decode(errors="replace")
        if status in (408, 429):
            raise Failed(f"it has no room (HTTP {status})", "busy", _retry_after(response))
        if status in (401, 403, 404):
            raise Failed(f"it refuses our key or the model's name (HTTP {status}): {said}", "unfit")
        if status >= 500 or status < 400:
            raise Failed(f"it answered HTTP {status}: {said}", "error")
        told.finished = True
        if not _is_error(body):
            body = Refused(status, said, "refused_by_model").body()
        return Reply(status, body, None, told)

    def _mark(self, trip: Trip, target: Target) -> Mark:
        return Mark(
            target.upstream.name, target.place > 0, "; ".join(trip.why) if target.place else "", target.upstream.sha256, trip.route.name
        )


def _is_error(body: bytes) -> bool:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and isinstance(told.get("error"), dict) and isinstance(told["error"].get("message"), str)


def _retry_after(response: httpx.Response) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else 1.0


def _in_words(error: httpx.HTTPError) -> str:
    return (
        f"nobody answers ({error})"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        else f"the connection broke ({error or type(error).__name__})"
    )
