"""A real process: shown volumes, asked about them, killed, and asked again."""

import base64
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from sdx_serving.client import DeadlineExceeded, OpenAIChat, RequestRefused
from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.choose import engine_for
from sdx_serving.engines.vision import Vision
from sdx_serving.vision.client import SeeingChat, look, open_reader
from sdx_serving.vision.marks import mark

Volume = Callable[[int], np.ndarray]
LABELS, TOKENS = ["nodule", "effusion", "mass"], 4
SCHEMA = {
    "type": "object",
    "properties": {"F1": {"enum": ["yes", "uncertain", "no"]}},
    "required": ["F1"],
    "additionalProperties": False,
}


def asked(handle: str, text: str = "F1?") -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{mark(handle)}\n{text}"}]


def test_a_look_tells_what_the_encoder_says(vision_engine: Any, reader_folder: Path, volume: Volume) -> None:
    seen = look(vision_engine.base_url, volume(1))
    session = onnxruntime.InferenceSession(reader_folder / "encoder.onnx")
    names = ["probability", "maps", "unlike_training"]
    probability, maps, unlike = session.run(names, {"slabs": volume(1)[None]})
    assert list(seen.probability) == LABELS
    np.testing.assert_allclose(list(seen.probability.values()), probability[0], atol=1e-6)
    np.testing.assert_allclose(np.stack(list(seen.maps.values())), maps[0], atol=1e-3)
    assert seen.unlike_training == pytest.approx(float(unlike[0]), abs=1e-6)
    card = httpx.get(f"{vision_engine.base_url}/models").json()["data"][0]
    assert seen.model_sha256 == card["meta"]["sha256"] and card["meta"]["visual_tokens"] == TOKENS


def test_handles_are_the_contents(vision_engine: Any, volume: Volume) -> None:
    first = look(vision_engine.base_url, volume(1))
    assert look(vision_engine.base_url, volume(1)).handle == first.handle
    assert look(vision_engine.base_url, volume(2)).handle != first.handle


def test_npz_and_raw_bytes_are_one(vision_engine: Any, volume: Volume) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, slabs=volume(3))
    told = httpx.post(f"{vision_engine.base_url}/look", content=file.getvalue())
    assert told.status_code == 200, told.text
    assert told.json()["handle"] == look(vision_engine.base_url, volume(3)).handle
    assert len(base64.b64decode(told.json()["maps"]["float16"])) == 2 * np.prod(told.json()["maps"]["shape"])


def test_answers_follow_the_schema_and_the_volume(vision_engine: Any, volume: Volume) -> None:
    with vision_engine.chat() as chat:
        texts = []
        for seed in (4, 5):
            handle = chat.look(volume(seed)).handle
            answer = chat.complete(asked(handle), SCHEMA)
            assert json.loads(answer.text)["F1"] in ("yes", "uncertain", "no")
            assert answer.prompt_tokens > TOKENS and len(answer.model_sha256) == 64
            free = chat.complete(asked(handle), max_tokens=16)
            assert free.text == "".join(chat.stream(asked(handle), max_tokens=16))
            texts.append(free.text)
        assert texts[0] != texts[1]


def test_a_volume_that_was_put_out_must_be_looked_at_again(vision_engine: Any, volume: Volume) -> None:
    first = look(vision_engine.base_url, volume(6)).handle
    with OpenAIChat(vision_engine.base_url) as plain:
        assert plain.complete(asked(first), max_tokens=2).completion_tokens
        for seed in (7, 8):
            look(vision_engine.base_url, volume(seed))
        with pytest.raises(RequestRefused, match="look again") as refused:
            plain.complete(asked(first), max_tokens=2)
        assert refused.value.status == 410
        with pytest.raises(RequestRefused, match="look again"):
            plain.complete(asked("../../etc/passwd"), max_tokens=2)


def test_the_client_shows_it_again_after_the_engine_died(reader_folder: Path, tmp_path: Path, volume: Volume) -> None:
    with Vision(Serving(str(reader_folder)), log=tmp_path / "log") as engine, engine.chat() as chat:
        handle = chat.look(volume(9)).handle
        before = chat.complete(asked(handle), max_tokens=8).text
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        for _ in range(600):
            if engine.restarts and engine.healthy():
                break
            time.sleep(0.1)
        assert chat.complete(asked(handle), max_tokens=8).text == before
        assert "".join(chat.stream(asked(handle), max_tokens=8)) == before


@pytest.mark.parametrize(
    ("content", "headers", "why"),
    [
        (b"", {}, "x-shape"),
        (b"\0" * 4, {"x-shape": "2,1,16,16"}, "4 bytes"),
        (b"\0" * 512, {"x-shape": "1,2,16,16"}, "this model takes 2,1,16,16"),
        (b"PK\x03\x04 no zip", {}, "cannot be read"),
    ],
)
def test_what_is_no_volume_is_refused(vision_engine: Any, content: bytes, headers: dict[str, str], why: str) -> None:
    told = httpx.post(f"{vision_engine.base_url}/look", content=content, headers=headers)
    assert told.status_code == 400 and why in told.json()["error"]["message"]


def test_too_much_is_refused_and_the_engine_lives(vision_engine: Any) -> None:
    told = httpx.post(f"{vision_engine.base_url}/look", content=b"\0" * (2 * 2**20), headers={"x-shape": "2,1,16,16"})
    assert told.status_code == 413
    assert vision_engine.healthy() and vision_engine.restarts == 0


def test_a_deadline_is_kept(vision_engine: Any, volume: Volume) -> None:
    with vision_engine.chat() as chat:
        handle = chat.look(volume(10)).handle
        with pytest.raises(DeadlineExceeded):
            chat.complete(asked(handle), max_tokens=2000, deadline_s=0.001)


def test_auto_takes_this_engine_for_such_a_folder(reader_folder: Path, tmp_path: Path) -> None:
    assert engine_for(Serving(str(reader_folder))).name == "vision"
    lacking = tmp_path / "half"
    lacking.mkdir()
    shutil.copy(reader_folder / "decoder.gguf", lacking)
    assert "encoder.onnx" in str(Vision(Serving(str(lacking))).cannot())


def test_files_that_do_not_belong_together_are_said(reader_folder: Path, tmp_path: Path, encoder_file: Callable[..., None]) -> None:
    encoder_file(tmp_path / "encoder.onnx", width=128)
    shutil.copy(reader_folder / "decoder.gguf", tmp_path)
    log = tmp_path / "log"
    with pytest.raises(EngineError), open_reader(str(tmp_path), log=log) as _:
        pass
    assert "128 wide, the decoder's 256" in log.read_text()


def test_a_running_engine_is_opened_by_its_address(vision_engine: Any, volume: Volume) -> None:
    with open_reader(vision_engine.base_url) as chat:
        assert isinstance(chat, SeeingChat)
        assert chat.look(volume(1)).handle == look(vision_engine.base_url, volume(1)).handle
