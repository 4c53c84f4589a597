"""Our llama.cpp server as the official openai client sees it: real processes, tiny models, llama_cpp itself to compare with."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, Field

from sdx_serving.engine import Serving
from sdx_serving.engines.llama_cpp import LlamaCpp

openai = pytest.importorskip("openai")
ASK = [{"role": "user", "content": "which option?"}]
KEY = "a-secret"
STEER = {
    "type": "function",
    "function": {
        "name": "steer",
        "parameters": {
            "type": "object",
            "properties": {"to": {"$ref": "#/$defs/Course"}, "why": {"type": "string", "maxLength": 9}},
            "required": ["to", "why"],
            "additionalProperties": False,
            "$defs": {"Course": {"enum": ["port", "starboard"]}},
        },
    },
}
STOP = {"type": "function", "function": {"name": "stop"}}


def data_uri(seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def showing(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]}]


@pytest.fixture(scope="module")
def engine(equipped: Any, llama_cpp_library: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    asked = Serving(str(equipped.model), context_tokens=1024, projector=equipped.projector, adapters=equipped.adapters)
    with LlamaCpp(asked, log=tmp_path_factory.mktemp("log") / "engine.log") as running:
        yield running


@pytest.fixture(scope="module")
def client(engine: LlamaCpp) -> Iterator[Any]:
    with openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def vectors(tiny_model: Path, llama_cpp_library: Any, no_llama_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a server of vectors that wants a key."""
    asked = Serving(str(tiny_model), context_tokens=256, embeddings=True, flags=("--api-key", KEY))
    log = tmp_path_factory.mktemp("log") / "vectors.log"
    with LlamaCpp(asked, log=log) as engine, openai.OpenAI(base_url=engine.base_url, api_key=KEY, max_retries=0) as made:
        yield made


def said(client: Any, messages: Sequence[Any] = ASK, **more: Any) -> str:
    return client.chat.completions.create(**({"model": "wise", "messages": messages, "max_tokens": 24} | more)).choices[0].message.content


def test_an_answer_is_the_same_whole_and_in_events_and_its_tokens_are_counted(client: Any) -> None:
    whole = client.chat.completions.create(model="default", messages=ASK, max_tokens=24)
    stream = client.chat.completions.create(
        model="wise.gguf", messages=ASK, max_tokens=24, stream=True, stream_options={"include_usage": True}
    )
    events = list(stream)
    assert "".join(event.choices[0].delta.content or "" for event in events[:-1]) == whole.choices[0].message.content
    assert events[0].choices[0].delta.role == "assistant"
    assert events[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert events[-1].choices == [] and events[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert events[-1].usage.prompt_tokens == whole.usage.prompt_tokens == events[-1].usage.prompt_tokens_details.cached_tokens + 1
    assert whole.model == events[0].model == "wise"


def test_an_answer_in_a_schema_is_parsed_by_the_client(client: Any) -> None:
    class Order(BaseModel):
        side: Literal["port", "starboard"]
        why: str = Field(max_length=12)

    order = client.chat.completions.parse(model="wise", messages=ASK, response_format=Order, max_tokens=200).choices[0].message.parsed
    assert order.side in ("port", "starboard") and len(order.why) <= 12


def test_a_text_is_continued_as_llama_cpp_continues_it(client: Any, equipped: Any, llama_cpp_library: Any, greedy: Any) -> None:
    prompt = "own ship 000 12.0 kn"
    with closing(llama_cpp_library.Llama(str(equipped.model), n_ctx=1024, n_threads=1, n_threads_batch=1, verbose=False)) as llama:
        wanted = greedy(llama, llama.tokenize(prompt.encode(), add_bos=False), 30)
    whole = client.completions.create(model="wise", prompt=prompt, max_tokens=30)
    assert whole.choices[0].text == wanted and whole.usage.prompt_tokens == len(prompt)
    pieces = list(client.completions.create(model="wise", prompt=[prompt], max_tokens=30, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == wanted


@pytest.mark.parametrize(
    ("choice", "names"), [("required", ("steer", "stop")), ({"type": "function", "function": {"name": "steer"}}, ("steer",))]
)
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_function_that_must_be_called_is_called_as_its_schema_says(
    client: Any, choice: Any, names: tuple[str], temperature: float
) -> None:
    asked = {"model": "wise", "messages": ASK, "tools": [STEER, STOP], "tool_choice": choice, "temperature": temperature, "max_tokens": 300}
    answer = client.chat.completions.create(**asked).choices[0]
    (call,) = answer.message.tool_calls
    assert answer.finish_reason == "tool_calls" and answer.message.content is None
    check_call(call.function, names)
    deltas = [event.choices[0].delta for event in client.chat.completions.create(**asked, stream=True)]
    (streamed,) = [call for delta in deltas for call in delta.tool_calls or []]
    assert (streamed.index, streamed.function.model_dump()) == (0, call.function.model_dump()) and streamed.id


def check_call(function: Any, names: Sequence[str]) -> None:
    told = json.loads(function.arguments)
    assert function.name in names
    if function.name == "steer":
        assert list(told) == ["to", "why"] and told["to"] in ("port", "starboard")


def test_tools_that_may_be_called_are_shown_and_their_results_taken(client: Any) -> None:
    plain = client.chat.completions.create(model="wise", messages=ASK, max_tokens=4)
    shown = client.chat.completions.create(model="wise", messages=ASK, tools=[STEER], max_tokens=4)
    assert shown.usage.prompt_tokens > plain.usage.prompt_tokens + 50 and not shown.choices[0].message.tool_calls
    hidden = client.chat.completions.create(model="wise", messages=ASK, tools=[STEER], tool_choice="none", max_tokens=4)
    assert hidden.usage.prompt_tokens == plain.usage.prompt_tokens
    call = {"id": "call_1", "type": "function", "function": {"name": "steer", "arguments": '{"to": "port", "why": "x"}'}}
    turns = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    told = client.chat.completions.create(model="wise", messages=turns, tools=[STEER], max_tokens=4)
    assert told.usage.prompt_tokens > shown.usage.prompt_tokens + len("assistant tool_call port x tool done")


def test_adapters_are_asked_for_by_name_and_answer_as_llama_cpp_does(
    client: Any, equipped: Any, llama_cpp_library: Any, greedy: Any
) -> None:
    def adapted(**given: Any) -> str:
        with closing(
            llama_cpp_library.Llama(str(equipped.model), n_ctx=256, n_threads=1, n_threads_batch=1, verbose=False, **given)
        ) as llama:
            return greedy(llama, llama.tokenize(b"own ship", add_bos=False), 20)

    wanted = {"wise": adapted()} | {name: adapted(lora_path=str(path)) for name, path in equipped.adapters.items()}
    assert len(set(wanted.values())) == 3
    for name in ("ship", "wise", "farm", "farm", "ship", "wise"):
        told = client.completions.create(model=name, prompt="own ship", max_tokens=20)
        assert (told.model, told.choices[0].text) == (name, wanted[name])
    cards = {card.id: card for card in client.models.list().data}
    assert list(cards) == ["wise", "ship", "farm"] and cards["ship"].parent == "wise"
    marks = {client.completions.create(model=name, prompt="x", max_tokens=1).system_fingerprint for name in cards}
    assert marks == {f"sha256:{card.meta['sha256']}" for card in cards.values()} and len(marks) == 3
    assert client.models.retrieve("ship").id == "ship"


def test_images_are_seen_as_llama_cpp_sees_them(client: Any, equipped: Any, llama_cpp_library: Any) -> None:
    from llama_cpp.llama_chat_format import MTMDChatHandler  # pyright: ignore[reportMissingImports]

    answers = [said(client, showing(data_uri(seed))) for seed in (1, 2, 1)]
    assert answers[0] == answers[2] != answers[1]
    handler = MTMDChatHandler(str(equipped.projector), verbose=False, use_gpu=False)
    with closing(
        llama_cpp_library.Llama(str(equipped.model), n_ctx=1024, n_threads=1, n_threads_batch=1, verbose=False, chat_handler=handler)
    ) as llama:
        told = llama.create_chat_completion(showing(data_uri(1)), max_tokens=24, temperature=0.0, repeat_penalty=1.0)
    readable = answers[0].replace("\ufffd", "")  # random weights say bytes that are no text; the handler leaves them out
    assert readable and told["choices"][0]["message"]["content"].startswith(readable)
    again = client.chat.completions.create(model="wise", messages=showing(data_uri(1)), max_tokens=1).usage
    assert again.prompt_tokens_details.cached_tokens == again.prompt_tokens - 1  # the image is not looked at twice
    two = [{"role": "user", "content": showing(data_uri(1))[0]["content"] + showing(data_uri(2))[0]["content"]}]
    counted = client.chat.completions.create(model="wise", messages=two, max_tokens=1).usage
    assert counted.prompt_tokens == again.prompt_tokens + 16 + len("see")


def test_vectors_are_the_mean_over_the_tokens_and_come_in_both_encodings(vectors: Any, tiny_model: Path, llama_cpp_library: Any) -> None:
    texts = ["own ship", "give way", "own ship"]
    told = vectors.embeddings.create(model="tiny", input=texts)  # base64, as the client asks by itself
    plain = vectors.embeddings.create(model="tiny", input=texts, encoding_format="float")
    got = np.array([item.embedding for item in told.data])
    assert np.allclose(got, [item.embedding for item in plain.data])
    assert np.allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5) and np.allclose(got[0], got[2], atol=1e-6)
    assert told.usage.prompt_tokens == sum(map(len, texts))
    with closing(
        llama_cpp_library.Llama(
            str(tiny_model), n_ctx=256, n_threads=1, n_threads_batch=1, verbose=False, embedding=True,
            pooling_type=llama_cpp_library.LLAMA_POOLING_TYPE_NONE,
        )
    ) as llama:  # fmt: skip
        wanted = np.mean(llama.embed("give way"), axis=0)
    assert np.allclose(got[1], wanted / np.linalg.norm(wanted), atol=1e-4)
    cut = vectors.embeddings.create(model="tiny", input="x" * 900, extra_body={"truncate_prompt_tokens": -1})
    assert cut.usage.prompt_tokens == 256


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": 2}, "n is not served"),
        ({"logprobs": True}, "logprobs is not served"),
        ({"logit_bias": {"1": 5}}, "logit_bias is not served"),
        ({"messages": showing("http://127.0.0.1/x.png")}, "not fetched"),
        ({"messages": showing("data:image/png;base64,AAAA")}, "not a JPEG"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
        ({"tools": [{}]}, "tools: each is"),
        ({"tools": [STEER], "tool_choice": "perhaps"}, "tool_choice is 'perhaps'"),
        ({"tools": [STEER], "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "names the function 'fly'"),
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tools": [STEER], "tool_choice": "required", "response_format": {"type": "json_object"}}, "leave one out"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_is_not_served_is_refused_by_name(client: Any, change: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**({"model": "wise", "messages": ASK} | change))
    assert says in refused.value.body["message"]


def test_who_and_what_is_unknown_is_told_in_openais_form(client: Any, vectors: Any, engine: LlamaCpp) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-9' here: served is wise.*ship"):
        said(client, model="gpt-9")
    with pytest.raises(openai.BadRequestError, match="started to write"):
        client.embeddings.create(model="wise", input="x")
    with pytest.raises(openai.BadRequestError, match="only makes vectors"):
        said(vectors, model="tiny")
    with pytest.raises(openai.BadRequestError, match="input 1 takes 900 tokens, the model 256"):
        vectors.embeddings.create(model="tiny", input=["x", "y" * 900])
    with pytest.raises(openai.BadRequestError, match="input 0 is empty"):
        vectors.embeddings.create(model="tiny", input="")
    with pytest.raises(openai.AuthenticationError, match="wrong or missing API key"):
        vectors.with_options(api_key="guess").embeddings.create(model="tiny", input="x")
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)):
        told = httpx.request(method, f"{engine.base_url.removesuffix('/v1')}{path}")
        assert told.status_code == status and told.json()["error"]["message"]
    long = httpx.post(f"{engine.base_url}/chat/completions", content=b" " * (33 * 2**20))
    assert long.status_code == 413 and long.json()["error"]["code"] == "request_too_large"


def test_a_model_without_tools_in_its_template_says_what_to_do(
    tiny_model: Path, llama_cpp_library: Any, no_llama_server: None, tmp_path: Path
) -> None:
    with (
        LlamaCpp(Serving(str(tiny_model)), log=tmp_path / "log") as engine,
        openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0) as client,
    ):
        asked: dict[str, Any] = {"model": "tiny", "messages": ASK, "tools": [STEER], "max_tokens": 300}
        with pytest.raises(openai.BadRequestError, match='set tool_choice to "required"'):
            client.chat.completions.create(**asked)
        with pytest.raises(openai.BadRequestError, match="start it with --projector"):
            client.chat.completions.create(model="tiny", messages=showing(data_uri(1)))
        answer = client.chat.completions.create(**asked, tool_choice="required")
        check_call(answer.choices[0].message.tool_calls[0].function, ["steer"])
        bare = client.chat.completions.create(model="tiny", messages=ASK, max_tokens=1)
        assert answer.usage.prompt_tokens > bare.usage.prompt_tokens + 100  # told of them in words


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--adapter", "ship"], "is not NAME=FILE"),
        (["--adapter", "ship={model}"], "no LoRA adapter"),
        (["--projector", "{model}"], "no image projector"),
    ],
)
def test_files_that_do_not_fit_end_the_server_with_a_reason(
    tiny_model: Path, llama_cpp_library: Any, capfd: pytest.CaptureFixture[str], given: list[str], complaint: str
) -> None:
    import subprocess
    import sys

    given = [part.format(model=tiny_model) for part in given]
    command = [sys.executable, "-m", "sdx_serving.llama.server", "--model", str(tiny_model), *given]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2) and complaint in done.stderr
