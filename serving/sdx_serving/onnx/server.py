"""Serve one folder with model.onnx over the OpenAI protocol: vectors of texts or images, or answers of a decoder.

    python -m sdx_serving.onnx.server --model FOLDER --port 8080

What it is shows in the graph: pixel_values in, a vision encoder; past_key_values in, a decoder; else a sentence encoder. One request
is computed at a time, in order of arrival.
"""

import argparse
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from sdx_serving.onnx.decoder import Decoder
from sdx_serving.onnx.folder import ModelError, graph_file, home_of
from sdx_serving.onnx.graph import PROVIDERS, Hardware, open_graph
from sdx_serving.onnx.vectors import ImageEncoder, TextEncoder, Vector
from sdx_serving.openai_http import answer_errors, check_key, read
from sdx_serving.openai_protocol import Answer, ChatRequest, CompletionRequest, EmbeddingRequest, Piece, Refusal, head, known_model
from sdx_serving.replies import event_stream, numbers, text_of, text_reply
from sdx_serving.tether import tie_to_parent
from sdx_serving.turns import GATHER_S, WHOLE, Turns

Model = Decoder | TextEncoder | ImageEncoder
MAX_BODY_BYTES = 32 * 2**20


def open_model(given: Path, context_tokens: int, hardware: Hardware) -> Model:
    """What the folder, or the graph in it, holds. ModelError says why it cannot be served."""
    path = graph_file(given)
    folder, graph = home_of(path), open_graph(path, hardware)
    if "pixel_values" in graph.inputs:
        return ImageEncoder(folder, graph)
    if any(name.startswith("past_key_values") for name in graph.inputs) or "logits" in graph.outputs:
        return Decoder(folder, graph, context_tokens)
    return TextEncoder(folder, graph)


class Served:
    """The model, its names for clients, and the one thread in which it computes."""

    def __init__(self, model: Model, alias: str, folder: str) -> None:
        self.model = model
        self.alias = alias
        self.names = (alias, folder)
        self.began_s = int(time.time())
        self.turns = Turns()

    def decoder(self, model: str) -> Decoder:
        """Refusal when it is none, or when the request names another model."""
        known_model(model, self.names)
        if not isinstance(self.model, Decoder):
            raise Refusal(f"{self.alias} gives vectors of {self.model.kind}s, no answers: ask /v1/embeddings")
        return self.model

    def encoder(self, model: str) -> TextEncoder | ImageEncoder:
        known_model(model, self.names)
        if isinstance(self.model, Decoder):
            raise Refusal(f"{self.alias} gives answers, no vectors: ask /v1/chat/completions, or serve a sentence encoder")
        return self.model

    def head(self, prefix: str, kind: str) -> dict[str, Any]:
        return head(prefix, kind, self.alias, self.model.graph.sha256)


async def answered(
    served: Served, request: ChatRequest | CompletionRequest, model: Decoder, ids: Callable[[], list[int]], connection: Request
) -> Response:
    """The answer, whole or as events."""
    request.refuse_unserved()
    told, sampling = Answer(), request.sampling()
    chat = isinstance(request, ChatRequest)

    def produce(cancelled: Callable[[], bool]) -> Iterator[Piece]:
        return model.answer(ids(), sampling, told, cancelled)

    prefix, kind = ("chatcmpl", "chat.completion") if chat else ("cmpl", "text_completion")
    bundles = served.turns.each(produce, connection.is_disconnected, GATHER_S if request.stream else WHOLE)
    if not request.stream:
        text = "".join([text_of(bundle) async for bundle in bundles])
        return JSONResponse(text_reply(served.head(prefix, kind), text, told))
    return await event_stream(served.head(prefix, f"{kind}.chunk" if chat else kind), bundles, told, request.wants_usage)


async def embedded(served: Served, request: EmbeddingRequest, connection: Request) -> dict[str, Any]:
    """Vectors in the order of the inputs; "truncated" lists the inputs whose end was left out."""
    model = served.encoder(request.model)
    request.refuse_unserved()
    if request.dimensions not in (None, model.about["dimensions"]):
        raise Refusal(f"dimensions: this model gives {model.about['dimensions']}, and was not trained to give fewer: leave it out")
    turn = served.turns.each(lambda cancelled: model.vectors(request, cancelled), connection.is_disconnected, WHOLE)
    made = [one async for bundle in turn for batch in bundle for one in batch]
    made.sort(key=lambda one: one.index)
    total = sum(one.tokens for one in made)
    return {
        "object": "list",
        "data": [_item(one, request.encoding_format == "base64") for one in made],
        "model": served.alias,
        "system_fingerprint": f"sha256:{model.graph.sha256}",
        "usage": {"prompt_tokens": total, "total_tokens": total},
        "truncated": [one.index for one in made if one.cut],
    }


def _item(made: Vector, as_base64: bool) -> dict[str, Any]:
    patches = {} if made.patches is None else {"patches": [numbers(row, as_base64) for row in made.patches]}
    return {"object": "embedding", "index": made.index, "embedding": numbers(made.values, as_base64), **patches}


def create_app(served: Served, api_key: str | None = None) -> FastAPI:
    """The HTTP surface: /health, /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.turns.close()

    app = FastAPI(title="SDx ONNX Runtime server", lifespan=lifespan)
    answer_errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.alias, "sha256": served.model.graph.sha256}

    @app.get("/v1/models")
    async def models(connection: Request) -> dict[str, Any]:
        check_key(connection, api_key)
        graph = served.model.graph
        meta = {"kind": served.model.kind, "sha256": graph.sha256, "size_bytes": graph.size_bytes, **served.model.about}
        return {
            "object": "list",
            "data": [{"id": served.alias, "object": "model", "created": served.began_s, "owned_by": "sdx", "meta": meta}],
        }

    @app.post("/v1/chat/completions")
    async def chat(connection: Request) -> Response:
        check_key(connection, api_key)
        request = await read(connection, ChatRequest, MAX_BODY_BYTES)
        model, messages = served.decoder(request.model), [message.plain() for message in request.messages]
        return await answered(served, request, model, lambda: model.text.chat_ids(messages), connection)

    @app.post("/v1/completions")
    async def complete(connection: Request) -> Response:
        check_key(connection, api_key)
        request = await read(connection, CompletionRequest, MAX_BODY_BYTES)
        model, text = served.decoder(request.model), request.text()
        return await answered(served, request, model, lambda: model.text.text_ids(text), connection)

    @app.post("/v1/embeddings")
    async def embed(connection: Request) -> Response:
        check_key(connection, api_key)
        request = await read(connection, EmbeddingRequest, MAX_BODY_BYTES)
        return JSONResponse(await embedded(served, request, connection))

    return app


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdx_serving.onnx.server", description="Serve one folder with model.onnx over the OpenAI protocol."
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="folder with model.onnx and its tokenizer or preprocessor, or the graph in it"
    )
    parser.add_argument("--alias", help="model name told to clients (default: the folder's name)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--context", type=int, default=2048, help="of a decoder: prompt and answer together, in tokens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--provider", choices=list(PROVIDERS), default="cpu", help="hardware; all but cpu want another build of ONNX Runtime"
    )
    parser.add_argument("--provider-option", action="append", default=[], metavar="KEY=VALUE", help="of the provider, repeatable")
    parser.add_argument("--api-key", help="refuse requests without this bearer token")
    parser.add_argument("--parent", type=int, help="process id; stop when it is gone")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    if args.parent:
        tie_to_parent(args.parent)
    options = dict(given.partition("=")[::2] for given in args.provider_option)
    try:
        model = open_model(args.model, args.context, Hardware(args.provider, args.threads, options))
    except ModelError as error:
        print(f"onnx server: {error}", file=sys.stderr)
        return 1
    folder = args.model.resolve().stem if args.model.is_file() else args.model.resolve().name
    app = create_app(Served(model, args.alias or folder, folder), args.api_key)
    with suppress(KeyboardInterrupt):
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
