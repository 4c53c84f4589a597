"""A model behind an OpenAI-compatible address, elsewhere: nothing to start, and what it can do is asked. Start at RemoteEngine."""

import os
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Self

import httpx

from sdx_serving.client import OpenAIChat
from sdx_serving.engine import EngineError, EngineFacts, Serving

_ASK_S = 3.0
_PAUSE_S = 0.25
_NO_HEALTH = (401, 403, 404, 405)
"""What a cloud answers to /health, which is no part of OpenAI's protocol."""

UNKNOWN = EngineFacts((), json_schema=False, stream=True, parallel=True)
"""What any OpenAI-compatible address can do; the rest is claimed only where it is known."""
_WHOLE = replace(UNKNOWN, json_schema=True, tools=True, images=True)
BY_OWNER: Mapping[str, EngineFacts] = {
    "vllm": replace(UNKNOWN, json_schema=True),
    "llamacpp": replace(UNKNOWN, json_schema=True),
    "sdx": replace(UNKNOWN, json_schema=True, parallel=False),
    "openai": _WHOLE,
    "system": _WHOLE,
    "openai-internal": _WHOLE,
}
"""By `owned_by` of /v1/models. Of OpenAI's own models; images and tools of a local engine hang on its model and are not told."""


class RemoteEngine:
    """One model of an OpenAI-compatible server: a cloud, another machine, a gateway. It is never started or stopped by us.

    Args:
        url: with or without the version; "http://host:8000" becomes "http://host:8000/v1".
        name: the model's id there; "" takes the only one it serves, its LoRA adapters not counted.
        api_key: sent as a bearer token; "" takes $SDX_REMOTE_API_KEY.
        facts: what it can do, where the operator knows better than the address tells.
    """

    def __init__(self, url: str, name: str = "", api_key: str = "", facts: EngineFacts | None = None) -> None:
        address = httpx.URL(url.rstrip("/"))
        if address.scheme not in ("http", "https") or not address.host:
            raise EngineError(f"{url!r} is no address: give one like https://host:8000/v1")
        self.name = "remote"
        self.base_url = str(address) if address.path.strip("/") else f"{address}/v1".replace("//v1", "/v1")
        self.serving = Serving(self.base_url, name=name)
        self.facts = facts or UNKNOWN
        self.models: tuple[str, ...] = ()
        """Ids that the address serves; empty until it has answered."""
        self._told = facts is not None
        self._api_key = api_key or os.environ.get("SDX_REMOTE_API_KEY", "")
        self._root = self.base_url.removesuffix("/v1")
        self._local = address.host in ("127.0.0.1", "localhost", "::1")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return None

    @property
    def restarts(self) -> int:
        return 0

    @staticmethod
    def missing() -> str | None:
        return None

    def cannot(self) -> str | None:
        """A reason only once the address has answered: it serves other models than the one named."""
        if not self.models or self.serving.name in self.models:
            return None
        if self.serving.name:
            return f"it serves no {self.serving.name!r}, but {', '.join(self.models)}"
        return f"it serves several models, name one of {', '.join(self.models)}"

    def command(self) -> list[str]:
        """Nothing to run here."""
        return []

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See Engine.request."""
        return dict(body)

    def start(self, timeout_s: float = 10.0) -> None:
        """Wait until it answers. EngineError: nobody there, a wrong key, or no such model."""
        ends = time.monotonic() + timeout_s
        while not self.healthy():
            status = self._get(f"{self.base_url}/models")[0]
            if status in (401, 403):
                raise EngineError(f"{self.base_url} refuses the API key (HTTP {status}): give the right one with SDX_REMOTE_API_KEY")
            if reason := self.cannot():
                raise EngineError(f"{self.base_url}: {reason}")
            if time.monotonic() > ends:
                found = f"it answered HTTP {status}" if status else "nobody answers"
                raise EngineError(
                    f"{self.base_url} was not ready within {timeout_s:.0f} s ({found}): is the server up and the address right?"
                )
            time.sleep(_PAUSE_S)

    def healthy(self) -> bool:
        """True when the address answers and serves the model; its facts are asked the first time."""
        status, _ = self._get(f"{self._root}/health")
        if status != 200 and status not in _NO_HEALTH:
            return False
        if not self.models:
            self._learn()
        elif status != 200:
            return self._get(f"{self.base_url}/models")[0] == 200
        return bool(self.models) and self.cannot() is None

    def stop(self) -> None:
        """Nothing of ours runs there."""

    def chat(self) -> OpenAIChat:
        """A client of this model."""
        return OpenAIChat(self.base_url, self.serving.alias, self._api_key or None)

    def _get(self, url: str) -> tuple[int, dict[str, Any]]:
        """(status, body); status 0 when nobody answered, body {} when it is no JSON object."""
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        try:
            reply = httpx.get(url, headers=headers, timeout=_ASK_S, trust_env=not self._local)
        except httpx.HTTPError:
            return 0, {}
        try:
            body = reply.json()
        except ValueError:
            body = {}
        return reply.status_code, body if isinstance(body, dict) else {}

    def _learn(self) -> None:
        status, body = self._get(f"{self.base_url}/models")
        listed = body.get("data")
        cards = [card for card in listed if isinstance(card, dict) and card.get("id")] if isinstance(listed, list) else []
        if status != 200 or not cards:
            return
        self.models = tuple(str(card["id"]) for card in cards)
        bases = [str(card["id"]) for card in cards if not card.get("parent")]
        if not self.serving.name and len(bases) == 1:
            self.serving = replace(self.serving, name=bases[0])
        mine = next((card for card in cards if card["id"] == self.serving.name), {})
        if size := _context_tokens(mine):
            self.serving = replace(self.serving, context_tokens=size)
        if not self._told:
            told = _facts_told(self._get(f"{self._root}/info")[1], self.serving.name)
            self.facts = told or replace(_facts_of(mine), lora=len(bases) < len(cards))


def _context_tokens(card: Mapping[str, Any]) -> int:
    """From a model's card: `max_model_len` of vLLM, `meta.n_ctx` of llama.cpp; 0 where it is not told."""
    meta = card.get("meta")
    told = card.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return told if isinstance(told, int) and told > 0 else 0


def _facts_of(card: Mapping[str, Any]) -> EngineFacts:
    """By who says to own the model; our own encoders tell their kind."""
    meta = card.get("meta")
    if isinstance(meta, dict) and meta.get("kind") in ("text", "image"):
        return replace(UNKNOWN, stream=False, parallel=False, embeddings=True)
    return BY_OWNER.get(str(card.get("owned_by", "")), UNKNOWN)


def _facts_told(info: Mapping[str, Any], model: str) -> EngineFacts | None:
    """From /info of an SDx server: `facts`, or `models.<name>.facts`, by EngineFacts' own names."""
    models = info.get("models")
    own = models.get(model) if isinstance(models, dict) else None
    told = (own or info).get("facts") if isinstance(own or info, dict) else None
    if not isinstance(told, dict):
        return None
    known = {item.name for item in fields(EngineFacts)} - {"formats"}
    return replace(UNKNOWN, **{key: value for key, value in told.items() if key in known and isinstance(value, bool)})
