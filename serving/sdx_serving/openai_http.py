"""The wire of our own OpenAI servers: bodies with a limit, errors in OpenAI's shape, pieces as server-sent events.

Start at begun(): an answer that is computed in the model's own thread and ends when nobody waits for it any more.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from sdx_serving.openai_protocol import Answer, Refusal, error_body

_DISCONNECT_POLL_S = 0.05
T = TypeVar("T")
R = TypeVar("R", bound=BaseModel)
Produce = Callable[[Callable[[], bool]], Iterator[T]]
"""Makes the pieces of one answer; given a question that becomes true when they are not wanted any more."""


def answer_errors(app: FastAPI) -> None:
    """Every error that leaves `app`, an unknown path's too, has OpenAI's shape and a status that says whose fault it is."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return JSONResponse(error_body(error), error.status)

    @app.exception_handler(ValidationError)
    async def malformed(_: Request, error: ValidationError) -> JSONResponse:
        where = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors(include_input=False)[:5])
        return JSONResponse(error_body(Refusal(f"this request cannot be read: {where}")), 400)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_body(Refusal(f"{request.method} {request.url.path}: {error.detail}")), error.status_code)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body(error), 500)


def check_key(request: Request, api_key: str | None) -> None:
    """Refusal with 401 without the bearer token, where one is asked for."""
    if api_key and request.headers.get("authorization") != f"Bearer {api_key}":
        raise Refusal("wrong or missing API key", "invalid_api_key", 401)


async def read(request: Request, model: type[R], max_bytes: int) -> R:
    """The body as `model`. Refusal with 413 above `max_bytes`, ValidationError when it is something else."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise Refusal(f"the body is longer than {max_bytes} bytes: send less", "request_too_large", 413)
    return model.model_validate_json(bytes(body))


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


async def computed(thread: Executor, produce: Produce[T], connection: Request) -> AsyncIterator[T]:
    """What `produce` makes in `thread` when its turn has come.

    Leaving this generator early, or the client's leaving, stops the computation at its next look.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[T | _End] = asyncio.Queue()
    cancelled = threading.Event()

    def work() -> None:
        end = _End()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            try:
                if not cancelled.is_set():
                    for piece in produce(cancelled.is_set):
                        loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except Exception as error:  # noqa: BLE001 - handed to the request, which turns it into an HTTP answer
                end = _End(error)
            loop.call_soon_threadsafe(pieces.put_nowait, end)

    async def watch() -> None:
        while not await connection.is_disconnected():
            await asyncio.sleep(_DISCONNECT_POLL_S)
        cancelled.set()
        pieces.put_nowait(_End())

    watching = asyncio.create_task(watch())
    thread.submit(work)
    try:
        while not isinstance(piece := await pieces.get(), _End):
            yield piece
        if piece.error:
            raise piece.error
    finally:
        cancelled.set()
        watching.cancel()


async def begun(thread: Executor, produce: Produce[T], connection: Request) -> AsyncIterator[T]:
    """As computed(), but with its first piece made: what is refused raises here, before any status has left."""
    pieces = computed(thread, produce, connection)
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        return _chained([], pieces)
    return _chained([first], pieces)


async def _chained(first: list[T], rest: AsyncIterator[T]) -> AsyncIterator[T]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece


def whole(head: dict[str, Any], text: str, told: Answer) -> dict[str, Any]:
    """One answer. `head`: of openai_protocol.head, its object "chat.completion" or "text_completion"."""
    said = {"message": {"role": "assistant", "content": text}} if head["object"] == "chat.completion" else {"text": text}
    return head | {"choices": [{"index": 0, **said, "finish_reason": told.finish_reason}], "usage": told.usage}


async def events(head: dict[str, Any], pieces: AsyncIterator[str], told: Answer, usage: bool) -> AsyncIterator[str]:
    """The answer as server-sent events; an error after the first piece becomes an event that names it.

    Args:
        head: of openai_protocol.head, its object "chat.completion.chunk" or "text_completion".
        usage: end with an event that counts tokens.
    """
    chat = head["object"] == "chat.completion.chunk"

    def event(text: str | None, finish_reason: str | None = None, **more: str) -> str:
        delta = more if text is None else {**more, "content": text}
        said: dict[str, Any] = {"delta": delta} if chat else {"text": text or ""}
        return _event(head | {"choices": [{"index": 0, **said, "finish_reason": finish_reason}]})

    try:
        if chat:
            yield event("", role="assistant")
        async for piece in pieces:
            yield event(piece)
        yield event(None, told.finish_reason)
        if usage:
            yield _event(head | {"choices": [], "usage": told.usage})
    except Exception as error:  # noqa: BLE001 - the status line has left already: this is the only way to tell
        yield _event(error_body(error))
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
