"""Public models read volumes as pictures: a real llama.cpp server with a projector answers the same schema."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdx_serving.client import RequestRefused
from sdx_serving.vision.marks import mark
from sdx_serving.vision.presets import prepare, preset
from sdx_serving.vision.public import PictureChat, parts, without_thinking

SPACING = (3.0, 1.5, 1.5)
SCHEMA = {"type": "object", "properties": {"F1": {"enum": ["yes", "no"]}}, "required": ["F1"], "additionalProperties": False}


def hu(seed: int) -> np.ndarray:
    """Stripes, as wide as the seed says."""
    return np.broadcast_to(np.arange(16) // seed % 2 * 2000 - 1000, (4, 16, 16)).astype(np.int16)


@pytest.fixture(scope="module")
def pictures(equipped: Any, no_llama_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureChat]:
    pytest.importorskip("llama_cpp")
    from sdx_serving.engine import Serving
    from sdx_serving.engines.llama_cpp import LlamaCpp

    asked = Serving(str(equipped.model), context_tokens=2048, projector=equipped.projector)
    small = preset("generic2d").model_copy(update={"slices": 2, "size": 32})
    with LlamaCpp(asked, log=tmp_path_factory.mktemp("log") / "log") as engine, engine.chat() as chat:
        yield PictureChat(chat, small)


def test_a_served_model_answers_the_same_schema(pictures: PictureChat) -> None:
    said = []
    for seed in (1, 2):
        handle = pictures.look(hu(seed), SPACING)
        messages = [{"role": "user", "content": f"Before.\n{mark(handle)}\nF1?"}]
        answer = pictures.complete(messages, SCHEMA)
        assert json.loads(answer.text)["F1"] in ("yes", "no")
        free = pictures.complete(messages, max_tokens=30)
        assert free.prompt_tokens > 2 * 16  # two pictures of 16 tokens each
        assert "".join(pictures.stream(messages, max_tokens=30)) == free.text
        said.append(free.text)
    assert said[0] != said[1]


def test_an_unknown_handle_is_told_before_anything_is_sent(pictures: PictureChat) -> None:
    with pytest.raises(RequestRefused, match="look again") as refused:
        pictures.complete([{"role": "user", "content": mark("0" * 32)}])
    assert refused.value.status == 410


def test_text_pictures_and_captions_stand_in_order(pictures: PictureChat) -> None:
    handle = pictures.look(hu(3), SPACING)
    told: Any = pictures.pictured([{"role": "system", "content": "rules"}, {"role": "user", "content": f"A {mark(handle)} B"}])
    assert told[0]["content"] == "rules"
    kinds = [part["type"] if part["type"] == "image_url" else part["text"] for part in told[1]["content"]]
    assert kinds[0] == "A " and kinds[2:5] == ["image_url", "SLICE 1/2 z=3mm", "image_url"] and kinds[-1] == " B"


def test_pictures_arrive_without_loss() -> None:
    prepared = prepare(preset("medgemma15"), hu(4), SPACING)
    urls = [part["image_url"]["url"] for part in parts(prepared) if part["type"] == "image_url"]
    for url, image in zip(urls, prepared.images, strict=True):
        file = io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))
        assert (np.asarray(Image.open(file)) == image).all()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ('<unused94>thought\nhm {"F1":"no"}<unused95>{"F1":"yes"}', '{"F1":"yes"}'),
        ("plain", "plain"),
        ("<unused94>thought without an end", ""),
        ("A<unused94>thought x<unused95>B<unused94>thought y<unused95>C", "ABC"),
    ],
)
def test_thinking_is_left_out(said: str, answer: str) -> None:
    assert without_thinking(said, preset("medgemma15").thinking) == answer
    assert without_thinking(said, None) == said


def test_a_model_of_tensors_is_no_chat(tmp_path: Path) -> None:
    from sdx_serving.client import OpenAIChat

    with OpenAIChat("http://127.0.0.1:9") as chat, pytest.raises(ValueError, match="tensor"):
        PictureChat(chat, preset("merlin"))
