"""Endpoints as embedders: our own server, and a server that misbehaves in every way that is known."""

import math
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from told_server import Told

from sdx_rag.borders import Embedder, EmbeddingError
from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.settings import EmbedSettings

Answer = Callable[[str, Any, int], tuple[int, dict[str, str], Any]]


def row_of(text: str) -> list[float]:
    return [1.0, float(len(text)), float(sum(map(ord, text)) % 97)]


def well(path: str, body: Any, asked: int) -> tuple[int, dict[str, str], Any]:
    """As the protocol has it, but last first: the index says which is which."""
    data = [{"index": at, "embedding": row_of(text)} for at, text in enumerate(body["input"])]
    return 200, {}, {"object": "list", "data": data[::-1], "model": body["model"]}


def closed_url() -> str:
    """Where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def opened(url: str, **more: Any) -> Embedder:
    made = open_embedder(EmbedSettings(url=url, model="some-model", **more))
    assert made
    return made


def after(first: int, then: Answer) -> Answer:
    """Well for the first questions, of which opening is one."""
    return lambda path, body, asked: (well if asked <= first else then)(path, body, asked)


def test_texts_are_sent_in_batches_and_vectors_put_in_their_order(told: Told) -> None:
    told.answer = well
    embedder = opened(told.url, batch=4, passage_prefix="p: ")
    texts = [f"text {'x' * at}" for at in range(10)]
    wanted = np.array([row_of(f"p: {text}") for text in texts])
    assert np.allclose(embedder.passages(texts), wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
    assert [len(body["input"]) for _, _, body in told.asked] == [1, 4, 4, 2]
    assert {(path, body["model"]) for path, _, body in told.asked} == {("/v1/embeddings", "some-model")}
    assert embedder.length == 3 and embedder.languages == {"en", "ko"}


def test_a_query_is_asked_once(told: Told) -> None:
    told.answer = well
    embedder = opened(told.url, query_prefix="q: ")
    embedder.query("who?")
    embedder.query("who?")
    assert [body["input"] for _, _, body in told.asked] == [["a"], ["q: who?"]]


def test_the_key_comes_from_its_variable_and_is_in_no_message(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.answer = lambda path, body, asked: (401, {}, {"error": {"message": "bad key"}})
    with pytest.raises(EmbeddingError, match=r"embed\.key_env is MY_KEY, which is not set: type `export MY_KEY=\.\.\.`"):
        opened(told.url, key_env="MY_KEY")
    assert not told.asked
    monkeypatch.setenv("MY_KEY", "s3cret\n")
    with pytest.raises(EmbeddingError, match="HTTP 401 .*bad key.*the key in MY_KEY is not taken") as caught:
        opened(told.url, key_env="MY_KEY")
    assert told.asked[0][1]["Authorization"] == "Bearer s3cret" and "s3cret" not in str(caught.value)
    with pytest.raises(EmbeddingError, match=r"set embed\.key_env to the variable with the key"):
        opened(told.url)


def test_a_busy_server_is_asked_again_after_the_time_it_names(told: Told) -> None:
    told.answer = lambda path, body, asked: (429, {"Retry-After": "0"}, {}) if asked in (1, 2, 4) else well(path, body, asked)
    embedder = opened(told.url)
    assert embedder.passages(["x"]).shape == (1, 3)
    assert len(told.asked) == 5
    told.answer = lambda path, body, asked: (503, {"Retry-After": "0"}, {"error": "loading"})
    with pytest.raises(EmbeddingError, match="HTTP 503 .*loading.* 5 times: try later, what is indexed is kept"):
        embedder.passages(["y"])
    assert len(told.asked) == 10


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, {}, {"error": {"message": "no model 'some-model'"}}), r"no model 'some-model'.*mend embed\.model \(GET http.*/models lists"),
        ((400, {}, {"error": "context length exceeded"}), r"set embed\.max_tokens or embed\.batch lower"),
        ((400, {}, {"error": "no"}), "see the server's log"),
        ((200, {}, b"<html>hello</html>"), "nonsense: no JSON .'<html>"),
        ((200, {}, [1, 2]), "nonsense: no JSON object"),
        ((200, {}, {"error": "x"}), "nonsense: no vectors for 2 texts"),
        ((200, {}, {"data": [{"index": 0, "embedding": [1, 2, 3]}]}), "nonsense: 1 vectors for 2 texts"),
        ((200, {}, {"data": [{"index": 0, "embedding": [1, 2, 3]}] * 2}), r"nonsense: indices \[0\] for 2 texts"),
        ((200, {}, {"data": [{"index": at, "embedding": [1, 2, 3]} for at in (1, 2)]}), r"indices \[1, 2\] for 2 texts"),
        ((200, {}, {"data": [{"embedding": [1, 2, 3]}] * 2}), "without index or embedding"),
        ((200, {}, {"data": [{"index": at, "embedding": "AAAA"} for at in (0, 1)]}), "nonsense: 'AAAA' for a vector"),
        ((200, {}, {"data": [{"index": at, "embedding": []} for at in (0, 1)]}), r"nonsense: '\[\]' for a vector"),
        ((200, {}, {"data": [{"index": at, "embedding": [1, "x", 3]} for at in (0, 1)]}), "something that is no number"),
        ((200, {}, {"data": [{"index": at, "embedding": [1, None, 3]} for at in (0, 1)]}), "no number|no usable vector"),
        (
            (200, {}, {"data": [{"index": at, "embedding": [1, math.nan, 3]} for at in (0, 1)]}),
            "no usable vector .NaN or zeros. for 'first'",
        ),
        ((200, {}, {"data": [{"index": at, "embedding": [0, 0, 0]} for at in (0, 1)]}), "no usable vector"),
        ((200, {}, {"data": [{"index": at, "embedding": [1, 2, 3, 4]} for at in (0, 1)]}), "gives 4 dimensions, wanted are 3"),
        (
            (200, {}, {"system_fingerprint": "sha256:ff", "data": [{"index": at, "embedding": [1, 2, 3]} for at in (0, 1)]}),
            "serves other weights than before .sha256:ff.: start again",
        ),
    ],
)
def test_nonsense_is_told_and_never_indexed(told: Told, answer: tuple[int, dict[str, str], Any], says: str) -> None:
    told.answer = after(1, lambda path, body, asked: answer)
    with pytest.raises(EmbeddingError, match=says):
        opened(told.url).passages(["first", "second"])


def test_other_dimensions_than_the_settings_say_are_refused_at_once(told: Told) -> None:
    told.answer = well
    with pytest.raises(EmbeddingError, match=r"gives 3 dimensions, wanted are 1024: mend embed\.dimensions"):
        opened(told.url, dimensions=1024)


def test_nobody_there_and_nobody_in_time_are_told_apart(told: Told) -> None:
    with pytest.raises(EmbeddingError, match=r"nothing answers at http://127.*: start the server, or mend embed\.url"):
        opened(closed_url())

    def slow(path: str, body: Any, asked: int) -> tuple[int, dict[str, str], Any]:
        time.sleep(0.5)
        return well(path, body, asked)

    told.answer = slow
    with pytest.raises(EmbeddingError, match=r"no answer in 0\.1 s: set embed\.timeout_s higher"):
        opened(told.url, timeout_s=0.1)


def test_a_long_text_is_cut_between_characters_and_counted_with_care(told: Told) -> None:
    told.answer = well
    embedder = opened(told.url, max_tokens=16)
    embedder.passages(["충돌" * 50, "short"])
    long, short = told.asked[-1][2]["input"]
    assert long == "충돌" * 7 and short == "short"
    assert embedder.count(["충돌", "ship " * 20]) == [4, 36]


def test_the_id_tells_models_sizes_and_places_apart(told: Told) -> None:
    told.answer = well
    here = opened(told.url).id
    assert here == opened(told.url).id and here.startswith("some-model-")
    assert open_embedder(EmbedSettings(url=told.url, model="other")).id != here  # type: ignore[union-attr]
    assert opened(told.url.replace("127.0.0.1", "localhost")).id != here
    told.answer = lambda path, body, asked: (200, {}, well(path, body, asked)[2] | {"system_fingerprint": "sha256:aa"})
    named = opened(told.url).id
    assert named != here and named == opened(told.url.replace("127.0.0.1", "localhost")).id


def test_our_own_server_gives_the_vectors_of_the_folder_that_it_serves(encoder_folder: Path, tmp_path: Path) -> None:
    for package in ("jinja2", "PIL", "uvicorn"):
        pytest.importorskip(package)
    from sdx_serving.engine import Serving
    from sdx_serving.engines.onnx_runtime import OnnxRuntime

    here = open_embedder(EmbedSettings(model=str(encoder_folder)))
    texts = ["ship", "who gives way", "x", "a longer one of them"]
    with OnnxRuntime(Serving(str(encoder_folder)), log=tmp_path / "log") as engine:
        there = open_embedder(EmbedSettings(url=engine.base_url, model="default", batch=3))
        assert here and there
        assert np.allclose(there.passages(texts), here.passages(texts), atol=1e-5)
        assert np.allclose(there.query("ship"), here.query("ship"), atol=1e-5)
        with pytest.raises(EmbeddingError, match=r"HTTP 404 .*mend embed\.model"):
            open_embedder(EmbedSettings(url=engine.base_url, model="gpt-9"))
