"""The comparison of a served model with llama.cpp called directly, on a model that says nonsense fast."""

from pathlib import Path
from typing import Any

import pytest

from sdx_serving.bench.engine_overhead import engine_overhead


def test_both_ways_are_timed_with_the_same_prompts(tiny_model: Path, llama_cpp_library: Any, no_llama_server: None) -> None:
    lines: list[str] = []
    told = engine_overhead(tiny_model, threads=1, pairs=2, answer_tokens=8, seed=0, say=lines.append)
    assert len(lines) == 2 and lines[-1].startswith("2/2")
    assert all(value > 0 for value in told["ratio"].values()) and set(told["ratio"]) == {"decode whole", "decode streamed", "prefill"}
    weights = told["bytes_per_token"]
    assert 0.9 * tiny_model.stat().st_size < weights < tiny_model.stat().st_size
    rate = max(told["tokens_per_s"]["engine whole"], told["tokens_per_s"]["engine streamed"])
    assert told["share_of_bandwidth"] == pytest.approx(weights * rate / 1e9 / told["read_gb_s"], rel=0.05, abs=2e-3)


def test_an_answer_that_does_not_fit_is_refused(tiny_model: Path, llama_cpp_library: Any, no_llama_server: None) -> None:
    with pytest.raises(ValueError, match="an answer of 1900 do not fit 2048: ask for fewer"):
        engine_overhead(tiny_model, threads=1, pairs=1, answer_tokens=1900, seed=0, say=print)
