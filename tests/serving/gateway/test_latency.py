"""What an upstream took lately says what it will take."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from sdx_serving.gateway.latency import HALF_LIFE_S, Latency, quantile

times = st.floats(0.001, 100.0)


def test_nothing_is_said_before_anything_was_seen() -> None:
    assert Latency().expect(0.0, 10) is None


def test_first_token_and_each_further_are_told_apart() -> None:
    latency, rng = Latency(), random.Random(0)
    for step in range(40):
        tokens = rng.randint(1, 100)
        latency.add(step, tokens, 0.5 + 0.02 * tokens)
    assert abs((latency.expect(40.0, 50) or 0) - 1.5) < 0.05
    assert abs((latency.expect(40.0, 5) or 0) - 0.6) < 0.05


def test_a_bound_far_above_what_is_usual_is_not_believed() -> None:
    latency = Latency()
    for step in range(20):
        latency.add(step, 20 + step % 3, 1.0)
    assert (latency.expect(20.0, 4096) or 9) < 1.3


def test_old_times_fade_and_are_forgotten() -> None:
    latency = Latency()
    for _ in range(10):
        latency.add(0.0, 10, 8.0)
    later = 4 * HALF_LIFE_S
    for _ in range(20):
        latency.add(later, 10, 1.0)
    assert (latency.expect(later, 10) or 9) < 3.0
    assert latency.expect(later + 15 * HALF_LIFE_S, 10) is None


def test_one_slow_answer_in_ten_is_reckoned_with() -> None:
    latency = Latency()
    for step in range(30):
        latency.add(step / 100, 10, 5.0 if step % 10 == 0 else 1.0)
    assert (latency.expect(0.3, 10) or 0) > 3.0


@example(points=[(0, 0.5), (1, 1.0), (2, 5.0)], tokens=1)  # the line passes just above nothing at no token
@given(st.lists(st.tuples(st.integers(0, 500), times), min_size=1, max_size=64), st.integers(1, 10_000))
def test_whatever_was_seen_the_expectation_is_a_time(points: list[tuple[int, float]], tokens: int) -> None:
    latency = Latency()
    for index, (count, seconds) in enumerate(points):
        latency.add(index / 100, count, seconds)
    told = latency.expect(len(points) / 100, tokens)
    assert told is not None and 0.0 <= told < 1e6


@given(st.lists(st.tuples(times, times), min_size=1, max_size=30))
def test_a_quantile_is_one_of_the_values(pairs: list[tuple[float, float]]) -> None:
    values, weights = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert quantile(0.95, values, weights) in values
    assert quantile(1.0, values, weights) == max(values) or len(values) > 1
