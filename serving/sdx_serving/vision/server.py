"""Serve one folder with encoder.onnx and decoder.gguf over the OpenAI protocol, and a place to show it volumes.

    python -m sdx_serving.vision.server --model FOLDER --port 8080

POST /v1/look takes a volume's slabs and gives label probabilities, maps and a handle. A chat message whose text contains <ct:HANDLE>
is answered with that volume's visual tokens in its place. One request is computed at a time, in order of arrival.
"""

import argparse
import base64
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from sdx_serving.onnx.folder import ModelError
from sdx_serving.openai_http import answer_errors, check_key, read, read_bytes
from sdx_serving.openai_protocol import Answer, ChatRequest
from sdx_serving.replies import event_stream, text_of, text_reply
from sdx_serving.tether import tie_to_parent
from sdx_serving.vision.arrays import SHAPE_HEADER, slabs_of
from sdx_serving.vision.encoder import Sight
from sdx_serving.vision.served import KEPT, Served

MAX_BODY_BYTES = 8 * 2**20


def create_app(served: Served, api_key: str | None = None) -> FastAPI:
    """The HTTP surface: /health, /v1/models, /v1/look, /v1/chat/completions."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.close()

    app = FastAPI(title="SDx vision server", lifespan=lifespan)
    answer_errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.alias, "sha256": served.sha256}

    @app.get("/v1/models")
    async def models(connection: Request) -> dict[str, Any]:
        check_key(connection, api_key)
        return {"object": "list", "data": [served.card()]}

    @app.post("/v1/look")
    async def look(connection: Request) -> Response:
        check_key(connection, api_key)
        wanted = served.encoder.shape
        body = await read_bytes(connection, math.prod(wanted) + 2**20)
        seen = await served.look(slabs_of(body, connection.headers.get(SHAPE_HEADER), wanted), connection.is_disconnected)
        return JSONResponse(looked(served, seen) if seen else {})

    @app.post("/v1/chat/completions")
    async def chat(connection: Request) -> Response:
        check_key(connection, api_key)
        request, told = await read(connection, ChatRequest, MAX_BODY_BYTES), Answer()
        bundles = served.chat(request, told, connection.is_disconnected)
        if request.stream:
            return await event_stream(served.head("chatcmpl", "chat.completion.chunk"), bundles, told, request.wants_usage)
        return JSONResponse(
            text_reply(served.head("chatcmpl", "chat.completion"), "".join([text_of(bundle) async for bundle in bundles]), told)
        )

    return app


def looked(served: Served, seen: Sight) -> dict[str, Any]:
    """The answer to a look; maps are float16, little-endian, in base64, labels in the order of `probability`."""
    return served.head("look", "look") | {
        "handle": seen.handle,
        "probability": seen.probability,
        "unlike_training": seen.unlike_training,
        "trained_on": served.encoder.trained_on,
        "maps": {"shape": seen.maps.shape, "float16": base64.b64encode(seen.maps.astype("<f2").tobytes()).decode()},
    }


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdx_serving.vision.server",
        description="Serve one vision model (encoder.onnx, decoder.gguf) over the OpenAI protocol.",
    )
    parser.add_argument("--model", type=Path, required=True, help="folder with encoder.onnx and decoder.gguf")
    parser.add_argument("--alias", help="model name told to clients (default: the folder's name)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--context", type=int, default=2048, help="prompt, visual tokens and answer together, in tokens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=int, default=KEPT, help="volumes whose tokens are held")
    parser.add_argument("--api-key", help="refuse requests without this bearer token")
    parser.add_argument("--parent", type=int, help="process id; stop when it is gone")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    if args.parent:
        tie_to_parent(args.parent)
    try:
        served = Served(args.model, args.alias or "", args.context, args.threads, args.keep)
    except (ModelError, ValueError) as error:
        print(f"vision server: {error}", file=sys.stderr)
        return 1
    app = create_app(served, args.api_key)
    with suppress(KeyboardInterrupt):
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
