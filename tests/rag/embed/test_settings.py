"""Settings of the models, and which of them open what."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.choose import open_embedder, open_reranker
from sdx_rag.embed.settings import EmbedSettings, RerankSettings


def test_none_is_an_answer() -> None:
    assert open_embedder(EmbedSettings(model="none")) is None
    assert open_reranker(RerankSettings()) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"modle": "minilm"}, "modle"),
        ({"url": "localhost:80"}, "url"),
        ({"url": "http://127.0.0.1:80/v1"}, 'model "minilm": set model to the name'),
        ({"languages": []}, "languages"),
        ({"languages": ["fr"]}, "languages"),
        ({"threads": -1}, "threads"),
        ({"model": ""}, "model"),
        ({"max_tokens": 3}, "max_tokens"),
    ],
)
def test_wrong_settings_name_the_field(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        EmbedSettings.model_validate(given)


def test_a_reranker_by_url_needs_its_name() -> None:
    with pytest.raises(ValidationError, match=r"set model to the name that the endpoint knows it by"):
        RerankSettings(url="http://127.0.0.1:80/v1")


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(EmbeddingError, match="no-such-model is not there: give a folder"):
        open_embedder(EmbedSettings(model=str(tmp_path / "no-such-model")))
    with pytest.raises(EmbeddingError, match="no-such-model is not there"):
        open_reranker(RerankSettings(model=str(tmp_path / "no-such-model")))
