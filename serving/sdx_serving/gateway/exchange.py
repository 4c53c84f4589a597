"""One HTTP exchange with a client: body in, answer out, written into the books. Start at Exchange.run().

Plain ASGI and not a framework's request and response: an answer passes through without being copied, and when the client goes,
the question goes with it, wherever it stands.
"""

import asyncio
import logging
import sqlite3
import time
import uuid
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from sdx_serving.gateway.errors import Failed, Refused
from sdx_serving.gateway.events import DONE, Told
from sdx_serving.gateway.gateway import Gateway
from sdx_serving.gateway.keys import Key
from sdx_serving.gateway.mark import Mark
from sdx_serving.gateway.relay import Reply, Trip
from sdx_serving.gateway.requests import Asked, Surface, read

log = logging.getLogger("sdx.gateway")
_UPLOAD_S = 60.0
_GONE = 499
"""nginx's word for a client that has gone."""
_KEPT_BYTES = 2**20
"""Of an answer, for a record with bodies."""


class _Left(Exception):
    """The client has gone."""


class Surfaced:
    """One of the three addresses that models answer at, as an ASGI application."""

    def __init__(self, gateway: Gateway, surface: Surface) -> None:
        self._gateway = gateway
        self._surface: Surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(self._gateway, self._surface, Headers(scope=scope), receive, send).run()


class Exchange:
    """One request and its answer."""

    def __init__(self, gateway: Gateway, surface: Surface, headers: Headers, receive: Receive, send: Send) -> None:
        self._gateway, self._headers = gateway, headers
        self._surface: Surface = surface
        self._receive, self._send = receive, send
        self._began_s, self._at = time.monotonic(), time.time()
        self._id = _request_id(headers.get("x-request-id", ""))
        self._key: Key | None = None
        self._asked: Asked | None = None
        self._route = ""
        self._reserved, self._guessed = 0, 0
        self._status, self._why = 500, ""
        self._mark: Mark | None = None
        self._told = Told()
        self._started = self._ended = False
        self._kept = bytearray()

    async def run(self) -> None:
        """Answers, whatever comes; nothing is raised but the task's own cancellation."""
        try:
            self._key = self._gateway.admit(self._headers)
            body = await self._body()
            self._asked = asked = read(self._surface, body)
            route = self._gateway.route(asked.model, self._key)
            self._route = route.name
            ends_s = self._began_s + self._gateway.deadline_s(route, self._headers)
            if self._key:
                self._guessed = len(body) // 4  # of the question, for streams whose engine does not count
                self._reserved = self._gateway.keys.reserve(self._key, len(body), asked.tokens)
            await self._unless_gone(self._answer(Trip(route, asked, ends_s)))
        except Refused as refusal:
            await self._refuse(refusal)
        except _Left:
            self._status, self._why = _GONE, "the client went"
        except Exception as error:  # one bad request must not take the gateway down
            log.exception("request %s", self._id)
            await self._refuse(Refused(500, f"the gateway failed ({type(error).__name__}); its log says more", "internal_error"))
        finally:
            try:
                self._write_down()
            except sqlite3.Error:
                log.exception("request %s is not in the books", self._id)

    async def _body(self) -> bytes:
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # also what a foreign web page may send without asking
            raise Refused(415, f"send Content-Type: application/json, not {kind[:60] or 'none'!r}", "wrong_content_type")
        if self._headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "send the body as it is, not compressed", "wrong_content_encoding")
        most = int(self._gateway.config.limits.body_mb * 1e6)
        too_large = Refused(413, f"the body is larger than {most} bytes", "body_too_large")
        length = self._headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > most:
            raise too_large
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(_UPLOAD_S):
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise _Left
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise too_large
        except TimeoutError as error:
            raise Refused(408, f"the body did not come within {_UPLOAD_S:.0f} s", "slow_body") from error
        return bytes(body)

    async def _unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; cancel it when the client goes."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not self._ended:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise _Left
            if task.cancelled():  # by a deadline that fell together with the answer
                raise Refused(504, "no answer within the deadline", "deadline_exceeded")
            await task
        finally:
            gone.cancel()
            task.cancel()

    async def _answer(self, trip: Trip) -> None:
        if trip.asked.images:
            try:
                async with asyncio.timeout(max(trip.left_s(), 0.0)):
                    await self._gateway.images.check(trip.asked.images)
            except TimeoutError as error:
                raise Refused(504, "no time was left when the images had been looked at", "deadline_exceeded") from error
        reply = await self._gateway.relay.ask(trip)
        try:
            self._take(reply)
            if reply.stream is not None:
                return await self._stream(trip, reply)
            if reply.mark is None:
                self._why = "the model refused the request"
            await self._begin(reply.status, "application/json", self._mark.headers() if self._mark else {})
            await self._say(reply.body, last=True)
        finally:
            await reply.open.aclose()

    async def _stream(self, trip: Trip, reply: Reply) -> None:
        """Events as they come; once the first has left, an error is an event too."""
        assert self._mark is not None
        await self._begin(200, "text/event-stream; charset=utf-8", self._mark.headers() | {"cache-control": "no-store"})
        while True:
            try:
                async with asyncio.timeout(max(trip.left_s(), 0.0)), reply.open:
                    await self._say(reply.body)
                    async with aclosing(self._gateway.relay.continued(reply)) as events:
                        async for event in events:
                            await self._say(event + b"\n\n")
                return await self._say(DONE + b"\n\n", last=True)
            except TimeoutError:
                return await self._break(Refused(504, "the answer was cut off at its deadline", "deadline_exceeded"))
            except Failed as failure:
                self._gateway.relay.broke(trip, reply, failure)
                if not _yes(self._headers.get("x-sdx-allow-restart")):
                    advice = "ask again, or allow X-SDX-Allow-Restart"
                    return await self._break(Refused(502, f"the answer broke off ({failure}): {advice}", "broken_off"))
            try:
                reply = await self._gateway.relay.ask(trip)
            except Refused as refusal:
                return await self._break(refusal)
            if reply.stream is None or reply.mark is None:
                return await self._break(Refused(502, "the answer broke off, and the next model refused the request", "broken_off"))
            self._take(reply)
            reply.body = b"data: " + reply.mark.into(b'{"choices":[],"restart":true}') + b"\n\n" + reply.body

    def _take(self, reply: Reply) -> None:
        self._status, self._mark, self._told = reply.status, reply.mark, reply.told

    async def _begin(self, status: int, kind: str, more: Mapping[str, str]) -> None:
        self._started = True
        headers = {"content-type": kind, "x-request-id": self._id, **more}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _say(self, body: bytes, last: bool = False) -> None:
        if self._gateway.config.collector and self._gateway.config.collector.bodies:
            self._kept += body[: _KEPT_BYTES - len(self._kept)]
        self._ended = last
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def _break(self, refusal: Refused) -> None:
        self._status, self._why = refusal.status, refusal.message
        await self._say(b"data: " + refusal.body() + b"\n\n", last=True)

    async def _refuse(self, refusal: Refused) -> None:
        self._status, self._why = refusal.status, refusal.message
        if self._started:
            return await self._break(refusal) if not self._ended else None
        body = refusal.body()
        await self._begin(refusal.status, "application/json", refusal.headers() | {"content-length": str(len(body))})
        await self._say(body, last=True)

    def _write_down(self) -> None:
        """Metrics, the key's budget, the journal, the log."""
        took_s, mark, told = time.monotonic() - self._began_s, self._mark, self._told
        route, by = self._route or "none", mark.answered_by if mark else "none"
        metrics = self._gateway.metrics
        metrics.requests.labels(route, by, str(self._status), str(bool(mark and mark.degraded)).lower()).inc()
        if self._route:
            metrics.seconds.labels(route).observe(took_s)
            metrics.tokens.labels(route, "prompt").inc(told.prompt_tokens)
            metrics.tokens.labels(route, "completion").inc(told.completion_tokens)
        if told.first_s:
            metrics.first.labels(route).observe(told.first_s - self._began_s)
        if self._key:
            spent = (told.prompt_tokens or (self._guessed if mark else 0)) + told.completion_tokens
            self._gateway.keys.spend(self._key, self._reserved, spent)
        if self._gateway.journal and self._route:
            self._gateway.journal.add(self._record(took_s))
        log.info(
            "%s %s %s by %s: %d in %.3f s%s",
            self._id,
            self._surface,
            route,
            by,
            self._status,
            took_s,
            f" ({self._why})" if self._why else "",
        )

    def _record(self, took_s: float) -> dict[str, Any]:
        """Who asked whom and what came of it; what was said only where the file allows it."""
        mark, told, asked = self._mark, self._told, self._asked
        record: dict[str, Any] = {
            "request": self._id, "at": self._at, "key": self._key.id if self._key else "", "surface": self._surface, "route": self._route,
            "status": self._status, "seconds": took_s, "prompt_tokens": told.prompt_tokens, "completion_tokens": told.completion_tokens,
            "answered_by": mark.answered_by if mark else "", "degraded": bool(mark and mark.degraded),
            "reason": mark.reason if mark and mark.reason else self._why, "model_sha256": mark.model_sha256 if mark else "",
        }  # fmt: skip
        collector = self._gateway.config.collector
        if collector and collector.bodies and asked:
            record |= {"question": asked.body, "answer": bytes(self._kept).decode(errors="replace")}
        return record


def _request_id(told: str) -> str:
    """The client's own if it is plain, else a new one."""
    return told if 0 < len(told) <= 100 and told.isascii() and told.isprintable() and " " not in told else uuid.uuid4().hex


def _yes(told: str | None) -> bool:
    return (told or "").strip().lower() in ("1", "true", "yes")
