"""The measurement of the lexical index measures both, and the same words."""

import pytest

from sdx_rag.bench.lexical import measure


def test_both_are_filled_and_searched() -> None:
    result = measure(chunks=250, seed=3)
    assert (result["chunks"], result["seed"]) == (250, 3)
    assert result["lexical_side_chunks_per_s"] < min(result["analysis_chunks_per_s"], result["tantivy"]["ingest_chunks_per_s"])
    for engine in ("tantivy", "fts5"):
        assert 0 < result[engine]["search_p50_ms"] <= result[engine]["search_p95_ms"]
        assert result[engine]["disk_bytes"] > 250 * 100  # the words are there


def test_no_chunks_is_told() -> None:
    with pytest.raises(ValueError, match="chunks: 0 given"):
        measure(0, 0)
