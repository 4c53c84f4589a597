"""The engine on the real `llama-server`, where it is installed: schema, several at once, images, adapters, vectors, tools."""

import base64
import io
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from sdx_serving.engine import Serving
from sdx_serving.engines.llama_cpp import LlamaCpp

pytestmark = pytest.mark.skipif(shutil.which("llama-server") is None, reason="llama-server is not on the PATH")
openai = pytest.importorskip("openai")
ASK = [{"role": "user", "content": "which option?"}]
SCHEMA = {"type": "object", "properties": {"side": {"enum": ["port", "starboard"]}}, "required": ["side"], "additionalProperties": False}


@pytest.fixture(scope="module")
def engine(equipped: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    asked = Serving(str(equipped.model), context_tokens=512, parallel=4, projector=equipped.projector, adapters=equipped.adapters)
    with LlamaCpp(asked, log=tmp_path_factory.mktemp("log") / "engine.log") as running:
        yield running


@pytest.fixture(scope="module")
def client(engine: LlamaCpp) -> Iterator[Any]:
    with openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0) as made:
        yield made


def test_it_is_the_one_that_runs_with_a_slot_for_each_and_names_the_weights(engine: LlamaCpp, client: Any) -> None:
    assert engine.pid and "llama-server" in " ".join(psutil.Process(engine.pid).cmdline())
    assert engine.facts.parallel
    with engine.chat() as chat:
        answer = chat.complete(ASK, schema=SCHEMA, max_tokens=60)
        assert json.loads(answer.text)["side"] in ("port", "starboard") and len(answer.model_sha256) == 64
        assert "".join(chat.stream(ASK, schema=SCHEMA, max_tokens=60)) == answer.text


def test_four_are_computed_together(client: Any) -> None:
    def spans(count: int) -> list[tuple[float, float]]:
        def ask(_: int) -> tuple[float, float]:
            began = time.monotonic()
            client.chat.completions.create(model="wise", messages=ASK, max_tokens=200, temperature=0.0)
            return began, time.monotonic()

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(ask, range(count)))

    together = spans(4)
    first_end = min(ended for _, ended in together)
    last_end = max(ended for _, ended in together)
    began = max(start for start, _ in together)
    assert first_end - began > (last_end - began) / 2  # one after the other, the first would end after a quarter


def test_an_adapter_is_chosen_per_request_in_the_servers_own_field(engine: LlamaCpp, client: Any) -> None:
    def said(name: str) -> str:
        body = engine.request({"model": name, "messages": ASK, "max_tokens": 20, "temperature": 0.0})
        more = {"lora": body.pop("lora")} if "lora" in body else {}
        return client.chat.completions.create(**body, extra_body=more).choices[0].message.content

    answers = {name: said(name) for name in ("wise", "ship", "farm")}
    assert len(set(answers.values())) == 3
    assert {name: said(name) for name in ("farm", "ship", "wise")} == answers


def test_an_image_is_seen(client: Any) -> None:
    def said(seed: int) -> str:
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]
        told = client.chat.completions.create(model="wise", messages=[{"role": "user", "content": content}], max_tokens=20, temperature=0.0)
        return told.choices[0].message.content

    answers = [said(seed) for seed in (1, 2, 1)]
    assert answers[0] == answers[2] != answers[1]


def test_tools_are_shown_to_the_model(client: Any) -> None:
    tool = {"type": "function", "function": {"name": "steer", "parameters": SCHEMA}}
    counted = [
        client.chat.completions.create(model="wise", messages=ASK, max_tokens=2, **more).usage.prompt_tokens
        for more in ({}, {"tools": [tool]})
    ]
    assert counted[1] > counted[0] + len(json.dumps(SCHEMA))


def test_vectors_are_those_of_our_own_server(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vectors(engine: LlamaCpp) -> np.ndarray:
        with engine, openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0) as client:
            return np.array([item.embedding for item in client.embeddings.create(model="tiny", input=["own ship", "give way"]).data])

    asked = Serving(str(tiny_model), context_tokens=256, embeddings=True)
    theirs = vectors(LlamaCpp(asked, log=tmp_path / "log"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert np.allclose(theirs, vectors(LlamaCpp(asked, log=tmp_path / "ours.log")), atol=1e-3)
