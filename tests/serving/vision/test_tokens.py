"""Visual tokens reach the decoder as what they are: vectors in the place of words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdx_serving.llama.model import IMAGE, LlamaModel
from sdx_serving.openai_protocol import Sampling
from sdx_serving.vision.tokens import SeeingModel

SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def seeing(tiny_model: Path, llama_cpp_library: Any) -> Iterator[SeeingModel]:
    model = SeeingModel(tiny_model, n_ctx=512)
    yield model
    model.close()


def embedded(path: Path, model: LlamaModel, text: str) -> np.ndarray:
    """The decoder's own vectors of a text's tokens."""
    gguf = pytest.importorskip("gguf")
    table = next(np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors if tensor.name == "token_embd.weight")
    return table[model.tokens_of(text)]


def said(model: LlamaModel, text: str, *images: np.ndarray) -> str:
    return "".join(model.answer([{"role": "user", "content": text}], SHORT, images=images))


def test_vectors_of_words_say_what_the_words_say(seeing: SeeingModel, tiny_model: Path) -> None:
    words = "left lung"
    by_word, by_vector = said(seeing, f"see {words}."), said(seeing, f"see {IMAGE}.", embedded(tiny_model, seeing, words))
    assert by_word and by_vector == by_word


def test_another_volume_is_another_answer_and_the_same_one_is_the_same(seeing: SeeingModel) -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.normal(0, 0.5, (36, seeing.width)).astype(np.float32) for _ in range(2))
    first = said(seeing, f"{IMAGE} what?", one)
    assert said(seeing, f"{IMAGE} what?", other) != first
    assert said(seeing, f"{IMAGE} what?", one) == first


def test_more_tokens_than_a_batch_are_read_in_pieces(tiny_model: Path, seeing: SeeingModel) -> None:
    text = "abcdefgh " * 70
    assert len(seeing.tokens_of(text)) > 512
    large = SeeingModel(tiny_model, n_ctx=2048)
    try:
        assert said(large, f"{IMAGE}!", embedded(tiny_model, large, text)) == said(large, f"{text}!")
    finally:
        large.close()


def test_vectors_of_another_width_are_refused(seeing: SeeingModel) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        said(seeing, IMAGE, np.zeros((4, seeing.width + 1), np.float32))
