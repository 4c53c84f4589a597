"""The official `openai` client against the gateway, with each engine that runs here behind it."""

import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.gateway.app import create_app
from sdx_serving.gateway.config import GatewayConfig
from sdx_serving.gateway.gateway import Gateway

from .conftest import in_thread
from .test_images import data_url, png

openai = pytest.importorskip("openai")
ASK: list[Any] = [{"role": "user", "content": "which option?"}]
SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "why": {"type": "string", "maxLength": 12}},
    "required": ["option", "why"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
TURN: Any = {
    "type": "function",
    "function": {
        "name": "turn",
        "parameters": {"type": "object", "properties": {"side": {"enum": ["port", "starboard"]}}, "required": ["side"]},
    },
}
START_S = 1200.0
"""vLLM loads for minutes on a busy machine."""


@dataclass(frozen=True)
class Behind:
    """A gateway with one engine behind it."""

    url: str
    gateway: Gateway
    engine: str

    def can(self, need: str, upstream: str = "chat") -> bool:
        return need in (self.gateway.upstreams[upstream].facts or ())


@contextmanager
def gateway(upstreams: dict[str, Any], state: Path, engine: str) -> Iterator[Behind]:
    made: list[Gateway] = []
    routes = {name: {"to": [name], "deadline_s": START_S} for name in upstreams}
    config = GatewayConfig.model_validate({"upstreams": upstreams, "routes": routes, "state": state})

    def make() -> Any:
        made.append(Gateway(config))
        return create_app(made[0])

    with in_thread(make) as url:
        yield Behind(f"{url}/v1", made[0], engine)


def local(model: Path, engine: str, **told: Any) -> dict[str, Any]:
    return {"local": {"model": str(model), "engine": engine, "context_tokens": 512, "start_s": START_S, **told}}


def onnx_folders(base: Path) -> tuple[Path, Path]:
    """A decoder and a sentence encoder, as the tests of the ONNX server make them."""
    for name in ("onnx", "onnxruntime", "tokenizers", "jinja2"):
        pytest.importorskip(name)
    place = Path(__file__).parents[1] / "onnx" / "conftest.py"
    spec = importlib.util.spec_from_file_location("onnx_folders", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    decoder = module.write_decoder(base / "tiny-decoder")
    module.write_text_encoder(base / "tiny-texts")
    return decoder, base / "tiny-texts"


def qwen3_folder(base: Path) -> Path:
    """Random weights and a byte vocabulary, for vLLM."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}<|im_end|>{% endfor %}assistant: "
    )
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
    }
    config = transformers.Qwen3Config(vocab_size=320, max_position_embeddings=1024, eos_token_id=tokenizer.eos_token_id, **sizes)
    transformers.Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(base)
    tokenizer.save_pretrained(base)
    return base


@pytest.fixture(
    scope="module",
    params=["llama.cpp", "llama-server", "onnx", pytest.param("vllm", marks=[pytest.mark.slow, pytest.mark.timeout(1500)])],
)
def behind(request: pytest.FixtureRequest, equipped: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    base = tmp_path_factory.mktemp("behind")
    path = os.environ["PATH"]
    binary = shutil.which("llama-server")
    if request.param == "llama-server" and not binary:
        pytest.skip("llama-server is not on the PATH")
    if request.param == "llama.cpp":
        if importlib.util.find_spec("llama_cpp") is None:
            pytest.skip("llama-cpp-python is not installed")
        os.environ["PATH"] = os.pathsep.join(item for item in path.split(os.pathsep) if not (Path(item) / "llama-server").exists())
    try:
        if request.param == "onnx":
            decoder, texts = onnx_folders(base)
            upstreams = {"chat": local(decoder, "onnx"), "vectors": local(texts, "onnx")}
        elif request.param == "vllm":
            from sdx_serving.engines.vllm import Vllm

            if reason := Vllm.missing():
                pytest.skip(reason)
            upstreams = {"chat": local(qwen3_folder(base / "qwen3"), "vllm")}
        else:
            told = {"projector": str(equipped.projector), "adapters": {name: str(path) for name, path in equipped.adapters.items()}}
            parallel = 2 if request.param == "llama-server" else 1  # with adapters, one at a time is our own server's
            chat = local(equipped.model, "llama.cpp", parallel=parallel, **told)
            upstreams = {"chat": chat, "vectors": local(tiny_model, "llama.cpp", embeddings=True)}
        with gateway(upstreams, base / "state", request.param) as served:
            yield served
    finally:
        os.environ["PATH"] = path


@pytest.fixture
def client(behind: Behind) -> Iterator[Any]:
    with openai.OpenAI(base_url=behind.url, api_key="none", max_retries=0, timeout=START_S) as made:
        yield made


def test_chat(client: Any) -> None:
    answer = client.chat.completions.create(model="chat", messages=ASK, max_tokens=8, temperature=0)
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 0 and 0 < answer.usage.completion_tokens <= 8
    assert answer.sdx["answered_by"] == "chat" and answer.sdx["degraded"] is False
    assert answer._request_id


def test_stream_says_what_the_whole_answer_says(client: Any) -> None:
    asked = {"model": "chat", "messages": ASK, "max_tokens": 24, "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert len(chunks) > 1 and chunks[-1].sdx["answered_by"] == "chat"


def test_an_answer_held_to_a_schema(client: Any, behind: Behind) -> None:
    if not behind.can("json_schema"):
        with pytest.raises(openai.BadRequestError, match="json_schema"):
            client.chat.completions.create(model="chat", messages=ASK, response_format=FORMAT)
        return
    answer = client.chat.completions.create(model="chat", messages=ASK, response_format=FORMAT, max_tokens=120, temperature=0)
    # Not strict: xgrammar lets a random model write bare control characters in its strings.
    assert list(json.loads(answer.choices[0].message.content, strict=False)) == ["option", "why"]
    pieces = client.chat.completions.create(model="chat", messages=ASK, response_format=FORMAT, max_tokens=120, temperature=0, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices)
    assert set(json.loads(said, strict=False)) == {"option", "why"}


def test_tools_are_called_or_plainly_refused(client: Any, behind: Behind) -> None:
    try:
        answer = client.chat.completions.create(
            model="chat", messages=ASK, tools=[TURN], tool_choice="required", max_tokens=100, temperature=0
        )
    except openai.BadRequestError as refused:
        assert "tool" in str(refused.body)
        return
    assert behind.can("tools")
    calls = answer.choices[0].message.tool_calls
    if not calls and behind.engine == "llama-server":
        pytest.skip("llama-server does not enforce a call with every template, and a random model makes none")
    call = calls[0]
    assert call.function.name == "turn"


def test_images_are_seen_or_plainly_refused(client: Any, behind: Behind) -> None:
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": data_url(png())}}]
    if behind.can("images"):
        assert client.chat.completions.create(model="chat", messages=[{"role": "user", "content": parts}], max_tokens=4).usage
    else:
        with pytest.raises(openai.BadRequestError, match="images"):
            client.chat.completions.create(model="chat", messages=[{"role": "user", "content": parts}])


def test_embeddings_or_a_plain_refusal(client: Any, behind: Behind) -> None:
    with pytest.raises(openai.BadRequestError, match="embeddings"):
        client.embeddings.create(model="chat", input="hello")
    if "vectors" not in behind.gateway.routes or not behind.can("embeddings", "vectors"):
        pytest.skip("this engine serves no vectors here")
    told = client.embeddings.create(model="vectors", input=["hello", "ships, and more of them"])
    assert [item.index for item in told.data] == [0, 1] and len(told.data[0].embedding) == len(told.data[1].embedding) > 3
    again = client.embeddings.create(model="vectors", input="hello", encoding_format="float")
    assert again.data[0].embedding == pytest.approx(told.data[0].embedding, abs=1e-3)


def test_completions(client: Any) -> None:
    try:
        answer = client.completions.create(model="chat", prompt="which option?", max_tokens=6, temperature=0)
    except (openai.BadRequestError, openai.NotFoundError) as refused:
        pytest.fail(f"the engine serves no /v1/completions: {refused}")
    assert answer.choices[0].finish_reason in ("stop", "length") and isinstance(answer.choices[0].text, str)
    pieces = list(client.completions.create(model="chat", prompt="which option?", max_tokens=6, temperature=0, stream=True))
    said = "".join(piece.choices[0].text for piece in pieces if piece.choices)
    assert answer.choices[0].text.rstrip("\ufffd") == said.rstrip("\ufffd")  # a random model may end within a character


def test_each_adapter_is_a_model_of_its_own(client: Any, behind: Behind) -> None:
    local_ = behind.gateway.config.upstreams["chat"].local
    names = ["chat", *(local_.adapters if local_ else ())]
    if len(names) == 1:
        pytest.skip("this engine has no adapters here")
    asked = {"messages": ASK, "max_tokens": 24, "temperature": 0}
    said = [client.chat.completions.create(model=name, **asked).choices[0].message.content for name in [*names, *names]]
    assert said[: len(names)] == said[len(names) :] and len(set(said)) == len(names)


def test_models(client: Any, behind: Behind) -> None:
    assert {card.id for card in client.models.list()} == set(behind.gateway.routes)
    assert client.models.retrieve("chat").owned_by == "sdx"


def test_errors_are_the_clients_own(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="known: chat"):
        client.chat.completions.create(model="gpt-9", messages=ASK)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="chat", messages=ASK, temperature=9)
    assert wrong.value.param == "temperature" and wrong.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="chat", messages=[])
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "ship " * 3000}], max_tokens=4)


def test_a_deadline_ends_the_answer(client: Any, behind: Behind) -> None:
    # A random model may end its answer at once, but for a schema that asks for a long one.
    long = {
        "type": "object",
        "properties": {"word": {"type": "string", "minLength": 300}},
        "required": ["word"],
        "additionalProperties": False,
    }
    told = {"type": "json_schema", "json_schema": {"name": "long", "strict": True, "schema": long}}
    more = {"response_format": told} if behind.can("json_schema") else {}
    client.chat.completions.create(model="chat", messages=ASK, max_tokens=2)  # loaded
    began = time.monotonic()
    with pytest.raises(openai.InternalServerError) as late:
        client.chat.completions.create(model="chat", messages=ASK, max_tokens=450, extra_headers={"X-SDX-Deadline-S": "0.02"}, **more)
    assert late.value.status_code == 504 and time.monotonic() - began < 5.0
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.02).chat.completions.create(model="chat", messages=ASK, max_tokens=450, **more)
    assert client.chat.completions.create(model="chat", messages=ASK, max_tokens=2).usage.completion_tokens <= 2


def test_eight_at_once_each_get_their_own(client: Any, behind: Behind) -> None:
    if not behind.can("json_schema"):
        pytest.skip("without a schema a random model cannot be made to repeat a word")

    def echoed(nonce: str) -> bool:
        schema = {"type": "object", "properties": {"nonce": {"const": nonce}}, "required": ["nonce"], "additionalProperties": False}
        told: Any = {"type": "json_schema", "json_schema": {"name": "echo", "strict": True, "schema": schema}}
        answer = client.chat.completions.create(model="chat", messages=ASK, response_format=told, max_tokens=200, temperature=0)
        return json.loads(answer.choices[0].message.content) == {"nonce": nonce}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(echoed, [f"n{index * 7919}" for index in range(24)]))
