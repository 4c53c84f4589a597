"""Refusals, in OpenAI's shape."""

import math

import orjson

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refused(Exception):
    """An answer that is no success.

    Args:
        code: for programs, e.g. "model_not_found".
        param: the field of the request that is wrong.
        retry_after_s: when to ask again.
    """

    def __init__(self, status: int, message: str, code: str, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after_s = status, message, code, param, retry_after_s

    def body(self) -> bytes:
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return orjson.dumps({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}


class Failed(Exception):
    """One upstream gave no answer; another may. The message is for people.

    Args:
        kind: "down" (no connection, or a broken one), "error" (HTTP 5xx), "late", "busy" (its queue is full), "unfit" (it refuses the key or the model).
        retry_after_s: when a busy one may have room.
    """

    def __init__(self, message: str, kind: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.retry_after_s = kind, retry_after_s
