"""The wire into our own OpenAI servers: bodies with a limit, keys, errors in OpenAI's shape. Start at read().

What leaves them is made in replies.py, computed in turns.py.
"""

from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from sdx_serving.openai_protocol import Refusal, error_body

R = TypeVar("R", bound=BaseModel)


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
    return model.model_validate_json(await read_bytes(request, max_bytes))


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The body as it is. Refusal with 413 above `max_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise Refusal(f"the body is longer than {max_bytes} bytes: send less", "request_too_large", 413)
    return bytes(body)
