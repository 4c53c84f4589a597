import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.bench.figures import decode_rate, noise, spread, token_gaps
from sdx_serving.bench.load import Exchange, exchange, read_stream

SECONDS = st.floats(1e-6, 1e4, allow_nan=False)


@given(st.lists(SECONDS, min_size=1))
def test_percentiles_are_ordered_and_inside(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert min(values) * (1 - 1e-9) <= found.p50 <= found.p95 <= found.p99 <= max(values) * (1 + 1e-9)


def test_percentiles_are_linear_between_neighbours() -> None:
    found = spread([0.0, 1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert (found.p50, found.p95, found.p99) == pytest.approx((2.0, 3.8, 3.96))
    assert spread([]) is None


@given(st.lists(SECONDS, min_size=1, max_size=50), st.integers(2, 200))
def test_gaps_between_tokens_add_up_to_their_share_of_the_time(gaps: list[float], tokens: int) -> None:
    asked = Exchange(sent_s=0.0, gaps_s=tuple(gaps), output_tokens=tokens)
    each = token_gaps(asked)
    if len(gaps) <= tokens - 1:
        assert math.fsum(each) / len(each) == pytest.approx(math.fsum(gaps) / (tokens - 1))
    else:
        assert each == gaps


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_the_rate_of_decoding_leaves_the_first_token_out(gaps: list[float]) -> None:
    asked = Exchange(sent_s=0.0, ttft_s=99.0, gaps_s=tuple(gaps), output_tokens=len(gaps) + 1)
    assert decode_rate(asked) == pytest.approx(len(gaps) / math.fsum(gaps))


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_single_token_has_no_rate(tokens: int) -> None:
    assert decode_rate(Exchange(sent_s=0.0, gaps_s=(0.1,), output_tokens=tokens)) is None


@given(st.lists(SECONDS, min_size=2, max_size=9))
def test_noise_is_zero_only_of_equals(values: list[float]) -> None:
    found = noise(values)
    assert found is not None
    assert (found == 0.0) == (len(set(values)) == 1)


def test_noise_of_one_round_is_not_known() -> None:
    assert noise([0.5]) is None


def event(text: str | None = None, **told: object) -> str:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    return "data: " + json.dumps({"choices": choices, **told}, ensure_ascii=False)


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20))
def test_a_stream_is_put_together_with_its_times(pieces: list[str]) -> None:
    lines = [(1.0 + number, event(piece)) for number, piece in enumerate(pieces)]
    used = event(usage={"prompt_tokens": 7, "completion_tokens": 40})
    end_s = 2.0 + len(pieces)
    asked = read_stream(0.5, [(0.6, event("")), *lines, (end_s, used), (end_s, "data: [DONE]")], end_s)
    assert (asked.error, asked.text) == ("", "".join(pieces))
    assert asked.ttft_s == pytest.approx(0.5)
    assert asked.gaps_s == (1.0,) * (len(pieces) - 1)
    assert (asked.request_s, asked.prompt_tokens, asked.output_tokens) == (pytest.approx(end_s - 0.5), 7, 40)


def test_without_usage_pieces_are_counted() -> None:
    asked = read_stream(0.0, [(1.0, event("a")), (2.0, event("b")), (2.0, "data: [DONE]")], 2.0)
    assert asked.output_tokens == 2


def test_an_empty_answer_has_its_first_token_at_its_end() -> None:
    assert exchange(1.0, [], 3.0, 5, 0).ttft_s == 2.0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([event("a")], "the stream ended before its end mark"),
        (["data: {", "data: [DONE]"], "not an OpenAI chat stream"),
        (['data: {"choices": [3]}', "data: [DONE]"], "not an OpenAI chat stream"),
        (["data: [1]", "data: [DONE]"], "not an OpenAI chat stream"),
        ([event("a"), 'data: {"error": {"message": "no room"}}', "data: [DONE]"], "the server broke off"),
    ],
)
def test_a_broken_stream_is_an_error_and_no_figure(lines: list[str], said: str) -> None:
    assert said in read_stream(0.0, [(1.0, line) for line in lines], 2.0).error


@given(st.lists(st.text(max_size=30), max_size=10))
def test_whatever_a_server_sends_is_read_or_refused(lines: list[str]) -> None:
    asked = read_stream(0.0, [(1.0, f"data: {line}") for line in lines], 2.0)
    assert asked.error or "[DONE]" in "".join(lines)
