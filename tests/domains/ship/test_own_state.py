"""Own ship from partial, wrong and late readings."""

from math import inf

import pytest

from sdx_domains.ship.own_state import MAX_EXTRAPOLATION_S, OwnState
from sdx_domains.ship.picture import OwnReading, OwnShip, OwnShipParameters


class Bridge:
    def __init__(self) -> None:
        self.state, self.faults = OwnState(), []
        self.give(0.0, lat_deg=58.0, lon_deg=10.0, heading_deg=0.0, cog_deg=0.0, sog_kn=12.0)

    def give(self, t_s: float, now_s: float | None = None, **fields: float) -> None:
        reading = OwnReading.model_validate({"t_s": t_s, "source": "test", **fields})
        self.state.fold(reading, t_s if now_s is None else now_s, lambda t, kind, detail: self.faults.append(kind))

    def at(self, now_s: float) -> OwnShip:
        return self.state.at(now_s, OwnShipParameters(), "power")


def test_position_is_carried_on_by_course_and_speed_for_ten_seconds() -> None:
    bridge = Bridge()
    moved = [(bridge.at(t).lat_deg - 58.0) * 60.0 * 1852.0 for t in (0.0, 5.0, 60.0)]
    assert moved[0] == 0.0
    assert moved[1] == pytest.approx(5.0 * 6.17, rel=0.01)
    assert moved[2] == pytest.approx(MAX_EXTRAPOLATION_S * 6.17, rel=0.01)
    assert bridge.at(60.0).pos_sigma_m > bridge.at(1.0).pos_sigma_m


def test_age_is_that_of_the_older_of_fix_and_heading() -> None:
    bridge = Bridge()
    bridge.give(5.0, lat_deg=58.0, lon_deg=10.0)
    assert bridge.at(6.0).age_s == 6.0
    bridge.give(6.0, heading_deg=1.0)
    assert bridge.at(6.0).age_s == 1.0


def test_late_readings_do_not_overwrite_newer_ones() -> None:
    bridge = Bridge()
    bridge.give(10.0, heading_deg=20.0, lat_deg=58.001, lon_deg=10.0)
    bridge.give(9.0, 10.0, heading_deg=10.0, lat_deg=58.0, lon_deg=10.0)
    assert bridge.at(10.0).heading_deg == 20.0
    assert bridge.at(10.0).lat_deg == 58.001


@pytest.mark.parametrize(
    ("field", "value"), [("heading_deg", 511.0), ("cog_deg", -1.0), ("sog_kn", inf), ("rudder_deg", 200.0), ("ordered_speed_kn", -3.0)]
)
def test_absurd_values_are_told_and_the_last_is_kept(field: str, value: float) -> None:
    bridge = Bridge()
    before = bridge.at(0.0)
    bridge.give(0.0, **{field: value})
    assert bridge.faults == [f"absurd_own_{field}"]
    assert bridge.at(0.0) == before


def test_a_lone_jump_is_held_back_and_three_that_agree_are_believed() -> None:
    bridge = Bridge()
    bridge.give(1.0, lat_deg=58.2, lon_deg=10.0)
    bridge.give(2.0, lat_deg=58.0001, lon_deg=10.0)
    assert bridge.state.fix == (58.0001, 10.0)
    for t in (3.0, 4.0, 5.0):
        bridge.give(t, lat_deg=58.2, lon_deg=10.0)
    assert bridge.state.fix == (58.2, 10.0)
    assert bridge.faults == ["own_position_jump"] * 4


def test_a_fix_that_is_no_place_is_told() -> None:
    bridge = Bridge()
    bridge.give(1.0, lat_deg=91.0, lon_deg=10.0)
    assert bridge.faults == ["absurd_own_position"]
    assert bridge.state.fix == (58.0, 10.0)


def test_north_may_be_written_360() -> None:
    bridge = Bridge()
    bridge.give(1.0, heading_deg=360.0, ordered_heading_deg=360.0)
    assert (bridge.at(1.0).heading_deg, bridge.at(1.0).ordered_heading_deg) == (0.0, 0.0)


def test_without_a_log_speed_is_zero_and_course_the_heading() -> None:
    state = OwnState()
    state.fold(OwnReading(t_s=0, source="x", lat_deg=1, lon_deg=2, heading_deg=77), 0.0, lambda *_: None)
    own = state.at(3.0, OwnShipParameters(), "sail")
    assert (own.sog_kn, own.cog_deg, own.kind, own.lat_deg) == (0.0, 77.0, "sail", 1.0)
