"""Serve one GGUF model over the OpenAI chat protocol with llama.cpp.

    python -m sdx_serving.llama.server --model model.gguf --port 8080

Used where no `llama-server` binary is installed. It is not llama_cpp.server, because that one refuses `response_format`
"json_schema" (HTTP 500), works on for clients that have gone, drops the connection on an error inside a stream, and lets
a new request cut off a running one. One request is computed at a time, in order of arrival.
"""

import argparse
import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdx_serving.llama.model import Answer, LlamaModel, Refusal, Sampling
from sdx_serving.tether import tie_to_parent

_DISCONNECT_POLL_S = 0.05


class ChatMessage(BaseModel):
    """One turn; `content` is text, or parts of which only text is served."""

    role: str
    content: str | list[dict[str, Any]] | None = ""

    def plain(self) -> dict[str, str]:
        """As the chat template wants it. Refusal on an image: this server has no eyes."""
        if isinstance(self.content, list):
            strange = [part.get("type") for part in self.content if part.get("type") != "text"]
            if strange:
                raise Refusal(f"messages: parts of type {strange[0]!r} are not served here: send text only")
            return {"role": self.role, "content": "".join(str(part.get("text", "")) for part in self.content)}
        return {"role": self.role, "content": self.content or ""}


class ChatRequest(BaseModel):
    """The part of OpenAI's chat request that is served; other fields are ignored, but tools are refused."""

    model_config = ConfigDict(extra="ignore")

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    seed: int = 0
    stop: str | list[str] | None = None
    stream: bool = False
    response_format: dict[str, Any] | None = None
    tools: list[Any] | None = None

    def sampling(self) -> Sampling:
        """Raises Refusal on what is not served."""
        if self.tools:
            raise Refusal("tools are not served here: use response_format with a json_schema")
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=tuple(stop for stop in stops if stop),
            schema=schema_of(self.response_format),
        )


def schema_of(response_format: dict[str, Any] | None) -> str | None:
    """The schema that the answer must follow, as JSON text; None for free text. Key order is kept: it is the answer's."""
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        schema = response_format.get("schema", {"type": "object"})
    elif kind == "json_schema":
        wrapped = response_format.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
    else:
        raise Refusal(f"response_format.type is {kind!r}: known are text, json_object, json_schema")
    if not isinstance(schema, dict):
        raise Refusal(f"response_format: a {kind} needs a schema that is an object")
    return json.dumps(schema)


class Served:
    """The model, its name for clients, and the one thread in which it computes."""

    def __init__(self, model: LlamaModel, alias: str) -> None:
        self.model = model
        self.alias = alias
        self.began_s = int(time.time())
        self.thread = ThreadPoolExecutor(1, "llama")

    def head(self, kind: str) -> dict[str, Any]:
        """What every answer carries: who answered, by name and by weights."""
        fingerprint = f"sha256:{self.model.sha256}"
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.alias,
            "system_fingerprint": fingerprint,
        }

    def close(self) -> None:
        self.thread.shutdown(cancel_futures=True)
        self.model.close()


async def computed(served: Served, request: ChatRequest, told: Answer, connection: Request) -> AsyncIterator[str]:
    """Pieces of one answer, computed when this request's turn has come.

    Leaving this generator early, or the client's leaving, stops the computation at the next token.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
    cancelled = threading.Event()
    messages, sampling = [message.plain() for message in request.messages], request.sampling()

    def work() -> None:
        last: Exception | None = None
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            try:
                if not cancelled.is_set():
                    for piece in served.model.answer(messages, sampling, told, cancelled.is_set):
                        loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except Exception as error:  # noqa: BLE001 - handed to the request, which turns it into an HTTP answer
                last = error
            loop.call_soon_threadsafe(pieces.put_nowait, last)

    served.thread.submit(work)
    asked = time.monotonic()
    try:
        while True:
            if time.monotonic() - asked > _DISCONNECT_POLL_S:
                asked = time.monotonic()
                if await connection.is_disconnected():
                    return
            try:
                piece = await asyncio.wait_for(pieces.get(), _DISCONNECT_POLL_S)
            except TimeoutError:
                continue
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        cancelled.set()


async def whole(served: Served, request: ChatRequest, connection: Request) -> dict[str, Any]:
    """The answer as one OpenAI chat completion."""
    told = Answer()
    text = "".join([piece async for piece in computed(served, request, told, connection)])
    total = told.prompt_tokens + told.completion_tokens
    return served.head("chat.completion") | {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": told.finish_reason}],
        "usage": {"prompt_tokens": told.prompt_tokens, "completion_tokens": told.completion_tokens, "total_tokens": total},
    }


async def events(served: Served, pieces: AsyncIterator[str], first: str | None, told: Answer) -> AsyncIterator[str]:
    """The answer as server-sent events; an error after the first piece becomes an event that names it."""
    head = served.head("chat.completion.chunk")

    def event(delta: dict[str, str], finish_reason: str | None = None) -> str:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return f"data: {json.dumps(head | {'choices': choices}, ensure_ascii=False)}\n\n"

    try:
        yield event({"role": "assistant", "content": first or ""})
        async for piece in pieces:
            yield event({"content": piece})
        yield event({}, told.finish_reason)
    except Exception as error:  # noqa: BLE001 - the status line has left already: this is the only way to tell
        yield f"data: {json.dumps(_error_body(error))}\n\n"
    yield "data: [DONE]\n\n"


def _error_body(error: Exception) -> dict[str, Any]:
    if isinstance(error, Refusal):
        return {"error": {"message": str(error), "type": "invalid_request_error", "code": error.code, "param": None}}
    return {"error": {"message": f"{type(error).__name__}: {error}", "type": "server_error", "code": "internal_error", "param": None}}


def create_app(served: Served, api_key: str | None = None) -> FastAPI:
    """The HTTP surface: /health, /v1/models, /v1/chat/completions."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.close()

    app = FastAPI(title="SDx llama.cpp server", lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.alias, "sha256": served.model.sha256}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = served.model
        meta = {"sha256": model.sha256, "size_bytes": model.path.stat().st_size, "n_ctx": model.n_ctx, "n_vocab": model.n_vocab}
        card = {"id": served.alias, "object": "model", "created": served.began_s, "owned_by": "sdx", "meta": meta}
        return {"object": "list", "data": [card]}

    @app.post("/v1/chat/completions")
    async def chat(connection: Request) -> Response:
        if api_key and connection.headers.get("authorization") != f"Bearer {api_key}":
            return JSONResponse(_error_body(Refusal("wrong or missing API key")), 401)
        try:
            request = ChatRequest.model_validate_json(await connection.body())
            if not request.stream:
                return JSONResponse(await whole(served, request, connection))
            told = Answer()
            pieces = computed(served, request, told, connection)
            first = await anext(pieces, None)  # an error before the first token still gets its status
            return StreamingResponse(events(served, pieces, first, told), media_type="text/event-stream")
        except ValidationError as error:
            where = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors())
            return JSONResponse(_error_body(Refusal(f"this is not a chat request: {where}")), 400)
        except Exception as error:  # noqa: BLE001 - one bad request must not take the server down
            return JSONResponse(_error_body(error), error.status if isinstance(error, Refusal) else 500)

    return app


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sdx_serving.llama.server", description="Serve one GGUF model over the OpenAI chat protocol."
    )
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--alias", help="model name told to clients (default: the file's name)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--n-ctx", type=int, default=2048, help="context length in tokens")
    parser.add_argument("--n-threads", type=int, default=1)
    parser.add_argument("--api-key", help="refuse requests without this bearer token")
    parser.add_argument("--parent", type=int, help="process id; stop when it is gone")
    args = parser.parse_args(argv)
    if args.parent:
        tie_to_parent(args.parent)
    served = Served(LlamaModel(args.model, args.n_ctx, args.n_threads), args.alias or args.model.stem)
    with suppress(KeyboardInterrupt):
        uvicorn.run(create_app(served, args.api_key), host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
