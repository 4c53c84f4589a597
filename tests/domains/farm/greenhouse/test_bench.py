"""The speed measured is a speed of work that was done."""

from sdx_domains.farm.greenhouse.bench import speed


def test_speed_is_within_the_bars_with_room() -> None:
    found = speed(rounds=2)
    assert found.passed, found
    assert found.steps_per_s < 1e7 and found.roll_out_s > 1e-4
