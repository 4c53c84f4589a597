"""Server-sent events of a streamed answer, passed on as they are, but for the mark in the last one. Start at Stream."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from sdx_serving.gateway.errors import Failed

_MOST = 16 * 2**20
"""Bytes of one event."""
_END = re.compile(rb"\r?\n\r?\n")
_SAID = re.compile(rb'"(?:content|text|arguments|reasoning_content|reasoning|refusal)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*\{')
_LAST = re.compile(rb'"finish_reason"\s*:\s*"|"choices"\s*:\s*\[\s*\]')
_NO_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = re.compile(rb'\A(?:event: ?error|error:|data:\s*\{\s*"error")')
DONE = b"data: [DONE]"


@dataclass(slots=True)
class Told:
    """What is known of an answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    fingerprint: str = ""
    first_s: float = 0.0
    """Monotonic time of its first token."""
    finished: bool = False
    """It came to its own end."""

    def take(self, usage: object, fingerprint: object) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = int(usage.get("prompt_tokens") or 0)
            self.completion_tokens = int(usage.get("completion_tokens") or 0)
        self.fingerprint = str(fingerprint or self.fingerprint)


def whole(body: bytes, told: Told) -> None:
    """Reads what is known from an answer in one piece. Failed when it is none in the protocol."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not answer:
        raise Failed("it did not answer in the OpenAI protocol", "unfit")
    told.take(answer.get("usage"), answer.get("system_fingerprint"))
    told.finished = True


async def split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole events, without the empty line between them."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        *events, rest = _END.split(rest)
        for event in events:
            if event.strip():
                yield event
        if len(rest) > _MOST:
            raise Failed("it sent an event without end", "down")
    if rest.strip():
        yield rest


class Stream:
    """One upstream's events. The last is held back until the end, for the mark.

    Args:
        usage: the client wants the event that counts tokens; else it ends here, where it is counted.
    """

    def __init__(self, events: AsyncIterator[bytes], told: Told, usage: bool) -> None:
        self._events, self.told, self._wants_usage = events, told, usage
        self._open = self._passed()
        self._held: bytes | None = None
        self._model: dict[str, Any] = {}

    async def until_first(self) -> list[bytes]:
        """Events up to the first token. Failed when the answer ends or errs before."""
        early: list[bytes] = []
        async for event in self._open:
            early.append(event)
            if self.told.completion_tokens:
                return early
        if not self.told.finished:
            raise Failed("its stream ended before the first token", "down")
        return early

    async def rest(self) -> AsyncIterator[bytes]:
        """Events after those. Failed when the answer breaks off."""
        async for event in self._open:
            yield event
        if not self.told.finished:
            raise Failed("its stream ended before its end", "down")

    async def close(self) -> None:
        await self._open.aclose()

    def last(self) -> bytes:
        """The event that the mark goes into."""
        return self._held or b"data: " + orjson.dumps(self._model | {"choices": []})

    async def _passed(self) -> AsyncGenerator[bytes, None]:
        async for event in self._events:
            if event.startswith(DONE):
                self.told.finished = True
                return
            if _ERROR.match(event):
                raise Failed(f"it broke off: {event[:300].decode(errors='replace')}", "error")
            if not self._model:
                self._begin(event)
            if _SAID.search(event):
                self.told.completion_tokens += 1
                self.told.first_s = self.told.first_s or time.monotonic()
            if _USAGE.search(event):
                self.told.take(_json(event).get("usage"), None)
                if not self._wants_usage and _NO_CHOICE.search(event):
                    continue
            if not _LAST.search(event):
                yield event
                continue
            self.told.finished = True  # some engines end without [DONE]
            if self._held:
                yield self._held
            self._held = event

    def _begin(self, event: bytes) -> None:
        found = _json(event)
        self._model = {key: found[key] for key in ("id", "object", "created", "model") if key in found}
        self.told.take(None, found.get("system_fingerprint"))


def _json(event: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(event.removeprefix(b"data:"))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
