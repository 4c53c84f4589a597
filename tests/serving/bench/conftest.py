"""Rows of an experiment as they come out of trials, made by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.bench.load import Exchange
from sdx_serving.bench.plan import Cell, ModelFile, ModelSpec, Plan, WaySpec
from sdx_serving.bench.rows import Measured, Origin, measurement
from sdx_serving.bench.trial import Trial

HTTP = WaySpec(way="http")
Measure = Callable[..., Measured]


def answered(request_s: float, tokens: int = 11, ttft_s: float | None = None) -> Exchange:
    """A request whose first token came after a tenth of its time, and the others evenly."""
    first = request_s / 10 if ttft_s is None else ttft_s
    gaps = ((request_s - first) / (tokens - 1),) * (tokens - 1)
    return Exchange(sent_s=0.0, ttft_s=first, request_s=request_s, gaps_s=gaps, prompt_tokens=100, output_tokens=tokens, text="yes")


@pytest.fixture
def plan() -> Plan:
    return Plan(
        models=(ModelSpec(name="toy", files=(ModelFile(compression="F32", path=Path("toy.gguf")),)),),
        ways=(HTTP,),
        prompts="rows.jsonl",
        requests=4,
        rounds=2,
        threads=1,
        pin=False,
    )


@pytest.fixture
def measured(plan: Plan) -> Measure:
    """One cell: `request_s` of each of two rounds, the score of each of eight rows."""

    def make(
        compression: str,
        request_s: tuple[float, float] = (0.5, 0.5),
        scores: tuple[float, ...] = (1.0,) * 8,
        runtime: str = "llama.cpp",
        way: WaySpec = HTTP,
        weights: int = 10_000_000,
        failure: str = "",
        **told: Any,
    ) -> Measured:
        cell = Cell("toy", compression, Path(f"toy-{compression}"), runtime, way, "ab" * 32, "1.0", "load")
        trials = [
            Trial(
                cell=cell.key, round=number, at="2026-01-02T03:04:05+00:00", device="this:test", commit="c0ffee", failure=failure,
                cold=(answered(seconds, ttft_s=0.3),), answers=(answered(seconds),) * 4, scores=scores[4 * number : 4 * number + 4],
                seconds=4 * seconds, peak_rss_bytes=80_000_000, **told,
            )
            for number, seconds in enumerate(request_s)
        ]  # fmt: skip
        return measurement(cell, trials, plan, Origin("toys", {cell.path: weights}))

    return make
