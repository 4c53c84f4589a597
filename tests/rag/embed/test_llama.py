"""GGUF files as embedders, with the model that is shipped."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.settings import EmbedSettings

pytest.importorskip("llama_cpp")
SHIPPED = Path(str(files("sdx_serving") / "models/sdx-embedded-Q8_0.gguf"))


def test_a_gguf_file_gives_unit_vectors_that_tell_texts_apart() -> None:
    embedder = open_embedder(EmbedSettings(model=str(SHIPPED), threads=1, max_tokens=64, query_prefix="q: "))
    assert embedder and embedder.max_tokens == 64 and embedder.id.startswith("sdx-embedded-Q8-0-")
    texts = ["Target T1 crosses from starboard.", "충돌의 위험이 있다.", "Target T1 crosses from starboard."]
    vectors = embedder.passages(texts)
    assert vectors.shape == (3, embedder.length) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2]) and vectors[0] @ vectors[1] < 0.999
    assert np.allclose(embedder.query("heading"), embedder.passages(["q: heading"])[0], atol=1e-5)


def test_a_long_text_is_counted_whole_and_cut() -> None:
    embedder = open_embedder(EmbedSettings(model=str(SHIPPED), threads=1, max_tokens=32))
    assert embedder
    long = "the ship keeps her course and speed " * 30
    assert embedder.count([long])[0] > 100 and embedder.count([""])[0] <= 2
    assert np.allclose(*embedder.passages([long, long + "and more"]), atol=1e-6)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(EmbeddingError, match=r"text\.gguf cannot be used to embed"):
        open_embedder(EmbedSettings(model=str(tmp_path / "text.gguf")))
    with pytest.raises(EmbeddingError, match=r"absent\.gguf is not there: give a GGUF file"):
        open_embedder(EmbedSettings(model=str(tmp_path / "absent.gguf")))
