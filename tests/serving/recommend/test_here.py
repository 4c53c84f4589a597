"""A model measured on this machine with a real engine, and the estimates that rest on it."""

import importlib.util
import os
import random
from pathlib import Path

import pytest

from sdx_serving.bench.task import Question, Turn
from sdx_serving.engine import Serving
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_serving.recommend.headers import facts_of
from sdx_serving.recommend.here import Plan, measure_here, peak_rss_bytes, serving_of
from sdx_serving.results import Measurement, Results

PLAN = Plan(context_tokens=1024, output_tokens=24, requests=3)


def plain_questions(count: int, words: int) -> list[Question]:
    """Chats about nothing, of so many words, with a beginning that they share."""
    rng = random.Random(0)
    common = " ".join(rng.choices(("wind", "course", "speed", "light", "depth", "range"), k=words // 2))
    ends = [" ".join(rng.choices(("north", "south", "east", "west"), k=words - words // 2)) for _ in range(count)]
    return [Question(messages=(Turn(role="system", content=common), Turn(role="user", content=end))) for end in ends]


@pytest.fixture(scope="module")
def measured(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    engine = LlamaCpp(serving_of(str(tiny_model), PLAN), log=tmp_path_factory.mktemp("log") / "engine.log")
    row = measure_here(engine, facts_of(str(tiny_model)), plain_questions(4, 60), PLAN, "this:test")
    assert engine.pid is None, "the engine ends with the measurement"
    return row


def test_a_row_tells_all_that_the_estimator_wants(measured: Measurement, tiny_model: Path, tmp_path: Path) -> None:
    assert measured.requests == 6 and measured.prompt_tokens > 100 and 8 <= measured.output_tokens <= 24, "as the engine counts"
    assert measured.decode_tokens_per_s and measured.inter_token_s and measured.ttft_cold_s and measured.ttft_warm_s
    assert measured.ttft_cold_s.p50 > measured.inter_token_s.p50, "a prompt takes longer than a token"
    assert measured.peak_rss_bytes and measured.peak_rss_bytes > facts_of(str(tiny_model)).weights_bytes
    Results(tmp_path / "r.jsonl").add(measured)
    assert list(Results(tmp_path / "r.jsonl")) == [measured]


def test_what_engines_cached_is_shorter(measured: Measurement) -> None:
    assert measured.ttft_cold_s and measured.ttft_warm_s
    assert measured.ttft_warm_s.p50 < measured.ttft_cold_s.p50


def test_memory_of_a_process_counts_its_children() -> None:
    assert peak_rss_bytes(os.getpid()) > 10_000_000
    assert peak_rss_bytes(2**22 + 1) == 0, "no such process"


def test_a_plan_is_served_as_it_says() -> None:
    assert serving_of("~/m.gguf", Plan(512, threads=2)) == Serving(str(Path.home() / "m.gguf"), context_tokens=512, threads=2)
