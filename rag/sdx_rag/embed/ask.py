"""One question to an endpoint, asked again where it is busy, its errors in words that help. Start at Asking.post()."""

import os
import time
import weakref
from collections.abc import Mapping
from typing import Any

import httpx

from sdx_rag.borders import EmbeddingError

TRIES = 5
_BUSY = (408, 429, 502, 503, 504)
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


class Asking:
    """An address with its key.

    Args:
        base_url: with the version.
        key_env: environment variable that holds the key; "" for none.
        setting: where the address is set, for messages: "embed" or "rerank".

    Raises:
        EmbeddingError: the variable is not set.
    """

    def __init__(self, base_url: str, key_env: str, timeout_s: float, setting: str) -> None:
        self.base_url, self._key_env, self._setting = base_url.rstrip("/"), key_env, setting
        key = os.environ.get(key_env, "").strip() if key_env else ""
        if key_env and not key:
            raise EmbeddingError(f"{setting}.key_env is {key_env}, which is not set: type `export {key_env}=...`")
        # trust_env off: a proxy variable must not divert a request to this machine's own engine.
        local = httpx.URL(self.base_url).host in ("127.0.0.1", "localhost", "::1")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._http = httpx.Client(headers=headers, timeout=timeout_s, trust_env=not local)
        weakref.finalize(self, self._http.close)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON object. Raises EmbeddingError."""
        url = f"{self.base_url}{path}"
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._http.post(url, json=body)
            except (httpx.ConnectError, httpx.TimeoutException, httpx.InvalidURL) as error:
                raise self._unreachable(url, error) from error
            except httpx.TransportError as error:
                if attempt == TRIES:
                    raise self._unreachable(url, error) from error
                time.sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))
                continue
            if answer.status_code not in _BUSY or attempt == TRIES:
                return self._read(url, answer)
            time.sleep(_wait_s(answer, attempt))

    def nonsense(self, path: str, what: str) -> EmbeddingError:
        return EmbeddingError(f"{self.base_url}{path} answers nonsense: {what}; is {self._setting}.url a server of such models?")

    def _unreachable(self, url: str, error: Exception) -> EmbeddingError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return EmbeddingError(
                f"{url} gave no answer in {self._timeout_s:g} s: set {self._setting}.timeout_s higher, or {self._setting}.batch lower"
            )
        return EmbeddingError(f"nothing answers at {url} ({error}): start the server, or mend {self._setting}.url in rag.yaml")

    def _read(self, url: str, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code != 200:
            raise EmbeddingError(f"{url} refused with HTTP {answer.status_code} ({_said(answer)}): {self._advice(answer)}")
        try:
            found = answer.json()
        except ValueError as error:
            raise self.nonsense(answer.request.url.path, f"no JSON ({answer.text[:60]!r})") from error
        if not isinstance(found, dict):
            raise self.nonsense(answer.request.url.path, f"no JSON object ({answer.text[:60]!r})")
        return found

    def _advice(self, answer: httpx.Response) -> str:
        if answer.status_code in _BUSY:
            return f"it said so {TRIES} times: try later, what is indexed is kept"
        if answer.status_code in (401, 403):
            return (
                f"the key in {self._key_env} is not taken" if self._key_env else f"set {self._setting}.key_env to the variable with the key"
            )
        if answer.status_code == 404:
            return f"mend {self._setting}.model (GET {self.base_url}/models lists the names) or {self._setting}.url"
        if answer.status_code == 413 or "token" in answer.text or "length" in answer.text:
            return "the texts are too long for it: set embed.max_tokens or embed.batch lower"
        return f"see the server's log, and {self._setting} in rag.yaml"


def _wait_s(answer: httpx.Response, attempt: int) -> float:
    """What the server asks for, else twice as long each time."""
    told = answer.headers.get("Retry-After", "")
    return min(float(told) if told.isdecimal() else _FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S)


def _said(answer: httpx.Response) -> str:
    return " ".join(answer.text[:300].split()) or "no words"
