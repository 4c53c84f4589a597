"""ONNX folders as embedders: order, cutting, counting, identity; hostile folders."""

import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bert import bert, write_encoder

for package in ("onnx", "onnxruntime", "tokenizers"):
    pytest.importorskip(package)

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.embedder import TextEmbedder
from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.embed.texts import OnnxTexts, in_parallel


def opened(folder: Path, **more: object):
    embedder = open_embedder(EmbedSettings.model_validate({"model": str(folder), "threads": 2} | more))
    assert embedder
    return embedder


@pytest.fixture(scope="module")
def tiny(encoder_folder: Path) -> OnnxTexts:
    return OnnxTexts(encoder_folder, threads=2)


def test_vectors_are_the_mean_over_tokens_that_torch_gives(tiny: OnnxTexts) -> None:
    torch = pytest.importorskip("torch")
    ids = [2, *(4 + ord(letter) - ord("a") for letter in "ship"), 3]
    with torch.inference_mode():
        wanted = bert()(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    (made,) = tiny.vectors(["ship"])
    assert made @ wanted / np.linalg.norm(made) / np.linalg.norm(wanted) > 0.99999


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("abcxyz ", max_size=60), min_size=1, max_size=40))
def test_a_text_has_the_same_vector_alone_and_among_others(tiny: OnnxTexts, texts: list[str]) -> None:
    together = tiny.vectors(texts)
    alone = np.stack([tiny.vectors([text])[0] for text in texts])
    assert together.shape == (len(texts), 32)
    assert np.allclose(together, alone, atol=1e-5)


def test_batches_hold_each_text_once_and_no_more_tokens_than_they_may(tiny: OnnxTexts) -> None:
    batches, rows = tiny.batched(["ab" * (index % 12) for index in range(300)])
    assert sorted(at for batch in batches for at in batch) == list(range(300))
    assert all(len(part) * max(map(len, part)) <= 512 for part in rows)
    assert len(rows) > 5


def test_a_long_text_is_counted_whole_and_cut_to_what_the_model_takes(encoder_folder: Path) -> None:
    embedder = opened(encoder_folder)
    assert embedder.max_tokens == 24
    assert embedder.count(["ship", "", "ab" * 30]) == [6, 2, 62]
    first, same, other = embedder.passages(["a" * 22 + "xyz", "a" * 40, "a" * 21 + "xyz"])
    assert np.allclose(first, same, atol=1e-6)
    assert not np.allclose(first, other, atol=1e-3)
    assert opened(encoder_folder, max_tokens=16).max_tokens == 16
    assert opened(encoder_folder, max_tokens=999).max_tokens == 24


def test_prefixes_are_put_before_queries_and_passages_and_belong_to_the_id(encoder_folder: Path) -> None:
    plain, prefixed = opened(encoder_folder), opened(encoder_folder, query_prefix="q ", passage_prefix="pp ")
    assert np.allclose(prefixed.query("ship"), plain.query("q ship"), atol=1e-6)
    assert np.allclose(prefixed.passages(["ship"]), plain.passages(["pp ship"]), atol=1e-6)
    assert prefixed.count(["ship"]) == plain.count(["pp ship"])
    assert len({plain.id, prefixed.id, opened(encoder_folder, query_prefix="q ").id}) == 3
    assert plain.id == opened(encoder_folder, threads=1).id


def test_a_query_is_of_unit_length_remembered_and_cannot_be_changed(encoder_folder: Path) -> None:
    embedder = opened(encoder_folder)
    first = embedder.query("who gives way")
    assert first.dtype == np.float32 and abs(np.linalg.norm(first) - 1) < 1e-6
    assert embedder.query("who gives way") is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0
    assert embedder.passages([]).shape == (0, 32)


def test_other_weights_or_another_tokenizer_are_another_id(encoder_folder: Path, tmp_path: Path) -> None:
    weights = write_encoder(tmp_path / "a/tiny-bert", seed=1)
    tokens = shutil.copytree(encoder_folder, tmp_path / "b/tiny-bert")
    told = json.loads((tokens / "tokenizer.json").read_text())
    told["normalizer"] = None
    (tokens / "tokenizer.json").write_text(json.dumps(told))
    pooled = shutil.copytree(encoder_folder, tmp_path / "c/tiny-bert")
    (pooled / "1_Pooling").mkdir()
    (pooled / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    same = shutil.copytree(encoder_folder, tmp_path / "d/tiny-bert")
    ids = [opened(folder).id for folder in (encoder_folder, weights, tokens, pooled, same)]
    assert len(set(ids)) == 4 and ids[0] == ids[4]


def test_weights_that_give_nan_are_told_and_not_indexed(encoder_folder: Path, tmp_path: Path) -> None:
    from tiny_bert import CONFIG, weights

    from sdx_rag.embed.bert_graph import bert_graph

    folder = shutil.copytree(encoder_folder, tmp_path / "broken")
    held = weights()
    held["encoder.layer.1.output.dense.bias"][3] = np.nan
    (folder / "model.onnx").write_bytes(bert_graph(held, CONFIG).SerializeToString())
    with pytest.raises(EmbeddingError, match="broken gives no usable vector .* for 'ship'"):
        opened(folder).passages(["ship"])


def test_folders_that_hold_no_sentence_encoder_say_so(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="absent is not there: give a folder"):
        opened(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EmbeddingError, match=r"has no model\.onnx"):
        opened(empty)
    cut = shutil.copytree(encoder_folder, tmp_path / "cut")
    whole = (cut / "model.onnx").read_bytes()
    (cut / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmbeddingError, match="is no graph that ONNX Runtime"):
        opened(cut)
    wordless = shutil.copytree(encoder_folder, tmp_path / "wordless")
    (wordless / "tokenizer.json").unlink()
    with pytest.raises(EmbeddingError, match=r"tokenizer\.json cannot be read"):
        opened(wordless)
    with pytest.raises(EmbeddingError, match=r"gives 32 dimensions, embed\.dimensions is 31"):
        opened(encoder_folder, dimensions=31)


def test_libraries_share_a_model_while_one_of_them_is_open(encoder_folder: Path) -> None:
    first, second, other = opened(encoder_folder), opened(encoder_folder, query_prefix="q "), opened(encoder_folder, threads=1)
    assert isinstance(first, TextEmbedder) and isinstance(second, TextEmbedder) and isinstance(other, TextEmbedder)
    assert first.encoder is second.encoder and first.encoder is not other.encoder
    gone = weakref.ref(first.encoder)
    del first, second
    assert gone() is None


def test_work_in_threads_keeps_its_order_and_its_error() -> None:
    assert in_parallel(lambda part: part * part, range(20), 4) == [part * part for part in range(20)]
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda part: 1 // part, [3, 2, 0, 1], 2)
