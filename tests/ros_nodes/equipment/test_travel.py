"""Where a level-1 opener is reckoned to stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_ros_nodes.equipment.travel import Travel


def test_to_a_position_between() -> None:
    travel = Travel(200.0, 10.0)
    run = travel.run_to(60.0)
    assert (run.operation, run.seconds, run.ends_pct) == ("timed_open", 100, 60.0)
    travel.begin(run)
    assert travel.see(301, 40.0) == pytest.approx(40.0)
    assert travel.see(0, 0.0) == 60.0 and travel.run is None


def test_to_an_end_it_runs_longer_than_it_must() -> None:
    travel = Travel(100.0, 30.0)
    run = travel.run_to(0.0)
    assert (run.operation, run.seconds, run.ends_pct) == ("timed_close", 40, 0.0)
    travel.begin(run)
    assert travel.see(302, 35.0) == pytest.approx(25.0)
    assert travel.see(302, 5.0) == 0.0


def test_from_an_unknown_place_it_shuts_first() -> None:
    travel = Travel(100.0)
    assert (travel.run_to(40.0).operation, travel.run_to(40.0).ends_pct) == ("timed_close", 0.0)
    assert (travel.run_to(99.0).operation, travel.run_to(99.0).ends_pct) == ("timed_close", 0.0)
    run = travel.run_to(100.0)
    assert (run.operation, run.seconds, run.ends_pct) == ("timed_open", 110, 100.0)
    travel.begin(run)
    assert travel.see(301, 50.0) is None
    assert travel.see(0, 0.0) == 100.0


def test_stopped_on_the_way_and_moved_by_somebody_else() -> None:
    travel = Travel(100.0, 0.0)
    travel.begin(travel.run_to(80.0))
    travel.halt(301, 30.0)
    assert travel.position_pct == pytest.approx(50.0)
    assert travel.see(302, 10.0) is None and travel.see(0, 0.0) is None


@given(st.floats(0, 100), st.floats(0, 100), st.floats(5, 600))
def test_it_ends_within_half_a_second_of_travel(here: float, wanted: float, travel_s: float) -> None:
    run = Travel(travel_s, here).run_to(wanted)
    assert 0.0 <= run.ends_pct <= 100.0
    assert abs(run.ends_pct - wanted) <= 50.0 / travel_s + 1e-6
    assert run.seconds <= 1.1 * travel_s + 2
    assert (run.seconds == 0) == (run.operation == "stop")
