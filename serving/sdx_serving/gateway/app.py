"""The gateway's addresses. Start at create_app(); what happens behind /v1 is in exchange.py."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdx_serving.gateway.errors import Refused
from sdx_serving.gateway.exchange import Surfaced
from sdx_serving.gateway.gateway import Gateway
from sdx_serving.gateway.keys import Key

Page = Callable[[Request, Key | None], Response]


def create_app(gateway: Gateway) -> Starlette:
    """/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /health, /info, /running, /metrics."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        await gateway.start()
        yield
        await gateway.stop()

    def guarded(page: Page) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                return page(request, gateway.admit(request.headers))
            except Refused as refusal:
                return _refusal(refusal)

        return answer

    def model(request: Request, key: Key | None) -> Response:
        return _json(gateway.card(gateway.route(request.path_params["name"], key)))

    async def health(_: Request) -> Response:
        return _json({"status": "ok"})

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", Surfaced(gateway, "chat/completions"), methods=["POST"]),
            Route("/v1/completions", Surfaced(gateway, "completions"), methods=["POST"]),
            Route("/v1/embeddings", Surfaced(gateway, "embeddings"), methods=["POST"]),
            Route("/v1/models", guarded(lambda _, key: _json({"object": "list", "data": gateway.models(key)}))),
            Route("/v1/models/{name:path}", guarded(model)),
            Route("/health", health),
            Route("/info", guarded(lambda _, __: _json(gateway.info()))),
            Route("/running", guarded(lambda _, __: _json({"running": gateway.running()}))),
            Route("/metrics", guarded(lambda _, __: Response(gateway.metrics_text(), media_type="text/plain; version=0.0.4"))),
        ],
        exception_handlers={HTTPException: _http},
        lifespan=life,
    )
    app.router.redirect_slashes = False
    return app


def _json(told: Any) -> Response:
    return Response(orjson.dumps(told), media_type="application/json")


def _refusal(refusal: Refused) -> Response:
    return Response(refusal.body(), refusal.status, refusal.headers(), "application/json")


async def _http(request: Request, error: Exception) -> Response:
    """No such address, or not with this method."""
    status = getattr(error, "status_code", 500)
    return _refusal(Refused(status, f"{request.method} {request.url.path[:100]}: not served here; see GET /v1/models", "not_found"))
