"""A cloud to fall back from, that does as it is told, and gateways in front of it."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sdx_serving.gateway.app import create_app
from sdx_serving.gateway.config import GatewayConfig
from sdx_serving.gateway.gateway import Gateway
from sdx_serving.ports import free_port
from sdx_serving.registry import Registry

SHA = "ab" * 32


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDX_GATEWAY", str(tmp_path / "own-state"))


@contextmanager
def in_thread(make: Callable[[], Any], port: int = 0) -> Iterator[str]:
    """An ASGI application, made inside the thread that serves it. Its address."""
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config("", port=port, log_level="warning", timeout_graceful_shutdown=1))
    failed: list[BaseException] = []

    async def serve() -> None:
        try:
            server.config.app = make()
            await server.serve()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ends = time.monotonic() + 30.0
    while not server.started:
        if failed:
            raise failed[0]
        assert time.monotonic() < ends
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(15.0)
        assert not thread.is_alive()


@dataclass
class Cloud:
    """An OpenAI-compatible server elsewhere. It says the words of the question back, one event each."""

    url: str = ""
    delay_s: float = 0.0
    """Before its first token."""
    between_s: float = 0.0
    """Between two tokens."""
    status: int = 200
    breaks_after: int | None = None
    """Tokens after which the connection drops."""
    port: int = field(default_factory=free_port)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: int = 0
    """Clients that went before the end."""
    together: int = 0
    most: int = 0
    """Requests that it has worked on at the same time."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self._stack.enter_context(in_thread(self._app, self.port))
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        self._stack.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
                Route("/v1/models", lambda _: JSONResponse({"object": "list", "data": [{"id": "big", "owned_by": "openai"}]})),
            ]
        )

    async def _chat(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        self.together += 1
        self.most = max(self.most, self.together)
        ends = time.monotonic() + self.delay_s
        while time.monotonic() < ends:
            await asyncio.sleep(min(0.02, self.delay_s))
            if await request.is_disconnected():
                self.left += 1
                break
        self.together -= 1
        if self.status != 200:
            who = request.headers.get("authorization", "")  # as some clouds do
            return JSONResponse(
                {"error": {"message": f"the cloud says no {who}".strip(), "type": "x", "param": None, "code": "no"}}, self.status
            )
        said = body["messages"][-1].get("content") if request.url.path.endswith("chat/completions") else body["prompt"]
        words = (said if isinstance(said, str) else "an image").split(" ")
        if body.get("stream"):
            return StreamingResponse(self._events(words, bool(body.get("stream_options"))), media_type="text/event-stream")
        usage = {"prompt_tokens": 5, "completion_tokens": len(words), "total_tokens": 5 + len(words)}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(words)},
            "text": " ".join(words),
            "finish_reason": "stop",
        }
        return JSONResponse({"id": "c", "object": "chat.completion", "created": 1, "model": "big", "choices": [choice], "usage": usage})

    async def _events(self, words: list[str], usage: bool) -> Any:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "big"}

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            return b"data: " + orjson.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + b"\n\n"

        try:
            yield event({"role": "assistant", "content": ""})
            for index, word in enumerate(words):
                if index == self.breaks_after:
                    raise RuntimeError("the wire is cut")
                yield event({"content": word if not index else f" {word}"})
                await asyncio.sleep(self.between_s)
            yield event({}, "stop")
            if usage:
                counted = {"prompt_tokens": 5, "completion_tokens": 2 * len(words), "total_tokens": 5 + 2 * len(words)}
                yield b"data: " + orjson.dumps(head | {"choices": [], "usage": counted}) + b"\n\n"
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.left += 1
            raise

    async def _embed(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": index, "embedding": [float(len(text)), 1.0]} for index, text in enumerate(texts)]
        return JSONResponse({"object": "list", "model": "big", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}})


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    there = Cloud()
    there.start()
    yield there
    there.stop()


@pytest.fixture
def edge() -> Iterator[Cloud]:
    """A second one, to fall back to."""
    there = Cloud()
    there.start()
    yield there
    there.stop()


@dataclass(frozen=True)
class Served:
    """A running gateway."""

    url: str
    gateway: Gateway

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts gateways of a told file; they end with the test."""
    with ExitStack() as stack:

        def start(told: dict[str, Any], registry: Registry | None = None) -> Served:
            made: list[Gateway] = []
            config = GatewayConfig.model_validate({"state": tmp_path / "state"} | told)

            def make() -> Starlette:
                made.append(Gateway(config, registry))
                return create_app(made[0])

            return Served(stack.enter_context(in_thread(make)), made[0])

        yield start


@contextmanager
def process(told: dict[str, Any], folder: Path) -> Iterator[str]:
    """A gateway as a process of its own; its address without the version."""
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(told | {"state": str(folder / "state")}), encoding="utf-8")
    command = [sys.executable, "-m", "sdx_serving.gateway.server", "--config", str(file), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            yield running.stdout.readline().split()[-1].removesuffix("/v1")
        finally:
            running.terminate()


def two(cloud: Cloud, edge: Cloud, **route: Any) -> dict[str, Any]:
    """A file with a cloud and something to fall back to."""
    can = ["json_schema", "tools", "images", "embeddings"]
    return {
        "upstreams": {
            "cloud": {"url": cloud.url, "model": "big", "can": can},
            "edge": {"url": edge.url, "model": "small", "can": can, "sha256": SHA, "concurrency": 8},
        },
        "routes": {"ship": {"to": ["cloud", "edge"], **route}},
        "breaker": {"failures": 3, "probe_s": 0.3},
    }


needs_llama = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
