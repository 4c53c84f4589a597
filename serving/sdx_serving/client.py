"""Ask a model over the OpenAI HTTP protocol, with a deadline that is kept. Start reading at OpenAIChat.complete().

httpx and not the openai package: the import takes 0.14 s and 30 MB instead of 0.7 s and 50 MB, and the whole exchange
lives on one event loop, so a deadline cancels it wherever it stands (connecting, waiting, or between two tokens).
"""

import asyncio
import json
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import httpx

Message = Mapping[str, str]
T = TypeVar("T")

_GRACE_S = 1.0
"""How much longer than the deadline the caller waits for the event loop to report it."""


class ChatError(Exception):
    """The model gave no answer. The message says why, where, and what to do."""


class EngineUnavailable(ChatError):
    """Nobody answers at the address, or the connection broke: start or restart the engine."""


class DeadlineExceeded(ChatError):
    """No whole answer in the time given; the request was cancelled."""


class RequestRefused(ChatError):
    """The engine answered with an HTTP error: the request, the key or the model name is wrong."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 when the answer was not in the protocol."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One whole answer."""

    text: str
    model: str
    model_sha256: str = ""
    """Of the weights file; "" when the engine does not tell."""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    """"stop", or "length" when max_tokens cut the answer off."""


class ChatClient(Protocol):
    """Anything that answers chat messages, within a deadline."""

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 30.0,
    ) -> Completion:
        """The whole answer; with `schema` (JSON schema) the engine is held to it. Raises ChatError only."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 60.0,
    ) -> Iterator[str]:
        """The answer in pieces as they come. Raises ChatError only; closing the iterator cancels the request."""
        ...


class OpenAIChat:
    """A model behind any OpenAI-compatible address (llama.cpp, vLLM, TensorRT-LLM, a cloud).

    Safe to use from several threads. Close it, or use it as a context manager.

    Args:
        base_url: with the version, e.g. "http://127.0.0.1:8080/v1".
        model: the name that is sent; many engines ignore it.
        api_key: sent as a bearer token.
        model_sha256: of the weights, for engines that do not tell it themselves.
    """

    def __init__(self, base_url: str, model: str = "default", api_key: str | None = None, model_sha256: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self.model = model
        self._model_sha256 = model_sha256
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # trust_env off: a proxy variable must not divert a request to this machine's own engine.
        local = httpx.URL(self.base_url).host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.AsyncClient(headers=headers, timeout=None, trust_env=not local)
        self._closing, self._lock = False, threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sdx-chat", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connections and the thread; calls of other threads end with EngineUnavailable. Safe to call twice."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._http.aclose()

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 30.0,
    ) -> Completion:
        """See ChatClient.complete."""
        body = self._body(messages, schema, max_tokens, temperature, stream=False)
        began = time.perf_counter()
        reply = self._wait(self._within(deadline_s, lambda: self._post(body)), deadline_s)
        return self._completion(reply, time.perf_counter() - began)

    def stream(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 60.0,
    ) -> Iterator[str]:
        """See ChatClient.stream."""
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        body = self._body(messages, schema, max_tokens, temperature, stream=True)

        async def pump() -> None:
            async for piece in self._pieces(body):
                pieces.put(piece)

        future = self._submit(self._within(deadline_s, pump))
        future.add_done_callback(lambda done: pieces.put(self._closed() if done.cancelled() else done.exception()))
        try:
            while isinstance(piece := pieces.get(), str):
                yield piece
            if piece is not None:
                raise piece
        finally:
            future.cancel()

    def _body(
        self, messages: Sequence[Message], schema: Mapping[str, Any] | None, max_tokens: int, temperature: float, stream: bool
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": stream,
        }
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}
        return body

    def _submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        with self._lock:
            if not self._closing:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise self._closed()

    def _wait(self, work: Coroutine[Any, Any, T], deadline_s: float) -> T:
        future = self._submit(work)
        try:
            return future.result(max(deadline_s, 0.0) + _GRACE_S)
        except FutureTimeout as error:
            future.cancel()
            raise self._late(deadline_s) from error
        except CancelledError as error:
            raise self._closed() from error

    async def _within(self, deadline_s: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, or ChatError; every error of the transport is given its plain meaning here."""
        try:
            async with asyncio.timeout(max(deadline_s, 0.0)):
                return await work()
        except TimeoutError as error:
            raise self._late(deadline_s) from error
        except httpx.ConnectError as error:
            raise EngineUnavailable(f"nothing answers at {self.base_url} ({error}): start an engine there, e.g. `sdx serve`") from error
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"the connection to {self.base_url} broke ({error or type(error).__name__}): see the engine's log"
            ) from error
        except (httpx.InvalidURL, ValueError, KeyError, TypeError, IndexError) as error:
            raise RequestRefused(f"{self.base_url} did not answer in the OpenAI protocol ({error!r}): is it a model engine?") from error

    def _closed(self) -> EngineUnavailable:
        return EngineUnavailable(f"the client of {self.base_url} was closed: make a new one")

    def _late(self, deadline_s: float) -> DeadlineExceeded:
        return DeadlineExceeded(f"no answer from {self.base_url} within {deadline_s:.2f} s; the request was cancelled")

    def _refused(self, status: int, body: str) -> RequestRefused:
        return RequestRefused(f"{self.base_url} refused the request with HTTP {status}: {body[:500]}", status)

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._http.post(f"{self.base_url}/chat/completions", json=body)
        if response.status_code != 200:
            raise self._refused(response.status_code, response.text)
        return response.json()

    async def _pieces(self, body: dict[str, Any]) -> AsyncIterator[str]:
        async with self._http.stream("POST", f"{self.base_url}/chat/completions", json=body) as response:
            if response.status_code != 200:
                raise self._refused(response.status_code, (await response.aread()).decode(errors="replace"))
            async for line in response.aiter_lines():
                if not line.startswith("data:"):
                    continue
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    return
                event = json.loads(data)
                if "error" in event:
                    raise self._refused(200, json.dumps(event["error"], ensure_ascii=False))
                if event.get("choices") and (piece := event["choices"][0].get("delta", {}).get("content")):
                    yield piece
        raise httpx.RemoteProtocolError("the stream ended before its end mark")

    def _completion(self, reply: dict[str, Any], latency_s: float) -> Completion:
        try:
            choice, usage = reply["choices"][0], reply.get("usage") or {}
            fingerprint = str(reply.get("system_fingerprint") or "")
            told = fingerprint.removeprefix("sha256:") if fingerprint.startswith("sha256:") else ""
            return Completion(
                text=choice["message"].get("content") or "",
                model=str(reply.get("model") or self.model),
                model_sha256=told or self._model_sha256,
                latency_s=latency_s,
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
                finish_reason=str(choice.get("finish_reason") or "stop"),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise RequestRefused(f"{self.base_url} did not answer in the OpenAI protocol ({error!r}): is it a model engine?") from error


Line = str | Exception | Callable[[Sequence[Message]], str]


class Scripted:
    """Says its lines in order, then repeats the last; the double of every ChatClient.

    A line is a text, an exception to raise, or a function of the messages. `asked` keeps what was asked.
    """

    def __init__(self, *lines: Line, model: str = "scripted", delay_s: float = 0.0) -> None:
        if not lines:
            raise ValueError("Scripted needs at least one line to say")
        self.lines = list(lines)
        self.asked: list[list[dict[str, str]]] = []
        self.model = model
        self.delay_s = delay_s

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 30.0,
    ) -> Completion:
        """The next line. With a delay past the deadline it waits until the deadline and raises, as an engine would."""
        line = self.lines[min(len(self.asked), len(self.lines) - 1)]
        self.asked.append([dict(message) for message in messages])
        if self.delay_s > 0:
            time.sleep(max(0.0, min(self.delay_s, deadline_s)))
        if self.delay_s > deadline_s:
            raise DeadlineExceeded(f"no answer from the script within {deadline_s:.2f} s")
        if isinstance(line, Exception):
            raise line
        text = line if isinstance(line, str) else line(messages)
        return Completion(text, self.model, model_sha256="0" * 64, latency_s=self.delay_s)

    def stream(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 60.0,
    ) -> Iterator[str]:
        """The next line, word by word."""
        text = self.complete(messages, schema, max_tokens, temperature, deadline_s).text
        for index, word in enumerate(text.split(" ")):
            yield word if index == 0 else f" {word}"
