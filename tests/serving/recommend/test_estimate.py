"""Estimates: what moves them and which way, when a range stands instead of a figure, memory, and measurements that win."""

import math

import pytest

from sdx_serving.devices.device import Device, find_device
from sdx_serving.recommend.answer import Estimate
from sdx_serving.recommend.constants import constants, fitted
from sdx_serving.recommend.estimate import Asked, Knowledge, estimate, most_context
from sdx_serving.recommend.own import Own, Seen, own_of, plausible
from sdx_serving.recommend.shapes import named_facts
from sdx_serving.recommend.timing import Load, Place, prefill_s, step_s
from sdx_serving.results import Measurement, Spread

LOAD = Load(512, 128)
ORIN = find_device("jetson-agx-orin-64")
KNOWN = Knowledge(constants(), fitted())
FACTS = named_facts("qwen3-8b", "W4A16")
PLACE = Place("here", "cpu", "llama.cpp", 40.0, 0.1)


def of(
    device: Device = ORIN, engine: str = "vllm", load: Load = LOAD, known: Knowledge = KNOWN, model: str = "qwen3-8b", how: str = "W4A16"
) -> Estimate:
    runtime = device.runtime(engine)
    assert runtime is not None
    return estimate(named_facts(model, how), device, runtime, Asked(load, 2048), known)


def row(model: str, how: str, rate: float, **changes: object) -> Seen:
    made = {
        "device": "here", "model": model, "compression": how, "runtime": "llama.cpp 1", "context_tokens": 2048, "prompt_tokens": 512,
        "output_tokens": 128, "decode_tokens_per_s": rate, "at": "2026-01-01T00:00:00+00:00", **changes,
    }  # fmt: skip
    return Seen(Measurement.model_validate(made), named_facts(model, how))


def test_one_answer_is_what_was_published_of_such_devices() -> None:
    # Jetson AI Lab, not among the rows that were fitted: Qwen3-8B W4A16 on AGX Orin, 30 tok/s
    rate = of(load=Load(2048, 128)).tokens_per_s
    assert rate.middle == pytest.approx(30, rel=0.15) and rate.low < 30 < rate.high


def test_time_grows_with_bytes_context_and_narrower_memory() -> None:
    def step(facts=FACTS, place=PLACE, load=LOAD) -> float:
        return step_s(facts, place, load, KNOWN.constants)

    assert step(named_facts("qwen3-8b", "BF16")) > 2 * step()
    assert step(load=Load(30_000, 128)) > step() * 1.5
    assert step(place=Place("here", "cpu", "llama.cpp", 20.0)) == pytest.approx(2 * step(), rel=0.05)


def test_a_batch_reads_weights_once_and_a_queue_waits() -> None:
    one, eight = of(), of(load=Load(512, 128, 8))
    assert one.total_tokens_per_s.middle is not None and eight.total_tokens_per_s.middle is not None
    assert 4 < eight.total_tokens_per_s.middle / one.total_tokens_per_s.middle < 8
    queue = Knowledge(constants(), fitted(), queueing=frozenset({"llama.cpp"}))
    alone, queued = (of(engine="llama.cpp", how="Q4_K_M", load=Load(512, 128, many), known=queue) for many in (1, 8))
    assert alone.total_tokens_per_s == queued.total_tokens_per_s
    assert alone.decision_s and queued.decision_s and alone.decision_s.middle and queued.decision_s.middle
    assert queued.decision_s.middle == pytest.approx(8 * alone.decision_s.middle, rel=0.01)
    assert queued.memory.kv == alone.memory.kv, "one context is held, whoever waits"


def test_a_cached_beginning_shortens_the_first_token() -> None:
    found = of(load=Load(2048, 128, 1, 1800))
    assert found.ttft_cold_s and found.ttft_warm_s and found.ttft_cold_s.middle and found.ttft_warm_s.middle
    assert found.ttft_warm_s.middle < 0.5 * found.ttft_cold_s.middle
    assert prefill_s(FACTS, Place("x", "gpu", "vllm", 900.0), 100, KNOWN.constants) is None, "no peak, no figure"


def test_a_runtime_of_which_nothing_was_measured_gets_a_range() -> None:
    found = of(engine="tensorrt-edge-llm")
    assert found.basis == "range" and found.tokens_per_s.middle is None and found.decision_s and found.decision_s.middle is None
    assert found.tokens_per_s.high / found.tokens_per_s.low > of().tokens_per_s.high / of().tokens_per_s.low


def test_a_card_whose_memory_is_unknown_gets_the_range_of_all_cards() -> None:
    card = find_device("rtx-4090")
    unknown = card.model_copy(update={"bandwidth_gb_s": None})
    found = of(unknown, "llama.cpp", how="Q4_K_M")
    assert found.tokens_per_s.middle is None and found.basis == "range"
    told = of(card, "llama.cpp", how="Q4_K_M").tokens_per_s
    assert found.tokens_per_s.low < told.low and found.tokens_per_s.high > told.high * 0.9


def test_memory_is_weights_context_and_runtime() -> None:
    need = of(load=Load(512, 128, 4)).memory
    assert need.weights == FACTS.weights_bytes and need.kv == 4 * FACTS.kv_bytes(2048) and need.runtime > 0 and need.fits
    tight = need.model_copy(update={"usable": need.total + need.kv})
    assert most_context(FACTS, tight, 2048) == 4096
    assert most_context(FACTS, need.model_copy(update={"usable": need.weights}), 2048) == 0


def test_own_measurements_find_what_the_device_does() -> None:
    truth = Own(gain=0.7, token_s=0.001)

    def step(model: str, how: str, own: Own) -> float:
        return step_s(named_facts(model, how), PLACE, LOAD, KNOWN.constants, own)

    seen = [
        row(model, how, 1 / step(model, how, truth))
        for model, how in (("sdx-embedded", "F32"), ("smollm2-135m", "Q8_0"), ("qwen3-0.6b", "F16"))
    ]
    found = own_of(seen, lambda one: PLACE, KNOWN.constants)
    assert (found.gain, found.token_s) == (pytest.approx(0.7, rel=0.06), pytest.approx(0.001, rel=0.1))
    assert step("smollm2-360m", "Q8_0", found) == pytest.approx(step("smollm2-360m", "Q8_0", truth), rel=0.05), "a model that it never saw"
    assert found.rows == 3 and own_of([], lambda one: PLACE, KNOWN.constants) == Own()


def test_the_very_thing_measured_wins_over_any_estimate() -> None:
    spread = Spread(p50=0.5, p95=0.7, p99=0.8)
    one = row(
        "qwen3-8b", "W4A16", 12.0, device=ORIN.id, runtime="vllm 0.32", ttft_cold_s=spread, tokens_per_s=11.0, peak_rss_bytes=9_000_000_000
    )
    found = of(known=Knowledge(constants(), fitted(), [one]))
    assert found.basis == "measured here" and found.tokens_per_s.middle == 12.0
    assert found.ttft_cold_s and (found.ttft_cold_s.middle, found.ttft_cold_s.high) == (0.5, 0.7)
    assert found.memory.total == 9_000_000_000
    other = of(known=Knowledge(constants(), fitted(), [one]), how="BF16")
    assert other.basis == "fitted to this device's measurements"
    assert other.tokens_per_s.middle and of(how="BF16").tokens_per_s.middle
    assert other.tokens_per_s.middle < 0.8 * (of(how="BF16").tokens_per_s.middle or math.inf)


def test_a_measurement_that_breaks_physics_is_refused_with_its_name() -> None:
    fast = row("qwen3-8b", "BF16", 30.0)
    told = plausible(fast, 204.8, 1.05)
    assert told is not None and "qwen3-8b BF16" in told and "not used" in told
    assert plausible(row("qwen3-8b", "BF16", 12.0), 204.8, 1.05) is None
    tiny = row("sdx-embedded", "F32", 900.0)
    assert plausible(tiny, 20.0, 1.05) is not None and plausible(tiny, 20.0, 1.05, cache_bytes=1 << 26) is None, "a cache holds it"


def test_a_model_smaller_than_any_row_gets_a_range_until_it_is_measured() -> None:
    found = of(engine="llama.cpp", model="sdx-embedded", how="Q8_0")
    assert found.basis == "range" and found.tokens_per_s.middle is None
    assert found.ttft_cold_s and found.ttft_cold_s.middle is None and found.ttft_cold_s.high > 4 * found.ttft_cold_s.low
    seen = row("sdx-embedded", "F32", 300.0, device=ORIN.id)
    assert of(engine="llama.cpp", model="sdx-embedded", how="Q8_0", known=Knowledge(constants(), fitted(), [seen])).tokens_per_s.middle
