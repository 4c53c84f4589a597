"""What answers of the REST service look like, and who gets one: the envelope, the key, the size."""

import hmac
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 4 * 2**20
"""Of a request."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HERE = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
_CODES = {
    400: "bad_request",
    401: "unauthorised",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    429: "busy",
}


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code or _CODES[status]


def success(result: Any, status: int = 200, **more: Any) -> JSONResponse:
    return JSONResponse({"status": "success", **more, "result": result}, status_code=status)


def failure(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"status": "error", "code": code, "message": message}, status_code=status)


class Gate:
    """Before anything is read: a key where one is set, else only this machine's own names; and a bound on the size."""

    def __init__(self, app: ASGIApp, key: str | None, most_bytes: int = MOST_BYTES) -> None:
        self.app, self.key, self.most_bytes = app, key, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if refusal := self._refusal(scope["path"], headers):
            return await refusal(scope, receive, send)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.most_bytes:
                return await failure(413, _CODES[413], f"a request may hold {self.most_bytes} bytes")(scope, receive, send)
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return await self.app(scope, again, send)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> JSONResponse | None:
        if not headers.get("content-length", "0").isdecimal() or int(headers.get("content-length", "0")) > self.most_bytes:
            return failure(413, _CODES[413], f"a request may hold {self.most_bytes} bytes")
        if self.key is None:
            name = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
            if name.strip("[]") not in LOOPBACK:  # a page from elsewhere that made its name lead here
                return failure(403, "forbidden", f"this service answers to {', '.join(LOOPBACK)} only")
            origin = headers.get("origin", "")
            if origin and not _HERE.fullmatch(origin):  # a form on a page from elsewhere that sends here
                return failure(403, "forbidden", f"requests of pages from {origin[:100]} are not taken")
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ").strip() or headers.get("x-user-token", "")
        if path != "/health" and not hmac.compare_digest(given.encode(), self.key.encode()):
            return failure(401, _CODES[401], "send the key as `Authorization: Bearer KEY` or `X-User-Token: KEY`")
        return None


def say_errors(app: FastAPI) -> None:
    """Every error of an app in the envelope."""

    @app.exception_handler(ApiError)
    def api(_: Request, error: ApiError) -> JSONResponse:
        return failure(error.status, error.code, error.message)

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return failure(error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail))

    @app.exception_handler(RequestValidationError)
    def request(_: Request, error: RequestValidationError) -> JSONResponse:
        return failure(422, "wrong_request", in_fields(error.errors()))

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return failure(500, "internal", f"{type(error).__name__}; the service's log says more")


def in_fields(errors: Any) -> str:
    """Pydantic's errors as "field: what is wrong"; values are not repeated, for keys may be among them."""
    return "; ".join(f"{'.'.join(str(part) for part in e['loc'] if part != 'body') or 'body'}: {e['msg']}" for e in errors)
