"""An address as an engine: a real llama.cpp, and servers that answer as clouds do."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from sdx_serving.engine import EngineError, EngineFacts
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_serving.engines.remote import RemoteEngine

KEY = "sk-test"
CARD = {"id": "gpt-5", "object": "model", "owned_by": "system"}


class Cloud(http.server.BaseHTTPRequestHandler):
    """Answers by path; 404 for what it does not know, 401 without the key where it wants one."""

    pages: ClassVar[dict[str, Any]] = {}
    key: ClassVar[str] = ""

    def do_GET(self) -> None:
        found = self.pages.get(self.path)
        allowed = not self.key or self.headers["Authorization"] == f"Bearer {self.key}"
        status, body = (401, {}) if not allowed else (404, {}) if found is None else (found, {}) if isinstance(found, int) else (200, found)
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def cloud(pages: dict[str, Any], key: str = "", port: int = 0) -> Iterator[str]:
    handler = type("Page", (Cloud,), {"pages": pages, "key": key})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def models(*cards: dict[str, Any]) -> dict[str, Any]:
    return {"/v1/models": {"object": "list", "data": list(cards)}}


def test_a_running_engine_is_asked_what_it_is(engine: LlamaCpp) -> None:
    with RemoteEngine(f"http://127.0.0.1:{engine.port}") as remote:
        assert remote.base_url == engine.base_url
        assert remote.serving.alias == engine.serving.alias
        assert remote.serving.context_tokens == 8192
        assert remote.facts.json_schema
        assert list(remote.command()) == [] and remote.pid is None and remote.restarts == 0
        with remote.chat() as chat:
            assert chat.complete([{"role": "user", "content": "x"}], max_tokens=2).completion_tokens == 2
    assert engine.healthy()  # leaving the block ended nothing of it


def test_a_cloud_has_no_health_page_but_models() -> None:
    with cloud(models(CARD), KEY) as url:
        remote = RemoteEngine(f"{url}/v1", "gpt-5", KEY)
        remote.start(5)
        assert remote.healthy()
        assert remote.facts.json_schema and remote.facts.tools and remote.facts.images and not remote.facts.lora


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_REMOTE_API_KEY", KEY)
    with cloud(models(CARD), KEY) as url:
        assert RemoteEngine(url).healthy()
        with pytest.raises(EngineError, match="refuses the API key"):
            RemoteEngine(url, api_key="wrong").start(5)


def test_a_name_that_is_not_served_gets_those_that_are() -> None:
    with cloud(models(CARD, CARD | {"id": "gpt-5-mini"})) as url:
        with pytest.raises(EngineError, match="serves no 'gpt-4', but gpt-5, gpt-5-mini"):
            RemoteEngine(url, "gpt-4").start(5)
        with pytest.raises(EngineError, match="several models, name one of gpt-5"):
            RemoteEngine(url).start(5)


def test_adapters_are_known_by_their_parent() -> None:
    base = {"id": "qwen", "owned_by": "vllm", "parent": None, "max_model_len": 512}
    with cloud(models(base, base | {"id": "ship", "parent": "qwen"})) as url:
        remote, adapter = RemoteEngine(url), RemoteEngine(url, "ship")
        assert remote.healthy() and adapter.healthy()
        assert (remote.serving.name, remote.serving.context_tokens, remote.facts.lora) == ("qwen", 512, True)


def test_an_encoder_gives_vectors_and_no_answers() -> None:
    with cloud(models({"id": "minilm", "owned_by": "sdx", "meta": {"kind": "text"}})) as url:
        remote = RemoteEngine(url)
        assert remote.healthy() and remote.facts.embeddings and not remote.facts.json_schema


def test_what_its_info_page_says_is_believed() -> None:
    told = {"json_schema": True, "embeddings": True, "parallel": False, "shoe_size": 3}
    with cloud(models(CARD) | {"/info": {"models": {"gpt-5": {"facts": told}}}}) as url:
        remote = RemoteEngine(url)
        assert remote.healthy()
        assert remote.facts == EngineFacts((), json_schema=True, stream=True, parallel=False, embeddings=True)
    with cloud(models(CARD) | {"/info": {"facts": {"tools": True}}}) as url:
        remote = RemoteEngine(url)
        assert remote.healthy() and remote.facts.tools and not remote.facts.json_schema


def test_what_nobody_tells_is_not_claimed_but_the_operator_may() -> None:
    stranger = {"id": "m", "owned_by": "someone"}
    with cloud(models(stranger)) as url:
        plain, told = RemoteEngine(url), RemoteEngine(url, facts=EngineFacts((), json_schema=True, stream=True, parallel=True))
        assert plain.healthy() and not plain.facts.json_schema
        assert told.healthy() and told.facts.json_schema


def test_one_that_loads_or_is_broken_is_not_healthy() -> None:
    with cloud(models(CARD) | {"/health": 503}) as url:
        assert not RemoteEngine(url).healthy()
        with pytest.raises(EngineError, match="not ready within 1 s .it answered HTTP 200"):
            RemoteEngine(url).start(0.6)
    with cloud({"/health": {}, "/v1/models": 500}) as url:
        assert not RemoteEngine(url).healthy()
    with cloud({"/v1/models": {"data": "none"}}) as url:
        assert not RemoteEngine(url).healthy()


def test_one_that_goes_and_returns_is_seen() -> None:
    with cloud(models(CARD)) as url:
        remote = RemoteEngine(url)
        assert remote.healthy()
        port = int(url.rpartition(":")[2])
    assert not remote.healthy()
    with cloud(models(CARD), port=port):
        assert remote.healthy()


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9/v1 was not ready within 1 s .nobody answers"):
        RemoteEngine("http://127.0.0.1:9").start(0.6)


@pytest.mark.parametrize("url", ["", "host:8000", "ftp://host/v1", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(EngineError, match="is no address"):
        RemoteEngine(url)


def test_a_path_of_its_own_is_kept() -> None:
    assert RemoteEngine("https://api.example.com/openai/v1/").base_url == "https://api.example.com/openai/v1"
    assert RemoteEngine("http://host:8000/").base_url == "http://host:8000/v1"
