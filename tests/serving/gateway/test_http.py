"""The gateway at its border: keys, limits, malformed requests, the pages beside the models, records, nothing secret told."""

import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_serving.gateway.keys import KeyStore

from .conftest import Cloud, Serve, Served, two
from .test_images import data_url, png
from .test_relay import HTTP, SAY, ask, until


def with_key(served: Served, name: str = "bridge", **bounds: Any) -> str:
    with KeyStore(served.gateway.config.state / "keys.sqlite") as store:
        return store.add(name, **bounds)[1]


def auth(key: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {key}"}}


def is_openai_error(reply: httpx.Response) -> bool:
    error = reply.json().get("error", {})
    return set(error) == {"message", "type", "param", "code"} and bool(error["message"])


def test_with_a_key_made_nobody_enters_without(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    assert ask(served).status_code == 200
    key = with_key(served)
    for page in ("/v1/models", "/info", "/running", "/metrics"):
        assert httpx.get(served.url + page).status_code == 401
        assert httpx.get(served.url + page, **auth(key)).status_code == 200
    assert httpx.get(f"{served.url}/health").json() == {"status": "ok"}
    refused = ask(served)
    assert refused.status_code == 401 and is_openai_error(refused) and refused.json()["error"]["type"] == "authentication_error"
    assert ask(served, **auth(key)).status_code == 200
    assert all(key not in str(headers) for headers in cloud.headers)  # a client's key does not travel on


def test_a_key_sees_and_asks_its_models_only(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    told = two(cloud, edge)
    told["routes"]["farm"] = {"to": ["edge"]}
    served = serve(told)
    key = with_key(served, models=["farm"])
    shown = httpx.get(f"{served.v1}/models", **auth(key)).json()["data"]
    assert [card["id"] for card in shown] == ["farm"]
    refused = ask(served, **auth(key))
    assert refused.status_code == 403 and "may not ask 'ship'; it may: farm" in refused.json()["error"]["message"]
    unknown = ask(served, model="nothing", **auth(key))
    assert unknown.status_code == 404 and "known: farm" in unknown.json()["error"]["message"]


def test_rate_and_budget_are_429_with_a_time(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    key = with_key(served, requests_per_min=2)
    assert [ask(served, **auth(key)).status_code for _ in range(3)] == [200, 200, 429]
    poor = with_key(served, "poor", tokens_per_day=60)
    replies = [ask(served, **auth(poor)) for _ in range(8)]
    assert replies[0].status_code == 200 and replies[-1].status_code == 429
    assert replies[-1].json()["error"]["code"] == "token_budget_exceeded" and int(replies[-1].headers["retry-after"]) > 0
    with KeyStore(served.gateway.config.state / "keys.sqlite") as store:
        used = store.used(next(item for item in store.all() if item.name == "poor"))
    assert 0 < used["tokens"] <= 60


def test_without_a_key_a_foreign_name_for_this_machine_is_refused(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    assert ask(served, headers={"Host": "evil.example"}).status_code == 403
    assert ask(served, headers={"Host": "localhost:1"}).status_code == 200


def test_a_page_elsewhere_cannot_send_what_a_browser_sends_unasked(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    reply = httpx.post(f"{served.v1}/chat/completions", content=json.dumps(SAY), headers={"content-type": "text/plain"})
    assert reply.status_code == 415 and is_openai_error(reply)
    assert not cloud.asked


def test_a_large_body_is_refused_before_it_is_read(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge) | {"limits": {"body_mb": 0.01}})
    large = ask(served, messages=[{"role": "user", "content": "x" * 20_000}])
    assert large.status_code == 413 and is_openai_error(large)

    def pieces():
        for _ in range(30):
            yield b"x" * 1000

    streamed = httpx.post(f"{served.v1}/chat/completions", content=pieces(), headers={"content-type": "application/json"})
    assert streamed.status_code == 413


def test_images_are_looked_at_before_they_go_on(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge) | {"limits": {"images": 1, "image_mpixels": 0.1}})

    def look(*urls: str) -> httpx.Response:
        parts = [{"type": "text", "text": "what is this?"}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]
        return ask(served, messages=[{"role": "user", "content": parts}])

    assert look(data_url(png())).json()["choices"][0]["message"]["content"] == "an image"
    assert look(data_url(png(400, 400))).status_code == 413
    assert look(data_url(png()), data_url(png())).json()["error"]["code"] == "too_many_images"
    assert look("http://169.254.169.254/latest/meta-data").json()["error"]["code"] == "image_fetch_off"
    assert look("data:image/png;base64,AAAA").json()["error"]["code"] == "invalid_image"
    assert len(cloud.asked) == 1


def test_unknown_addresses_and_methods_have_openais_shape(serve: Serve, cloud: Cloud, edge: Cloud) -> None:
    served = serve(two(cloud, edge))
    for method, path, status in (
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/audio", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models/none", 404),
    ):
        reply = httpx.request(method, served.url + path)
        assert reply.status_code == status and is_openai_error(reply)
    assert httpx.get(f"{served.v1}/models/ship").json()["id"] == "ship"


def test_the_pages_tell_how_it_stands_and_nothing_secret(
    serve: Serve, cloud: Cloud, edge: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CLOUD_KEY", "sk-very-secret")
    told = two(cloud, edge)
    told["upstreams"]["cloud"]["key_env"] = "CLOUD_KEY"
    with caplog.at_level(logging.DEBUG, "sdx.gateway"):
        served = serve(told)
        cloud.status = 401
        refused = ask(served)
        cloud.status = 422
        passed_on = ask(served)
        cloud.status = 200
        ask(served)
        ask(served, model="x" * 90)
        pages = {page: httpx.get(served.url + page).text for page in ("/info", "/metrics", "/running", "/v1/models")}
    assert cloud.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in caplog.text + refused.text + passed_on.text + "".join(pages.values())
    assert "says no Bearer ***" in passed_on.text and "Bearer ***" in refused.json()["sdx"]["reason"]
    info = json.loads(pages["/info"])
    assert info["models"]["ship"]["facts"]["tools"] is True
    assert info["upstreams"]["cloud"]["circuit"] == "closed" and info["upstreams"]["cloud"]["expect_s"] > 0
    assert 'sdx_gateway_requests_total{answered_by="edge",degraded="true",route="ship",status="200"} 1.0' in pages["/metrics"]
    assert "xxxxxxxx" not in pages["/metrics"]  # no client makes labels


def test_a_missing_variable_is_named_at_the_start(serve: Serve, cloud: Cloud, edge: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUD_KEY", raising=False)
    told = two(cloud, edge)
    told["upstreams"]["cloud"]["key_env"] = "CLOUD_KEY"
    with pytest.raises(ValueError, match="the variable CLOUD_KEY is not set"):
        serve(told)


class Records(ThreadingHTTPServer):
    """A collector."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        records = self.records

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                records.extend(json.loads(self.rfile.read(int(self.headers["content-length"])))["records"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answer)


@pytest.mark.parametrize("bodies", [False, True])
def test_a_record_of_each_request_reaches_the_collector(serve: Serve, cloud: Cloud, edge: Cloud, bodies: bool) -> None:
    with Records() as collector:
        threading.Thread(target=collector.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{collector.server_address[1]}/"
        served = serve(two(cloud, edge) | {"collector": {"url": url, "bodies": bodies}})
        ask(served, headers={"X-Request-Id": "turn-7"})
        cloud.stop()
        ask(served, stream=True)
        ask(served, temperature=9)
        until(lambda: len(collector.records) == 2)
        collector.shutdown()
    first, second = collector.records
    assert (first["request"], first["answered_by"], first["degraded"], first["completion_tokens"]) == ("turn-7", "cloud", False, 4)
    assert (second["answered_by"], second["degraded"], second["completion_tokens"]) == ("edge", True, 8)
    assert ("one two" in json.dumps(first)) is bodies and ("three" in json.dumps(second)) is bodies


@pytest.fixture
def door(serve: Serve, cloud: Cloud, edge: Cloud) -> Served:
    return serve(two(cloud, edge))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=8
)  # fmt: skip
FIELDS = (
    "model",
    "messages",
    "max_tokens",
    "temperature",
    "top_p",
    "stream",
    "stop",
    "response_format",
    "tools",
    "n",
    "seed",
    "prompt",
    "input",
)
SOUND = {
    "chat/completions": SAY,
    "completions": {"model": "ship", "prompt": "one two"},
    "embeddings": {"model": "ship", "input": "one two"},
}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True)
@given(surface=st.sampled_from(sorted(SOUND)), field=st.sampled_from(FIELDS), value=values, raw=st.none() | st.binary(max_size=60))
def test_malformed_requests_get_4xx_in_openais_shape(door: Served, surface: str, field: str, value: Any, raw: bytes | None) -> None:
    """A sound request with one field replaced by anything, or bytes that are no request."""
    if raw is None:
        try:
            body = json.dumps(SOUND[surface] | {field: value}).encode()
        except UnicodeEncodeError:
            return
    else:
        body = raw
    reply = HTTP.post(f"{door.v1}/{surface}", content=body, headers={"content-type": "application/json"}, timeout=10.0)
    assert reply.status_code == 200 or (400 <= reply.status_code < 500 and is_openai_error(reply)), (reply.status_code, reply.text, body)
    assert raw is None or reply.status_code >= 400
    assert HTTP.get(f"{door.url}/health").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 50 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: -5\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        b"GET /v1/models HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n",
    ],
)
def test_what_is_hardly_http_does_not_hurt(door: Served, raw: bytes) -> None:
    where = urlsplit(door.url)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=5.0) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        said = client.recv(1000)
    assert said == b"" or b" 4" in said.split(b"\r\n")[0]
    assert ask(door).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000,
        b'{"a":' * 3000,
        b"nul",
        b"\xff\xfe{}",
        b"",
        b"[]",
        b'"x"',
        b'{"model":"ship","messages":[' + b'{"role":"user","content":[' * 500,
    ],
)
def test_deep_and_broken_json_is_400(door: Served, body: bytes) -> None:
    reply = httpx.post(f"{door.v1}/chat/completions", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400 and is_openai_error(reply)
