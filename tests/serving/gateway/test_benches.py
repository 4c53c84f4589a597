"""The commands that hold the gateway to its bars: they run, and they notice."""

from pathlib import Path

import pytest

from sdx_serving.bench.gateway_overhead import BARS, gateway_overhead, passed, slope
from sdx_serving.bench.soak import soak

from .conftest import needs_llama


@needs_llama
def test_the_overhead_is_measured_in_pairs(tiny_model: Path) -> None:
    found = gateway_overhead(pairs=4, blocks=1, concurrency=4, max_tokens=4, starts=1, model=tiny_model)
    assert set(found["passed"]) == set(BARS)
    assert found["gateway_ms_p50"] > 0 and found["direct_ms_p50"] > 0 and 0.0 < found["throughput_ratio"] < 5.0
    assert 20.0 < found["rss_mb"] < 150.0  # what it takes does not hang on what else the machine does


@pytest.mark.parametrize(
    ("name", "worse"), [("overhead_ms_p50", 4.1), ("throughput_ratio", 0.94), ("rss_mb", 151.0), ("cold_start_s", 2.1)]
)
def test_a_bar_that_is_missed_is_said(name: str, worse: float) -> None:
    assert all(passed(dict(BARS)).values())
    assert [bar for bar, well in passed(BARS | {name: worse}).items() if not well] == [name]


def test_slope() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 1.0)]) == 0.0


@needs_llama
@pytest.mark.timeout(240)
def test_no_answer_is_lost_while_the_engine_is_killed(tiny_model: Path) -> None:
    told: list[str] = []
    found = soak(minutes=0.25, concurrency=4, kill_every_s=5.0, model=tiny_model, tell=told.append)
    assert (found["lost"], found["wrong_keyed"]) == (0, 0), found["examples"]
    assert found["requests"] > 8 and found["kills"] >= 1 and told
