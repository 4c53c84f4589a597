from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.bench.conclude import best_within, conclusion, paired
from sdx_serving.bench.plan import Impairment, Plan, WaySpec
from sdx_serving.bench.plots import front
from sdx_serving.bench.rows import Measured, Origin
from sdx_serving.bench.run import Outcome
from sdx_serving.bench.trial import Cores

HALF = (1.0, 0.0) * 4


def outcome(plan: Plan, *measured: Measured) -> Outcome:
    return Outcome(plan, measured, (), Origin("toys", {Path(): 0}), "right", Cores())


@given(st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.0, 1.0)), min_size=1, max_size=20))
def test_nothing_beats_the_front_and_the_front_beats_all_else(points: list[tuple[float, float]]) -> None:
    best = front(points)
    for number, (cost, gain) in enumerate(points):
        beaten = [i for i in best if points[i][0] <= cost and points[i][1] >= gain]
        assert beaten, "each point is on the front, or has one on it that is as good in both"
        if number in best:
            assert not any(c < cost and g >= gain or c <= cost and g > gain for c, g in points)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_a_model_does_not_differ_from_itself(scores: list[bool]) -> None:
    assert paired(scores, scores) == (0.0, 0.0, 0.0)


def test_an_interval_leaves_zero_out_only_where_rows_show_it() -> None:
    right, wrong = (1.0,) * 40, (0.0,) * 10 + (1.0,) * 30
    mean, low, high = paired(wrong, right)
    assert mean == -0.25
    assert low < -0.25 < high < 0.0
    mean, low, high = paired((0.0,) + (1.0,) * 39, right)
    assert low < 0.0 <= high


def test_under_a_deadline_the_fastest_of_the_accurate_is_chosen(measured: Any) -> None:
    exact, small, wrong = measured("F32", (0.9, 0.9)), measured("Q8_0", (0.4, 0.4)), measured("Q2_K", (0.1, 0.1), scores=(0.0,) * 8)
    rows = [exact, small, wrong]
    assert best_within(rows, 1.0) is small
    assert best_within(rows, 0.5) is small
    assert best_within(rows, 0.2) is wrong, "it is all that is in time"
    assert best_within(rows, 0.05) is None


def test_the_conclusion_says_what_to_run_and_what_things_cost(plan: Plan, measured: Any) -> None:
    far = WaySpec(way="http-impaired", impairment=Impairment(round_trip_ms=40))
    many = WaySpec(way="http", concurrency=16)
    said = conclusion(
        outcome(
            plan,
            measured("F32", (0.9, 0.9)),
            measured("F32", (0.8, 0.8), way=WaySpec(way="in-process")),
            measured("F32", (1.0, 1.0), way=far),
            measured("F32", (9.0, 9.0), way=many),
            measured("Q8_0", (0.4, 0.6), others_cores=0.5),
            measured("Q4_K_M", (0.3, 0.3), scores=(0.0,) * 8),
        )
    )
    text = "\n".join(said)
    assert "Within 0.25 s: nothing here answers 95 % of requests; the nearest is Q4_K_M on llama.cpp with 0.30 s." in said
    assert "Within 0.5 s: Q4_K_M on llama.cpp (95 % of requests in 0.30 s, 0.0% right" in text
    assert "Within 1 to 5 s: Q8_0 on llama.cpp (95 % of requests in 0.60 s, 100.0% right, 10.0 MB of weights, 80 MB in memory)." in said
    assert "Less accurate than F32 on llama.cpp: Q4_K_M on llama.cpp by 100.0 points (100.0 to 100.0)." in said
    assert "Over HTTP the median request changes by +100 ms (middle of 1; +100 to +100) against a function call in process." in said
    assert "Over the impaired network (round trip +40 ms) it changes by +100 ms (middle of 1; +100 to +100) against the plain one." in said
    assert (
        "With 16 requests at once llama.cpp answers, one after the other, x0.10 tokens/s of one at a time, and a request takes x10.0 as long."
        in said
    )
    assert "(worst 40%)" in text


def test_failures_and_single_rounds_conclude_nothing_that_was_not_measured(plan: Plan, measured: Any) -> None:
    assert "every cell failed" in conclusion(outcome(plan, measured("F32", failure="missing: F32")))[0]


@pytest.mark.parametrize(("others", "told"), [(0.0, False), (0.8, True)])
def test_a_machine_that_was_not_idle_is_said_to_be(plan: Plan, measured: Any, others: float, told: bool) -> None:
    said = conclusion(outcome(plan, measured("F32", others_cores=others)))
    assert any("The machine was not idle: other processes kept 0.8 cores busy" in sentence for sentence in said) == told
