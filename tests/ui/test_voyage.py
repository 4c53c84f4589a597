"""One run as rows: scenarios to their end, recordings looked at."""

import json
from pathlib import Path

import pytest

from sdx_agents.episode import Decider, planner_decider
from sdx_domains.contract import load_domain
from sdx_ui import cli, voyage

HEADER = "timestamp,ship_id,my_ship,ship_type,length,width,draft,latitude,longitude,knot,heading"
SAMPLE = Path(__file__).resolve().parents[3] / "shared/data/ship/ais_sample.nmea"


@pytest.fixture(scope="module")
def planner() -> Decider:
    return planner_decider(load_domain("ship"))


def test_a_scenario_ends_with_its_score(planner: Decider) -> None:
    rows = list(voyage.through_scenario("imazu-01", 0, planner, guarded=True))
    assert rows[-1]["kind"] == "score"
    assert rows[-1]["case"] == "imazu-01" and not rows[-1]["collision"]
    assert {row["kind"] for row in rows[:-1]} == {"decision", "order"}
    assert [row["t_s"] for row in rows] == sorted(row["t_s"] for row in rows)


def test_rows_are_json(planner: Decider) -> None:
    for row in voyage.through_scenario("imazu-01", 0, planner, guarded=False):
        json.dumps(row)


def tango(folder: Path, seconds: int = 30) -> Path:
    """Own ship north-bound, a vessel head-on 4 NM ahead."""
    lines = [HEADER]
    for t in range(0, seconds, 10):
        stamp = f"2026-02-27 10:00:{t:02d}"
        lines.append(f"{stamp},100,1,Cargo,100,16,6,{35.0 + t / 18000:.5f},129.0,12.0,0")
        lines.append(f"{stamp},200,0,Cargo,100,16,6,{35.0667 - t / 18000:.5f},129.0,12.0,180")
    file = folder / "input.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_csv_recording_is_described_and_advised(planner: Decider, tmp_path: Path) -> None:
    rows = list(voyage.over_recording(tango(tmp_path), planner, "en"))
    situations = [row for row in rows if row["kind"] == "situation"]
    assert situations
    assert "T1" in situations[-1]["description"]
    assert situations[-1]["option"] and situations[-1]["verdict"]


def test_the_language_of_a_recording_can_be_korean(planner: Decider, tmp_path: Path) -> None:
    rows = list(voyage.over_recording(tango(tmp_path), planner, "ko"))
    assert any("가" <= letter <= "힣" for letter in rows[0]["description"])


def test_the_command_prints_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "ship", "--from", str(tango(tmp_path)), "--model", "none", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows and all(row["kind"] == "situation" for row in rows)


def test_own_ship_of_the_operator_sails_on() -> None:
    own = voyage.parse_own("60.0,10.0,90,12")
    assert own is not None
    later = voyage.sailed_on(own, 3600.0)
    assert later.lat_deg == pytest.approx(60.0, abs=1e-3)
    # 12 NM east at 60 degrees north are 0.4 degrees of longitude
    assert later.lon_deg == pytest.approx(10.4, abs=2e-3)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "1,2,3,4,5"])
def test_a_bad_own_ship_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"--own wants LAT,LON,HEADING,SPEED, e\.g\."):
        voyage.parse_own(text)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded traffic is not here")
def test_recorded_traffic_is_seen_from_an_own_ship_put_into_it(planner: Decider) -> None:
    own = voyage.parse_own("37.85,23.5,350,12")
    rows = list(voyage.over_recording(SAMPLE, planner, "en", own))
    assert any("T1" in row["description"] for row in rows if row["kind"] == "situation")
    assert all(row["count"] >= 1 for row in rows if row["kind"] == "fault")
