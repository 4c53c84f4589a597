"""Serve one GGUF model over the OpenAI protocol with llama.cpp.

    python -m sdx_serving.llama.server --model model.gguf --port 8080

Used where no `llama-server` binary is installed. It is not llama_cpp.server, because that one refuses `response_format`
"json_schema" (HTTP 500), works on for clients that have gone, drops the connection on an error inside a stream, and lets
a new request cut off a running one. One request is computed at a time, in order of arrival.
"""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from sdx_serving.llama.model import LlamaModel
from sdx_serving.llama.requests import ToolChat
from sdx_serving.llama.served import Served
from sdx_serving.llama.vectors import TextVectors
from sdx_serving.openai_http import answer_errors, check_key, read
from sdx_serving.openai_protocol import Answer, CompletionRequest, EmbeddingRequest
from sdx_serving.replies import chat_reply, event_stream, text_of, text_reply
from sdx_serving.tether import tie_to_parent

MAX_BODY_BYTES = 32 * 2**20


def create_app(served: Served, api_key: str | None = None) -> FastAPI:
    """The HTTP surface: /health, /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.close()

    app = FastAPI(title="SDx llama.cpp server", lifespan=lifespan)
    answer_errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.alias, "sha256": served.model.sha256}

    @app.get("/v1/models")
    async def models(connection: Request) -> dict[str, Any]:
        check_key(connection, api_key)
        return {"object": "list", "data": served.cards()}

    @app.get("/v1/models/{name:path}")
    async def model(connection: Request, name: str) -> dict[str, Any]:
        check_key(connection, api_key)
        proper, _ = served.weights(name)
        return next(card for card in served.cards() if card["id"] == proper)

    @app.post("/v1/chat/completions")
    async def chat(connection: Request) -> Response:
        check_key(connection, api_key)
        request, told = await read(connection, ToolChat, MAX_BODY_BYTES), Answer()
        head = served.head("chatcmpl", "chat.completion.chunk" if request.stream else "chat.completion", request.model)
        bundles = served.chat(request, told, connection.is_disconnected)
        if request.stream:
            return await event_stream(head, bundles, told, request.wants_usage)
        return JSONResponse(chat_reply(head, [piece async for bundle in bundles for piece in bundle], told))

    @app.post("/v1/completions")
    async def complete(connection: Request) -> Response:
        check_key(connection, api_key)
        request, told = await read(connection, CompletionRequest, MAX_BODY_BYTES), Answer()
        head = served.head("cmpl", "text_completion", request.model)
        bundles = served.complete(request, told, connection.is_disconnected)
        if request.stream:
            return await event_stream(head, bundles, told, request.wants_usage)
        return JSONResponse(text_reply(head, "".join([text_of(bundle) async for bundle in bundles]), told))

    @app.post("/v1/embeddings")
    async def embed(connection: Request) -> Response:
        check_key(connection, api_key)
        request = await read(connection, EmbeddingRequest, MAX_BODY_BYTES)
        served.weights(request.model)
        return JSONResponse(await served.embed(request, connection.is_disconnected))

    return app


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    return name, Path(path)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdx_serving.llama.server", description="Serve one GGUF model over the OpenAI protocol."
    )
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--alias", help="model name told to clients (default: the file's name)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--n-ctx", type=int, default=2048, help="context length in tokens")
    parser.add_argument("--n-threads", type=int, default=1)
    parser.add_argument("--projector", type=Path, help="GGUF file (mmproj) through which the model sees images")
    parser.add_argument("--adapter", type=_named, action="append", default=[], metavar="NAME=FILE", help="LoRA adapter, asked for by name")
    parser.add_argument("--embeddings", action="store_true", help="serve vectors of texts instead of answers")
    parser.add_argument("--api-key", help="refuse requests without this bearer token")
    parser.add_argument("--parent", type=int, help="process id; stop when it is gone")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _arguments().parse_args(argv)
    if args.parent:
        tie_to_parent(args.parent)
    try:
        if args.embeddings:
            model = TextVectors(args.model, args.n_ctx, args.n_threads)
        else:
            model = LlamaModel(args.model, args.n_ctx, args.n_threads, args.projector, dict(args.adapter))
    except ValueError as error:
        print(f"llama server: {error}", file=sys.stderr)
        return 1
    app = create_app(Served(model, args.alias or args.model.stem), args.api_key)
    with suppress(KeyboardInterrupt):
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
