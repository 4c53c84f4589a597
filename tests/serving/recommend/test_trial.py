"""Each measurement on this machine against an estimate from the others."""

import pytest

from sdx_serving.devices.device import find_device
from sdx_serving.recommend.constants import constants, fitted
from sdx_serving.recommend.estimate import Knowledge
from sdx_serving.recommend.own import Seen
from sdx_serving.recommend.rows import place_of
from sdx_serving.recommend.shapes import named_facts
from sdx_serving.recommend.timing import Load, Own, step_s
from sdx_serving.recommend.trial import here_trial
from sdx_serving.results import Measurement

PC = find_device("pc-cpu-ddr5-5600")
KNOWN = Knowledge(constants(), fitted())
LOAD = Load(500, 100)


def seen(how: str, beside_bytes: int = 100_000_000, faster: float = 1.0) -> Seen:
    """A measurement on a machine that reaches 0.8 of the pooled share, and loses a millisecond with each token."""
    facts = named_facts("smollm2-135m", how)
    rate = faster / step_s(facts, place_of(PC, "llama.cpp"), LOAD, KNOWN.constants, Own(0.8, 0.001))
    row = {
        "device": PC.id, "model": "smollm2-135m", "compression": how, "runtime": "llama.cpp", "context_tokens": 1024, "prompt_tokens": 500,
        "output_tokens": 100, "decode_tokens_per_s": rate, "peak_rss_bytes": facts.weights_bytes + facts.kv_bytes(1024) + beside_bytes,
        "at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Seen(Measurement.model_validate(row), facts)


def test_a_machine_that_behaves_is_estimated_from_its_other_measurements() -> None:
    result = here_trial(PC, [seen("F32"), seen("Q8_0"), seen("Q4_K_M")], KNOWN)
    assert [row["from"] for row in result["rows"]] == [2, 2, 2]
    assert result["worst_decode_error"] < 0.15 and result["worst_memory_error"] < 0.01


def test_one_that_does_not_shows() -> None:
    result = here_trial(PC, [seen("F32"), seen("Q8_0", faster=0.4), seen("Q4_K_M", beside_bytes=300_000_000)], KNOWN)
    assert result["worst_decode_error"] > 0.25 and result["worst_memory_error"] > 0.10


def test_one_file_proves_nothing() -> None:
    with pytest.raises(ValueError, match="two measurements of a runtime at least"):
        here_trial(PC, [seen("F32")], KNOWN)
