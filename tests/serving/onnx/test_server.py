"""Our ONNX server as its users see it: real processes, the official client, hostile bodies."""

import hashlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_serving.client import DeadlineExceeded, OpenAIChat
from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.onnx_runtime import OnnxRuntime

openai = pytest.importorskip("openai")
pytest.importorskip("onnxruntime")

ASK: Any = [{"role": "user", "content": "which ship?"}]
SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "ahead": {"type": "boolean"}},
    "required": ["option", "ahead"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


@pytest.fixture(scope="module")
def client(decoder: OnnxRuntime):
    with openai.OpenAI(base_url=decoder.base_url, api_key="none", max_retries=0) as made:
        yield made


def test_a_chat_is_answered_with_the_weights_name(client: Any, decoder_folder: Path) -> None:
    reply = client.chat.completions.create(model="tiny-decoder", messages=ASK, max_tokens=12, temperature=0)
    assert reply.system_fingerprint == "sha256:" + hashlib.sha256((decoder_folder / "model.onnx").read_bytes()).hexdigest()
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 12
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 12
    assert reply.model == "tiny-decoder"


def test_pieces_are_the_whole_and_usage_is_told_when_asked(client: Any) -> None:
    whole = client.chat.completions.create(model="default", messages=ASK, max_tokens=40).choices[0].message.content
    stream = client.chat.completions.create(
        model="default", messages=ASK, max_tokens=40, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    # How many tokens travel together is a matter of the moment (tests/serving/test_turns.py); the end comes after the text.
    assert len(chunks) >= 3 and all(chunk.choices[0].finish_reason is None for chunk in chunks[:-2])
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 40


def test_a_text_is_continued_whole_and_in_pieces_up_to_a_stop(client: Any) -> None:
    whole = client.completions.create(model="default", prompt="ship", max_tokens=40)
    text = whole.choices[0].text
    assert whole.object == "text_completion"
    pieces = client.completions.create(model="default", prompt="ship", max_tokens=40, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == text
    stop = text[5:8]
    stopped = client.completions.create(model="default", prompt="ship", max_tokens=40, stop=[stop])
    assert stopped.choices[0].text == text[: text.find(stop)]
    assert stopped.choices[0].finish_reason == "stop"


def test_an_answer_follows_its_schema(client: Any) -> None:
    pytest.importorskip("llguidance")
    for stream in (False, True):
        reply = client.chat.completions.create(
            model="default", messages=ASK, max_tokens=100, temperature=1.2, seed=3, response_format=FORMAT, stream=stream
        )
        text = "".join(part.choices[0].delta.content or "" for part in reply) if stream else reply.choices[0].message.content
        assert list(json.loads(text)) == ["option", "ahead"]


@pytest.mark.parametrize(
    ("change", "status", "code", "says"),
    [
        ({"model": "gpt-9"}, 404, "model_not_found", "served is tiny-decoder"),
        ({"messages": [{"role": "user", "content": "ship " * 900}]}, 400, "context_length_exceeded", r"tokens, the context has 512"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "invalid_request_error", "tools is not served"),
        ({"n": 2}, 400, "invalid_request_error", "n is not served here: send one request"),
        ({"logprobs": True}, 400, "invalid_request_error", "logprobs is not served"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, None, "image_url"),
        ({"messages": [{"role": "judge", "content": "x"}]}, 400, None, "no judges"),
        ({"messages": []}, 400, None, "messages"),
        ({"temperature": 9}, 400, None, "temperature"),
        ({"response_format": {"type": "yaml"}}, 400, None, "yaml"),
        ({"response_format": {"type": "json_schema"}}, 400, None, "needs a schema"),
        ({"response_format": {"type": "json_object", "schema": {"type": "banana"}}}, 400, None, "response_format"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_served_is_refused_in_openais_shape(
    client: Any, change: dict[str, Any], status: int, code: str | None, says: str, stream: bool
) -> None:
    asked = {"model": "default", "messages": ASK, "stream": stream} | change
    with pytest.raises(openai.APIStatusError, match=says) as caught:
        client.chat.completions.create(**asked)
    assert caught.value.status_code == status
    assert caught.value.type == "invalid_request_error"
    assert code in (None, caught.value.code)


def test_paths_methods_keys_and_sizes_are_refused_in_the_same_shape(decoder: OnnxRuntime) -> None:
    with httpx.Client(base_url=decoder.base_url) as http:
        replies = [http.get("/nothing"), http.get("/chat/completions"), http.post("/chat/completions", content=b" " * (33 << 20))]
        assert [reply.status_code for reply in replies] == [404, 405, 413]
        replies.append(http.post("/embeddings", json={"input": "x"}))
        assert replies[-1].status_code == 400
        assert "gives answers, no vectors" in replies[-1].json()["error"]["message"]
        assert all(set(reply.json()["error"]) == {"message", "type", "code", "param"} for reply in replies)
        models = http.get("/models").json()["data"]
        assert models[0]["meta"]["n_ctx"] == 512


def test_who_leaves_frees_the_model(decoder: OnnxRuntime) -> None:
    with decoder.chat() as chat:
        began = time.monotonic()
        for _ in range(4):
            with pytest.raises(DeadlineExceeded):
                chat.complete(ASK, max_tokens=480, deadline_s=0.02)
            stream = chat.stream(ASK, max_tokens=480)
            next(stream)
            stream.close()  # type: ignore[attr-defined]
        assert chat.complete(ASK, max_tokens=2, deadline_s=5.0).completion_tokens == 2
        left_s = time.monotonic() - began
        began = time.monotonic()
        chat.complete(ASK, max_tokens=480, temperature=1.0)
        assert left_s < 8 * (time.monotonic() - began) + 2.0


def test_several_who_ask_at_once_all_get_their_answer(decoder: OnnxRuntime) -> None:
    with decoder.chat() as chat:
        alone = chat.complete(ASK, max_tokens=30).text
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: chat.complete(ASK, max_tokens=30, deadline_s=20).text, range(8))) == [alone] * 8


def test_a_killed_server_answers_again(decoder: OnnxRuntime) -> None:
    with decoder.chat() as chat:
        before = chat.complete(ASK, max_tokens=20).text
        assert decoder.pid
        os.kill(decoder.pid, signal.SIGKILL)
        ends = time.monotonic() + 20
        while decoder.restarts == 0 or not decoder.healthy():
            assert time.monotonic() < ends, "the server did not come back"
            time.sleep(0.05)
        assert chat.complete(ASK, max_tokens=20).text == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["text", "json_object", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "model", "messages", "prompt", "input", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "n",
    "response_format", "tools", "encoding_format", "dimensions", "frequency_penalty", "truncate_prompt_tokens", "patches",
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)).map(lambda body: json.dumps(body).encode()),
    st.fixed_dictionaries(
        {"messages": st.just(ASK), "prompt": st.just("x"), "input": st.just("x"), "max_tokens": st.just(2)},
        optional=dict.fromkeys(FIELDS[6:], JSON),
    ).map(lambda body: json.dumps(body).encode()),
)


@pytest.fixture(scope="module")
def http():
    with httpx.Client(timeout=30) as client:
        yield client


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(body=BODIES, path=st.sampled_from(["chat/completions", "completions", "embeddings"]))
def test_no_body_breaks_the_server(decoder: OnnxRuntime, texts: Any, http: httpx.Client, body: bytes, path: str) -> None:
    for engine in (decoder, texts[0]):
        life = engine.pid
        reply = http.post(f"{engine.base_url}/{path}", content=body)
        assert reply.status_code == 200 or 400 <= reply.status_code < 500, (body, reply.text)
        if reply.status_code != 200:
            assert set(reply.json()["error"]) == {"message", "type", "code", "param"}
        assert engine.pid == life


def test_what_cannot_start_says_why(decoder_folder: Path, tmp_path: Path) -> None:
    def started(model: Path, **more: Any) -> OnnxRuntime:
        return OnnxRuntime(Serving(str(model), **more), log=tmp_path / "log")

    with pytest.raises(EngineError, match="has no model.onnx"):
        started(tmp_path).start()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/model.onnx").write_text("hello")
    with pytest.raises(EngineError, match="neither tokenizer.json nor preprocessor_config.json"):
        started(tmp_path / "bare").start()
    (tmp_path / "bare/tokenizer.json").write_text("{}")
    with pytest.raises(EngineError, match="is no graph that ONNX Runtime"):
        started(tmp_path / "bare").start(20)
    with pytest.raises(EngineError, match="this ONNX Runtime has .*CPUExecutionProvider, but no CUDAExecutionProvider: type `pip install"):
        started(decoder_folder, flags=("--provider", "cuda")).start(20)
    with pytest.raises(EngineError, match="no LoRA adapters"):
        started(decoder_folder, adapters={"ship": tmp_path}).start()
    with pytest.raises(EngineError, match="no embeddings"):
        started(decoder_folder, embeddings=True).start()


def test_a_key_is_asked_for_when_it_is_set(decoder_folder: Path, tmp_path: Path) -> None:
    served = Serving(str(decoder_folder / "model.onnx"), name="own", flags=("--api-key", "secret"))
    with OnnxRuntime(served, log=tmp_path / "log") as engine:
        assert httpx.post(f"{engine.base_url}/chat/completions", json={"messages": ASK}).status_code == 401
        with OpenAIChat(engine.base_url, "own", api_key="secret") as chat:
            assert chat.complete(ASK, max_tokens=2).completion_tokens == 2


def test_facts_tell_what_the_folder_does(decoder: OnnxRuntime, texts: Any, images: Any) -> None:
    assert (decoder.facts.stream, decoder.facts.embeddings, decoder.facts.images) == (True, False, False)
    assert (texts[0].facts.stream, texts[0].facts.embeddings, texts[0].facts.images) == (False, True, False)
    assert (images[0].facts.embeddings, images[0].facts.images) == (True, True)
