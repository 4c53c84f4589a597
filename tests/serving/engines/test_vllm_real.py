"""vLLM itself on a CPU, with a Qwen3 of random weights: minutes, and skipped where it is not installed.

SDX_VLLM=~/vllm/bin/vllm python -m pytest -m slow tests/serving/engines/test_vllm_real.py
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sdx_serving.client import RequestRefused
from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.vllm import Vllm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2000),
    pytest.mark.skipif(Vllm.missing() is not None, reason="vLLM is not installed: set SDX_VLLM"),
]
PATIENCE_S = 900.0
"""A minute on an idle machine of two cores, many on a busy one."""
ASK = [{"role": "user", "content": "Which option is safe?"}]
SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "why": {"type": "string", "maxLength": 12}},
    "required": ["option", "why"],
    "additionalProperties": False,
}
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 of 2 layers with a byte vocabulary, and an adapter of rank 6 that changes its answers."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("models") / "tiny-qwen3"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = transformers.Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Path:
    peft = pytest.importorskip("peft")
    import torch
    import transformers

    torch.manual_seed(1)
    base = transformers.Qwen3ForCausalLM.from_pretrained(folder)
    tuned = peft.get_peft_model(base, peft.LoraConfig(r=6, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    for parameter in tuned.parameters():
        parameter.data.mul_(4.0) if parameter.requires_grad else None
    path = folder.parent / "ship"
    tuned.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def vllm(folder: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    log = tmp_path_factory.mktemp("log") / "vllm.log"
    engine = Vllm(Serving(str(folder), context_tokens=512, parallel=4, adapters={"ship": adapter}), log=log)
    engine.start(PATIENCE_S)
    yield engine
    engine.stop()


def complete(engine: Vllm, **body: Any) -> dict[str, Any]:
    asked = {"model": engine.serving.alias, "messages": ASK, "temperature": 0, "max_tokens": 24} | body
    return httpx.post(f"{engine.base_url}/chat/completions", json=asked, timeout=120).json()


def text_of(reply: dict[str, Any]) -> str:
    return reply["choices"][0]["message"]["content"]


def test_it_chats_whole_and_in_pieces_and_says_who_it_is(vllm: Vllm) -> None:
    with vllm.chat() as chat:
        whole = chat.complete(ASK, max_tokens=24, deadline_s=120)
        assert (whole.model, whole.finish_reason, whole.completion_tokens) == ("tiny-qwen3", "length", 24)
        pieces = list(chat.stream(ASK, max_tokens=24, deadline_s=120))
        assert len(pieces) > 3 and "".join(pieces) == whole.text
    ids = [card["id"] for card in httpx.get(f"{vllm.base_url}/models").json()["data"]]
    assert ids == ["tiny-qwen3", "ship"]


def test_an_answer_is_held_to_its_schema(vllm: Vllm) -> None:
    with vllm.chat() as chat:
        answer = json.loads(chat.complete(ASK, schema=SCHEMA, max_tokens=120, deadline_s=120).text)
    assert list(answer) == ["option", "why"] and answer["option"] in "AB"


def test_an_adapter_is_asked_by_its_name_and_answers_otherwise(vllm: Vllm) -> None:
    assert text_of(complete(vllm, model="ship")) != text_of(complete(vllm))
    assert complete(vllm, model="farm")["error"]["code"] == 404


def test_a_named_tool_is_called_with_arguments_after_its_schema(vllm: Vllm) -> None:
    schema = {"type": "object", "properties": {"option": {"enum": ["A", "B"]}}, "required": ["option"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "speed", "parameters": schema}}
    choice = {"type": "function", "function": {"name": "speed"}}
    # Drawn, not greedy: white space between a call's words is free, and a model of random weights would go on with it.
    reply = complete(vllm, tools=[tool], tool_choice=choice, temperature=1.0, seed=1, max_tokens=240)
    called = reply["choices"][0]["message"]["tool_calls"][0]["function"]
    assert called["name"] == "speed" and json.loads(called["arguments"])["option"] in "AB"


def test_what_it_does_not_serve_is_refused_in_openai_s_shape(vllm: Vllm) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    assert "error" in complete(vllm, messages=[{"role": "user", "content": [image]}])
    assert httpx.post(f"{vllm.base_url}/embeddings", json={"model": "tiny-qwen3", "input": "x"}).status_code in (400, 404, 501)
    with vllm.chat() as chat, pytest.raises(RequestRefused, match="512"):
        chat.complete([{"role": "user", "content": "ship " * 400}], deadline_s=120)


def test_killed_it_comes_back_and_stopped_it_leaves_nothing(vllm: Vllm) -> None:
    assert vllm.pid
    process = psutil.Process(vllm.pid)
    first = [process, *process.children(recursive=True)]
    assert len(first) >= 2  # the server and its engine
    os.kill(vllm.pid, signal.SIGKILL)
    ends = time.monotonic() + PATIENCE_S
    while vllm.restarts == 0 or not vllm.healthy():
        assert time.monotonic() < ends, "it did not come back"
        time.sleep(0.5)
    assert not any(one.is_running() for one in first)
    assert text_of(complete(vllm))
    process = psutil.Process(vllm.pid)
    second = [process, *process.children(recursive=True)]
    vllm.stop()
    assert not any(one.is_running() for one in second)
    assert not vllm.healthy()


def test_embeddings_are_served_where_they_are_asked_for(folder: Path, tmp_path: Path) -> None:
    engine = Vllm(Serving(str(folder), context_tokens=256, embeddings=True), log=tmp_path / "log")
    engine.start(PATIENCE_S)
    with engine:
        reply = httpx.post(f"{engine.base_url}/embeddings", json={"model": "tiny-qwen3", "input": ["a ship", "a farm"]}, timeout=120).json()
        vectors = [row["embedding"] for row in reply["data"]]
        assert [len(vector) for vector in vectors] == [64, 64] and vectors[0] != vectors[1]
        assert complete(engine) == {"detail": "Not Found"}


def test_a_model_that_it_cannot_load_shows_vllm_s_own_reason(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for file in folder.iterdir():
        (tmp_path / "odd" / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "odd/config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"], "model_type": "no_such"}))
    engine = Vllm(Serving(str(tmp_path / "odd"), context_tokens=128), log=tmp_path / "log")
    with pytest.raises(EngineError, match="before it was ready(.|\n)*no_such"):
        engine.start(PATIENCE_S)
