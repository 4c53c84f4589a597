"""Vectors of texts and images over the official client, held against what the tiny graphs must give."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdx_serving.engines.onnx_runtime import OnnxRuntime

openai = pytest.importorskip("openai")
for package in ("onnxruntime", "tokenizers", "PIL"):
    pytest.importorskip(package)

from PIL import Image
from tokenizers import Tokenizer

from sdx_serving.onnx.folder import ModelError
from sdx_serving.onnx.preparation import Preparation
from sdx_serving.onnx.vectors import pooled, pooling_of, unit

Texts = tuple[OnnxRuntime, np.ndarray]


def client_of(engine: OnnxRuntime) -> Any:
    return openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0)


def expected(engine: OnnxRuntime, rows: np.ndarray, text: str, limit: int = 1000) -> np.ndarray:
    """Mean of the tokens' vectors, of unit length: the tiny graph adds the mean to each, which the pooling doubles."""
    tokenizer = Tokenizer.from_file(str(engine.serving.path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    mean = rows[tokenizer.encode(text).ids[:limit]].mean(0)
    return mean / np.linalg.norm(mean)


def test_vectors_come_in_order_whatever_is_computed_together(texts: Texts) -> None:
    engine, rows = texts
    asked = ["a long text of many", "ship", "x", "another long text", "ship"]
    with client_of(engine) as client:
        reply = client.embeddings.create(model="tiny-texts", input=asked)
        for item, text in zip(reply.data, asked, strict=True):
            assert np.allclose(item.embedding, expected(engine, rows, text), atol=1e-6)
        assert reply.usage.prompt_tokens > len(asked)
        floats = client.embeddings.create(model="tiny-texts", input=asked, encoding_format="float")
        assert [item.embedding for item in floats.data] == [item.embedding for item in reply.data]
        assert np.allclose(
            client.embeddings.create(model="tiny-texts", input="x").data[0].embedding, expected(engine, rows, "x"), atol=1e-6
        )


def test_a_text_too_long_is_refused_or_cut_and_told(texts: Texts) -> None:
    engine, rows = texts
    long = "abcdefgh" * 5
    with client_of(engine) as client:
        with pytest.raises(openai.BadRequestError, match="input 1 takes 40 tokens, the model 24"):
            client.embeddings.create(model="default", input=["x", long])
        reply = client.embeddings.create(model="default", input=["x", long], extra_body={"truncate_prompt_tokens": -1})
        assert reply.model_extra["truncated"] == [1]
        assert np.allclose(reply.data[1].embedding, expected(engine, rows, long, 24), atol=1e-6)
        reply = client.embeddings.create(model="default", input=long, extra_body={"truncate_prompt_tokens": 7})
        assert np.allclose(reply.data[0].embedding, expected(engine, rows, long, 7), atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"input": []}, 400, "input has 0 items"),
        ({"input": ["x"] * 2049}, 400, "input has 2049 items"),
        ({"input": ""}, 400, "input 0 is empty"),
        ({"input": [[1, 2]]}, 400, "token ids are not taken"),
        ({"input": [{"type": "image_url", "image_url": {"url": "data:"}}]}, 400, "takes texts, not parts"),
        ({"input": "x", "dimensions": 5}, 400, "dimensions: this model gives 32"),
        ({"input": "x", "model": "other"}, 404, "no model 'other'"),
    ],
)
def test_what_has_no_vector_is_refused(texts: Texts, asked: dict[str, Any], status: int, says: str) -> None:
    with client_of(texts[0]) as client, pytest.raises(openai.APIStatusError, match=says) as caught:
        client.embeddings.create(**({"model": "default"} | asked))
    assert caught.value.status_code == status


def test_an_encoder_gives_no_answers(texts: Texts) -> None:
    with client_of(texts[0]) as client, pytest.raises(openai.BadRequestError, match="ask /v1/embeddings"):
        client.chat.completions.create(model="default", messages=[{"role": "user", "content": "x"}])


def uri(image: Image.Image, kind: str = "PNG") -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, kind)
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"}}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_images_become_vectors_as_their_preprocessor_says(images: Texts) -> None:
    engine, kernel = images
    given = [picture(8, 8), picture(20, 12, 1), picture(8, 8, 2).convert("L")]
    with client_of(engine) as client:
        reply = client.embeddings.create(
            model="tiny-images", input=[uri(one) for one in given], extra_body={"patches": True}, encoding_format="float"
        )
    for item, image in zip(reply.data, given, strict=True):
        small = np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR), np.float64) / 255
        pixels = ((small - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).reshape(2, 4, 2, 4, 3).transpose(0, 2, 4, 1, 3).reshape(4, -1)
        patches = pixels @ kernel.reshape(len(kernel), -1).T
        assert np.allclose(item.model_extra["patches"], patches, atol=1e-3)
        whole = patches.max(0)
        assert np.allclose(item.embedding, whole / np.linalg.norm(whole), atol=1e-4)


def bomb() -> str:
    """A PNG of a few hundred bytes that claims 30,000 x 30,000 pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = part(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")).decode()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9/x.png", "images are not fetched"),
        ("file:///etc/passwd", "images are not fetched"),
        ("data:image/png,abc", "not base64"),
        ("data:image/png;base64,@@", "not base64"),
        ("data:image/png;base64,aGVsbG8=", "image that can be read"),
        (f"data:image/png;base64,{bomb()}", "30000 x 30000|900000000 pixels"),
    ],
)
def test_what_is_no_image_or_a_bomb_is_refused(images: Texts, url: str, says: str) -> None:
    with client_of(images[0]) as client, pytest.raises(openai.BadRequestError, match=says):
        client.embeddings.create(model="default", input=[{"type": "image_url", "image_url": {"url": url}}])
    with client_of(images[0]) as client, pytest.raises(openai.BadRequestError, match="takes images"):
        client.embeddings.create(model="default", input="a text")


@pytest.mark.parametrize(("pooling", "wanted"), [("mean", [2.0, 3.0]), ("cls", [1.0, 5.0]), ("max", [3.0, 5.0]), ("lasttoken", [3.0, 1.0])])
def test_padding_counts_for_nothing_in_any_pooling(pooling: Any, wanted: list[float]) -> None:
    hidden = np.array([[[1, 5], [3, 1], [99, 99]]], np.float32)
    assert pooled(hidden, np.array([[1, 1, 0]]), pooling).tolist() == [wanted]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"word_embedding_dimension": 4, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"embedding_dimension": 4, "pooling_mode": "lasttoken"}, "lasttoken"),
        (None, "mean"),
        ({"pooling_mode_weightedmean_tokens": True}, None),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
    ],
)
def test_pooling_is_read_in_both_forms_and_what_is_not_served_is_refused(told: Any, wanted: str | None, tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    if told is not None:
        (tmp_path / "1_Pooling/config.json").write_text(json.dumps(told))
    if wanted:
        assert pooling_of(tmp_path) == wanted
        return
    with pytest.raises(ModelError, match="is not served"):
        pooling_of(tmp_path)


def test_vectors_have_unit_length_but_for_zeros() -> None:
    assert unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_a_crop_is_taken_from_the_middle_and_a_missing_size_is_told(tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "size": {"shortest_edge": 8}, "crop_size": 4, "do_center_crop": True, "do_normalize": False, "do_rescale": False, "resample": 0,
    }  # fmt: skip
    image = picture(24, 8)
    pixels = Preparation.of(told, tmp_path).pixels(image)
    assert np.array_equal(pixels, np.asarray(image, np.float32)[2:6, 10:14].transpose(2, 0, 1))
    for broken, says in (({}, "size is None"), ({"size": {"shortest_edge": 8}}, "crop_size within it")):
        with pytest.raises(ModelError, match=says):
            Preparation.of(broken, tmp_path)
