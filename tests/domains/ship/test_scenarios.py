"""Scenarios: the published table, the DNV files, generated suites, and errors that say what is wrong."""

import csv
import json
import os
from math import hypot
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.ship.geometry import NM_M, LocalPlane, closest_approach, velocity
from sdx_domains.ship.scenarios import Scenario, scenario, ship_of, suite
from sdx_domains.ship.scenarios.feasible import best_cpa_nm, feasible
from sdx_domains.ship.scenarios.generate import LEAST_START_NM, RANGE_NM
from sdx_domains.ship.scenarios.imazu import ORIGIN, case_numbers, same_as

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[3] / "../shared/data")) / "ship"

SITUATION = {
    "title": "CR-GW, HO",
    "ownShip": {
        "initial": {"heading": 0.0},
        "waypoints": [{"position": {"lat": 58.0, "lon": 10.0}, "leg": {"sog": 10.0}}, {"position": {"lat": 58.1, "lon": 10.0}}],
        "static": {"dimensions": {"length": 122.0, "width": 20.0}},
    },
    "targetShips": [
        {
            "initial": {"heading": 270.0, "navStatus": "At anchor"},
            "waypoints": [{"position": {"lat": 58.05, "lon": 10.2}, "leg": {"sog": 8.0}}, {"position": {"lat": 58.05, "lon": 10.0}}],
            "static": {"shipType": "Tanker", "name": "X"},
        }
    ],
}


def places(case: Scenario) -> list[tuple[float, float]]:
    """Targets' starts in NM from own ship's, north and east."""
    plane = LocalPlane(case.own.lat_deg, case.own.lon_deg)
    found = [plane.to_plane(target.lat_deg, target.lon_deg) for target in case.targets]
    return [(n / NM_M, e / NM_M) for n, e in found]


@pytest.mark.skipif(not (SHARED / "imazu22.csv").exists(), reason="shared data absent")
def test_imazu_positions_are_those_of_the_table() -> None:
    plane = LocalPlane(*ORIGIN)
    rows = list(csv.DictReader((SHARED / "imazu22.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 50
    for row in rows:
        target = scenario(f"imazu-{row['case']}").targets[int(row["target"]) - 1]
        north, east = plane.to_plane(target.lat_deg, target.lon_deg)
        assert (north / NM_M, east / NM_M) == pytest.approx((float(row["x_north_nm"]), float(row["y_east_nm"])), abs=2e-3), row
        assert (target.heading_deg, target.speed_kn) == (float(row["heading_deg"]), float(row["speed_kn"]))


def test_imazu_has_24_cases_of_which_20_of_the_22_are_distinct() -> None:
    cases = suite("imazu")
    assert [case.name for case in cases[-2:]] == ["imazu-08b", "imazu-12b"]
    assert len(cases) == 24
    assert {number: same_as(number) for number in case_numbers() if same_as(number)} == {"08": "05", "22": "15"}
    assert scenario("imazu-08").labels == ("same as imazu-05",)
    assert places(scenario("imazu-2"))[0][1] > 5.9, "case 2 comes from starboard"


@pytest.mark.parametrize("number", case_numbers())
def test_imazu_ships_all_meet_at_half_an_hour(number: str) -> None:
    case = scenario(f"imazu-{number}")
    own = velocity(case.own.heading_deg, case.own.speed_kn)
    for (north, east), target in zip(places(case), case.targets, strict=True):
        vn, ve = velocity(target.heading_deg, target.speed_kn)
        cpa, tcpa = closest_approach(north * NM_M, east * NM_M, vn - own[0], ve - own[1])
        assert cpa < 1.0
        assert tcpa == pytest.approx(1800.0, rel=1e-3)


@pytest.mark.parametrize(
    ("number", "starboard", "either"),
    [("03", 1.75, 1.75), ("06", 0.59, 1.04), ("09", 1.98, 1.98), ("10", 1.56, 1.56), ("13", 1.04, 1.04), ("18", 0.94, 1.56)],
)
def test_one_leg_search_finds_the_published_optimum(number: str, starboard: float, either: float) -> None:
    case = scenario(f"imazu-{number}")
    assert best_cpa_nm(case, starboard_only=True) == pytest.approx(starboard, abs=0.02)
    assert best_cpa_nm(case) == pytest.approx(either, abs=0.02)
    assert feasible(case, 0.5)
    assert not feasible(case, 9.0)


@pytest.mark.skipif(not (SHARED / "dnv").exists(), reason="shared data absent")
def test_every_dnv_file_loads_with_a_label_per_target() -> None:
    cases = suite("dnv", folder=SHARED / "dnv")
    assert len(cases) == 20
    for case in cases:
        assert len(case.labels) == len(case.targets)
        assert case.own.speed_kn == 10.0
        assert case.own.parameters.length_m == 122.0
        assert all(0.3 < hypot(*place) < 9.0 for place in places(case))


def test_dnv_situation_keeps_speeds_waypoints_and_status(tmp_path: Path) -> None:
    path = tmp_path / "any_name.json"
    path.write_text(json.dumps(SITUATION), encoding="utf-8")
    case = scenario(str(path))
    assert case.labels == ("CR-GW", "HO")
    target = case.targets[0]
    assert (target.speed_kn, target.nav_status, target.ship_type) == (8.0, 1, 80)
    assert target.waypoints[-1] == (58.05, 10.0)
    assert case.route[-1][0] > 58.2, "the route goes on along its last leg for more than an hour"
    assert case.route[-1][1] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ownShip": None}, "ownShip"),
        ({"targetShips": [{"initial": {"heading": 700.0}}]}, r"targetShips\.0\.initial\.heading.*700"),
        ({"targetShips": [{"initial": {"heading": 7.0}, "waypoints": [{"position": {"lat": "x", "lon": 1}}]}]}, "position.lat.*'x'"),
        ({"targetShips": [{"initial": {"heading": 7.0}}]}, "targetShips.0: neither initial.position"),
        ({"targetShips": [{"initial": {"position": {"lat": 1, "lon": 1}, "sog": 3}}]}, "targetShips.0.initial: neither heading nor cog"),
    ],
)
def test_wrong_dnv_file_is_told_with_file_and_field(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(SITUATION | change), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad\.json: .*{message}"):
        scenario(str(path))


def test_broken_or_absent_files_and_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"title": ', encoding="utf-8")
    with pytest.raises(ValueError, match=r"half\.json: not JSON"):
        scenario(str(tmp_path / "half.json"))
    with pytest.raises(KeyError, match="no file"):
        scenario(str(tmp_path / "absent.json"))
    with pytest.raises(ValueError, match="no .json file in it"):
        suite("dnv", folder=tmp_path / "nothing")
    with pytest.raises(ValueError, match="give the folder"):
        suite("dnv")


@pytest.mark.parametrize("name", ["imazu-99", "random-x", "nonsense", "dnv-1", ""])
def test_unknown_scenario_names_the_known_ones(name: str) -> None:
    with pytest.raises(KeyError, match="imazu-12b.*random-NUMBER"):
        scenario(name)


def test_unknown_suite_and_too_many_situations_are_refused() -> None:
    with pytest.raises(KeyError, match="imazu, dnv, random"):
        suite("imasu")
    with pytest.raises(ValueError, match="one seed has 1000"):
        suite("random", count=1001)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["random", "degraded", "rogue", "restricted"]), st.integers(0, 2_000_000))
def test_generated_situations_are_conflicts_and_start_apart(kind: str, number: int) -> None:
    case = scenario(f"{kind}-{number:06d}")
    assert case == scenario(kind, number), "same number, same situation"
    assert 2 <= len(case.targets) <= 5
    own = velocity(case.own.heading_deg, case.own.speed_kn)
    misses = []
    for (north, east), target in zip(places(case), case.targets, strict=True):
        assert LEAST_START_NM <= hypot(north, east) <= RANGE_NM[1] * 1.01
        vn, ve = velocity(target.heading_deg, target.speed_kn)
        misses.append(closest_approach(north * NM_M, east * NM_M, vn - own[0], ve - own[1])[0] / NM_M)
        assert 3.0 <= target.speed_kn <= 22.0
    assert min(misses) < 0.5
    if kind == "restricted":
        assert case.environment.visibility_nm < 2.0
    if kind == "rogue":
        assert case.targets[0].behaviour not in ("hold", "comply")
    if kind == "degraded":
        assert 12.0 <= case.sensing.position_sigma_m <= 20.0
        assert 0.05 <= case.sensing.dropout <= 0.10


def test_suite_seeds_do_not_overlap() -> None:
    first, second = suite("random", seed=0, count=20), suite("random", seed=1, count=20)
    assert [case.name for case in second[:2]] == ["random-001000", "random-001001"]
    assert not {case.own.lat_deg for case in first} & {case.own.lat_deg for case in second}


def test_longer_ship_answers_in_proportion() -> None:
    like, long = ship_of(100.0, 16.0, 12.0), ship_of(200.0, 32.0, 12.0)
    assert like.model_dump() == pytest.approx(type(like)().model_dump())
    assert long.nomoto_k_1_s == pytest.approx(like.nomoto_k_1_s / 2.0)
    assert long.nomoto_t_s == pytest.approx(like.nomoto_t_s * 2.0)
    assert long.max_rot_deg_min == pytest.approx(like.max_rot_deg_min / 2.0)
