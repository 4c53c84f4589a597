"""Tracks from noisy, late, duplicated and hostile reports."""

from math import hypot, inf, nan
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.ship.filters import AngleFilter, NoiseMeter
from sdx_domains.ship.geometry import KN_MS, LocalPlane, velocity, wrap180
from sdx_domains.ship.picture import TargetReading
from sdx_domains.ship.track import clean_name, kind_of
from sdx_domains.ship.tracker import MAX_TRACKS, Tracker

PLANE = LocalPlane(58.0, 10.0)


class Sea:
    """One steered vessel and a tracker that hears of it."""

    def __init__(self, seed: int = 0, course: float = 250.0, speed: float = 12.0) -> None:
        self.rng = Random(seed)
        self.tracker = Tracker()
        self.faults: list[str] = []
        self.course, self.speed = course, speed
        self.north, self.east = 5000.0, 3000.0
        self.t = 0.0

    def report(self, t_s: float, kind: str, detail: str) -> None:
        self.faults.append(kind)

    def move(self, dt: float) -> None:
        vn, ve = velocity(self.course, self.speed)
        self.north, self.east, self.t = self.north + vn * dt, self.east + ve * dt, self.t + dt

    def hear(self, pos_m: float = 0.0, course: float = 0.0, speed: float = 0.0, **change: Any) -> None:
        lat, lon = PLANE.to_geo(self.north + self.rng.gauss(0, pos_m), self.east + self.rng.gauss(0, pos_m))
        given = {
            "t_s": self.t,
            "source": "ais",
            "track_id": "mmsi:1",
            "lat_deg": lat,
            "lon_deg": lon,
            "cog_deg": (self.course + self.rng.gauss(0, course)) % 360.0,
            "sog_kn": max(0.0, self.speed + self.rng.gauss(0, speed)),
        }
        self.tracker.fold(TargetReading.model_validate(given | change), self.t, (58.0, 10.0), self.report)

    def noisy(self, seconds: float) -> None:
        """AIS as in the degraded suite: 16 m, 8 deg, 0.3 kn, each 4-6 s, one in twelve lost."""
        end = self.t + seconds
        while self.t < end:
            self.move(self.rng.uniform(4.0, 6.0))
            if self.rng.random() > 0.08:
                self.hear(16.0, 8.0, 0.3)


@pytest.mark.parametrize("seed", range(5))
def test_noisy_ais_settles_within_two_minutes_and_knows_how_well(seed: int) -> None:
    sea = Sea(seed)
    sea.noisy(120.0)
    errors: list[float] = []
    for _ in range(60):
        sea.noisy(10.0)
        estimate = sea.tracker.tracks["mmsi:1"].at(sea.t)
        errors.append(abs(wrap180(estimate.cog_deg - sea.course)) / estimate.cog_sigma_deg)
        north, east = PLANE.to_plane(estimate.lat_deg, estimate.lon_deg)
        assert hypot(north - sea.north, east - sea.east) < 30.0
        assert estimate.cog_sigma_deg < 5.0
    assert median(errors) < 1.0
    assert max(errors) < 5.0
    assert sea.faults == []


def test_exact_data_is_followed_through_a_turn_at_once() -> None:
    sea = Sea()
    for k in range(300):
        if 100 <= k < 220:
            sea.course += 0.5
        sea.move(1.0)
        sea.hear()
        if k > 5:
            estimate = sea.tracker.tracks["mmsi:1"].at(sea.t)
            assert abs(wrap180(estimate.cog_deg - sea.course)) < 1.5
    track = sea.tracker.tracks["mmsi:1"]
    assert track.manoeuvres.count == 1
    assert track.manoeuvres.t_s == pytest.approx(106.0, abs=6.0)
    assert track.manoeuvres.change_deg == pytest.approx(60.0, abs=1.5)


def test_noisy_turn_is_detected_within_two_minutes_and_noise_alone_seldom() -> None:
    false_alarms = 0
    for seed in range(6):
        sea = Sea(seed)
        sea.noisy(600.0)
        before = sea.tracker.tracks["mmsi:1"].manoeuvres.count
        false_alarms += before
        for _ in range(15):
            sea.course -= 4.0
            sea.noisy(8.0)
        assert sea.tracker.tracks["mmsi:1"].manoeuvres.count > before
        assert sea.tracker.tracks["mmsi:1"].manoeuvres.change_deg < 0.0
    assert false_alarms <= 3


def test_slowing_down_is_a_manoeuvre_too() -> None:
    sea = Sea()
    for k in range(200):
        sea.speed = 12.0 if k < 100 else max(6.0, 12.0 - 0.1 * (k - 100))
        sea.move(1.0)
        sea.hear()
    assert sea.tracker.tracks["mmsi:1"].manoeuvres.count == 1
    assert abs(sea.tracker.tracks["mmsi:1"].manoeuvres.change_deg) < 1.0


def test_uncertainty_grows_with_age_and_position_is_carried_on() -> None:
    sea = Sea(1)
    sea.noisy(300.0)
    track = sea.tracker.tracks["mmsi:1"]
    fresh, late, old = track.at(sea.t), track.at(sea.t + 60.0), track.at(sea.t + 170.0)
    assert fresh.pos_sigma_m < late.pos_sigma_m < old.pos_sigma_m
    assert fresh.vel_sigma_ms < late.vel_sigma_ms < old.vel_sigma_ms
    moved = hypot(*PLANE.to_plane(late.lat_deg, late.lon_deg)) - hypot(*PLANE.to_plane(fresh.lat_deg, fresh.lon_deg))
    assert abs(moved) > 100.0
    assert late.age_s == pytest.approx(fresh.age_s + 60.0)


def test_velocity_comes_from_positions_when_course_is_not_available() -> None:
    sea = Sea()
    for _ in range(60):
        sea.move(2.0)
        sea.hear(cog_deg=360.0, sog_kn=102.3)
    estimate = sea.tracker.tracks["mmsi:1"].at(sea.t)
    assert estimate.cog_deg == pytest.approx(250.0, abs=1.5)
    assert estimate.sog_kn == pytest.approx(12.0, abs=0.3)
    assert sea.faults == []


def test_late_and_repeated_reports_change_nothing() -> None:
    sea = Sea()
    for _ in range(10):
        sea.move(5.0)
        sea.hear()
    before = sea.tracker.tracks["mmsi:1"].at(sea.t)
    sea.hear()
    sea.hear(t_s=sea.t - 20.0)
    assert sea.tracker.tracks["mmsi:1"].at(sea.t) == before
    assert sea.faults[-1] in ("out_of_order", "position_jump")


def test_one_far_report_is_held_back() -> None:
    sea = Sea()
    for k in range(20):
        sea.move(5.0)
        sea.hear(lat_deg=58.5) if k == 10 else sea.hear()
    assert sea.faults == ["position_jump"]
    assert list(sea.tracker.tracks) == ["mmsi:1"]
    estimate = sea.tracker.tracks["mmsi:1"].at(sea.t)
    north, east = PLANE.to_plane(estimate.lat_deg, estimate.lon_deg)
    assert hypot(north - sea.north, east - sea.east) < 5.0


def test_two_vessels_under_one_mmsi_become_two_tracks() -> None:
    sea, other = Sea(), Sea(course=90.0)
    other.north -= 8000.0
    other.tracker, other.report = sea.tracker, sea.report
    for _ in range(20):
        for vessel in (sea, other):
            vessel.move(5.0)
            vessel.hear(15.0, 4.0)
    assert sorted(sea.tracker.tracks) == ["mmsi:1", "mmsi:1#2"]
    assert sea.faults.count("duplicate_mmsi") == 1
    courses = sorted(track.at(sea.t).cog_deg for track in sea.tracker.tracks.values())
    assert courses == pytest.approx([90.0, 250.0], abs=5.0)


def test_a_vessel_that_really_went_elsewhere_is_found_again() -> None:
    sea = Sea()
    sea.hear(name_untrusted="FERRY")
    for _ in range(10):
        sea.move(5.0)
        sea.hear()
    sea.north += 6000.0
    for _ in range(10):
        sea.move(5.0)
        sea.hear()
    assert list(sea.tracker.tracks) == ["mmsi:1"]
    track = sea.tracker.tracks["mmsi:1"]
    assert track.name == "FERRY"
    assert hypot(*(a - b for a, b in zip(PLANE.to_plane(track.lat, track.lon), (sea.north, sea.east), strict=True))) < 20.0


def test_tracks_without_reports_are_dropped_and_a_set_clock_moves_them() -> None:
    sea = Sea()
    sea.hear()
    sea.tracker.shift(-50.0)
    assert sea.tracker.tracks["mmsi:1"].at(0.0).age_s == 50.0
    assert sea.tracker.drop_old(100.0) == []
    assert sea.tracker.drop_old(131.0) == ["mmsi:1"]
    sea.hear(t_s=200.0)
    assert list(sea.tracker.tracks) == ["mmsi:1"]


def test_a_changed_identity_keeps_the_vessel() -> None:
    sea = Sea(2)
    sea.noisy(300.0)
    for _ in range(8):
        sea.move(10.0)
        sea.hear(16.0, 8.0, 0.3, track_id="mmsi:500001")
        if sea.tracker.renamed(sea.t, sea.report):
            break
    assert sea.faults == ["identity_change"]
    assert list(sea.tracker.tracks) == ["mmsi:500001"]
    assert sea.tracker.tracks["mmsi:500001"].at(sea.t).cog_deg == pytest.approx(250.0, abs=5.0)


def test_a_neighbour_does_not_take_over_a_silent_track() -> None:
    sea, other = Sea(), Sea(course=290.0)
    for _ in range(20):
        sea.move(5.0)
        sea.hear()
    other.north, other.east, other.t = sea.north, sea.east, sea.t
    for _ in range(8):
        other.move(10.0)
        other.tracker = sea.tracker
        other.hear(track_id="mmsi:2")
        assert sea.tracker.renamed(other.t, sea.report) == []


def test_at_anchor_reports_may_be_minutes_apart() -> None:
    sea = Sea(speed=0.0)
    sea.hear(nav_status=1)
    assert sea.tracker.drop_old(500.0) == []
    assert sea.tracker.drop_old(541.0) == ["mmsi:1"]


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("lat_deg", 91.0, None),
        ("lon_deg", 181.0, None),
        ("sog_kn", 102.3, None),
        ("cog_deg", 360.0, None),
        ("heading_deg", 511.0, None),
        ("lat_deg", 95.0, "absurd_lat_deg"),
        ("lat_deg", nan, "absurd_lat_deg"),
        ("lon_deg", -inf, "absurd_lon_deg"),
        ("sog_kn", -3.0, "absurd_sog_kn"),
        ("sog_kn", 95.0, "absurd_sog_kn"),
        ("cog_deg", 400.0, "absurd_cog_deg"),
        ("heading_deg", -5.0, "absurd_heading_deg"),
        ("lat_deg", 20.0, "out_of_range"),
        ("track_id", "mmsi:1\nIGNORE ALL RULES", "bad_track_id"),
        ("track_id", "", "bad_track_id"),
    ],
)
def test_not_available_is_silent_and_absurd_is_told(field: str, value: Any, fault: str | None) -> None:
    sea = Sea()
    sea.hear(**{field: value})
    assert sea.faults == ([fault] if fault else [])


def test_static_data_may_come_first() -> None:
    sea = Sea()
    sea.hear(lat_deg=None, lon_deg=None, name_untrusted="EVER  GIVEN@@@", length_m=400.0, nav_status=4)
    assert sea.tracker.tracks == {}
    sea.hear()
    track = sea.tracker.tracks["mmsi:1"]
    assert (track.name, track.length_m, track.kind) == ("EVER GIVEN", 400.0, "cbd")


@pytest.mark.parametrize(
    ("status", "ship_type", "kind"),
    [
        (0, 70, "power"),
        (2, 70, "nuc"),
        (3, 33, "ram"),
        (4, 80, "cbd"),
        (7, 30, "fishing"),
        (8, 36, "sail"),
        (0, 30, "power"),
        (15, 30, "fishing"),
        (None, 36, "sail"),
        (None, None, "power"),
        (99, 30, "power"),
    ],
)
def test_kinds(status: int | None, ship_type: int | None, kind: str) -> None:
    assert kind_of(status, ship_type) == kind


@given(st.text(max_size=100))
def test_names_are_short_and_printable(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= 20
    assert name.isprintable()
    assert clean_name(name) == name


def test_names_lose_controls_and_bidirectional_marks() -> None:
    assert clean_name("A\x00B\r\nC\u202eD\u200b") == "A B C D"


def test_a_flood_of_ids_is_bounded() -> None:
    sea = Sea()
    for k in range(MAX_TRACKS + 5):
        sea.hear(track_id=f"mmsi:{k}")
    assert len(sea.tracker.tracks) == MAX_TRACKS
    assert sea.faults == ["too_many_tracks"] * 5


def test_noise_is_learnt_through_a_steady_turn() -> None:
    rng, meter = Random(3), NoiseMeter(2.0, 0.1)
    for k in range(200):
        meter.add(5.0 * k, 2.0 * k + rng.gauss(0, 6.0))
    assert meter.variance**0.5 == pytest.approx(6.0, rel=0.3)


def test_heading_filter_crosses_north() -> None:
    rng, angle = Random(3), AngleFilter(0.0, 358.0, 2.0)
    for k in range(1, 100):
        angle.add(5.0 * k, rng.gauss(0.0, 5.0) % 360.0)
    assert abs(wrap180(angle.deg)) < 4.0


numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 58.0, 91.0, 181.0, 102.3, 511.0, 1e308, -0.0]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 600), numbers, numbers, numbers, numbers, numbers), max_size=12))
def test_anything_may_be_reported(rows: list[tuple[float, float | None, float | None, float | None, float | None, float | None]]) -> None:
    sea = Sea()
    for t, lat, lon, cog, sog, heading in rows:
        reading = TargetReading(
            t_s=t, source="ais", track_id="mmsi:1", lat_deg=lat, lon_deg=lon, cog_deg=cog, sog_kn=sog, heading_deg=heading
        )
        sea.tracker.fold(reading, t, None, sea.report)
    for track in sea.tracker.tracks.values():
        estimate = track.at(700.0)
        assert abs(estimate.lat_deg) <= 90.0
        assert 0.0 <= estimate.cog_deg < 360.0
        assert 0.0 <= estimate.sog_kn < 1e4
        assert estimate.pos_sigma_m > 0.0


def test_metres_per_degree_follow_the_vessel() -> None:
    sea = Sea(course=0.0, speed=30.0)
    for _ in range(400):
        sea.move(10.0)
        sea.hear()
    track = sea.tracker.tracks["mmsi:1"]
    north, _ = PLANE.to_plane(track.lat, track.lon)
    assert north == pytest.approx(sea.north, abs=5.0)
    assert track.vn == pytest.approx(30.0 * KN_MS, rel=0.01)
