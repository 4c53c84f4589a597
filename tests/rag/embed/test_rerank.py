"""Cross-encoders: one small enough to compute by hand, and endpoints that answer well and badly."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bert import CONFIG, LETTERS, write_tokenizer
from told_server import Told

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.choose import open_reranker
from sdx_rag.embed.settings import RerankSettings

TEXTS = ["the ship", "x", "a vessel that is not under way", "ship ship", "gives way " * 20]
QUERY = "who gives way"


WORTH = np.random.default_rng(0).normal(0, 1, (40, 1)).astype(np.float32)
SIDE = np.array([[1.0], [-0.7]], np.float32)


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token is worth so much on either side, and a pair as much as its tokens."""
    onnx = pytest.importorskip("onnx")
    for name in ("onnxruntime", "tokenizers"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("rerank") / "tiny-cross"
    folder.mkdir()
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        node("Gather", ["worth", "input_ids"], ["tokens"]),
        node("Gather", ["side", "token_type_ids"], ["sides"]),
        node("Cast", ["attention_mask"], ["there"], to=kinds.FLOAT),
        node("Unsqueeze", ["there", "last"], ["mask"]),
        node("Mul", ["tokens", "sides"], ["seen"]),
        node("Mul", ["seen", "mask"], ["kept"]),
        node("ReduceSum", ["kept", "middle"], ["logits"], keepdims=0),
    ]
    held = {"worth": WORTH, "side": SIDE, "last": np.array([2]), "middle": np.array([1])}
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    graph = onnx.helper.make_graph(
        nodes,
        "cross",
        [onnx.helper.make_tensor_value_info(name, kinds.INT64, ["pairs", "length"]) for name in inputs],
        [onnx.helper.make_tensor_value_info("logits", kinds.FLOAT, ["pairs", 1])],
        [onnx.numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def expected(query: str, text: str) -> float:
    """[CLS] query [SEP] text [SEP], a letter a token, the text cut so that all is 40 tokens."""
    first, second = ([LETTERS.index(letter) + 4 for letter in words.replace(" ", "")] for words in (query, text))
    second = second[: 40 - 3 - len(first)]
    return float(WORTH[[2, *first, 3], 0].sum() * SIDE[0, 0] + WORTH[[*second, 3], 0].sum() * SIDE[1, 0])


def test_scores_are_the_models_whatever_is_computed_together(cross_encoder: Path) -> None:
    reranker = open_reranker(RerankSettings(model=str(cross_encoder), threads=2))
    assert reranker and reranker.id.startswith("tiny-cross-")
    scores = reranker.scores(QUERY, TEXTS * 9)
    wanted = [expected(QUERY, text) for text in TEXTS] * 9
    assert scores == pytest.approx(wanted, abs=1e-4)
    assert len({round(score, 3) for score in scores}) == len(TEXTS)
    assert reranker.scores(QUERY, []) == []


def test_a_sentence_encoder_is_no_reranker(encoder_folder: Path) -> None:
    with pytest.raises(EmbeddingError, match="wanted is logits of .pairs, 1.: export it for sequence classification"):
        open_reranker(RerankSettings(model=str(encoder_folder)))


def test_an_endpoint_ranks_in_the_order_of_the_texts(told: Told) -> None:
    def well(path: str, body: Any, asked: int) -> tuple[int, dict[str, str], Any]:
        scored = [{"index": at, "relevance_score": float(len(text))} for at, text in enumerate(body["documents"])]
        return 200, {}, {"results": sorted(scored, key=lambda one: -one["relevance_score"])}

    told.answer = well
    reranker = open_reranker(RerankSettings(url=told.url, model="bge-reranker"))
    assert reranker and reranker.id.startswith("bge-reranker-")
    assert reranker.scores(QUERY, TEXTS) == [float(len(text)) for text in TEXTS]
    assert reranker.scores(QUERY, []) == []
    (path, _, body), *more = told.asked
    assert path == "/v1/rerank" and not more
    assert body == {"model": "bge-reranker", "query": QUERY, "documents": TEXTS, "top_n": 5}


@pytest.mark.parametrize(
    ("results", "says"),
    [
        (None, "no results for 2 texts"),
        ([{"index": 0, "relevance_score": 1.0}], "1 results for 2 texts"),
        ([{"index": 0, "relevance_score": 1.0}] * 2, r"indices \[0\]"),
        ([{"index": at, "relevance_score": math.nan} for at in (0, 1)], "scores .nan"),
        ([{"index": at, "score": 1.0} for at in (0, 1)], "without index or relevance_score"),
        ([{"index": at, "relevance_score": "high"} for at in (0, 1)], "without index or relevance_score"),
        (["a", "b"], "without index or relevance_score"),
    ],
)
def test_an_endpoints_nonsense_is_told(told: Told, results: Any, says: str) -> None:
    told.answer = lambda path, body, asked: (200, {}, {"results": results})
    reranker = open_reranker(RerankSettings(url=told.url, model="m"))
    assert reranker
    with pytest.raises(EmbeddingError, match=f"{says}.*is rerank.url a server of such models"):
        reranker.scores(QUERY, ["a", "b"])
