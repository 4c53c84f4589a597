"""`sdx run DOMAIN` and `sdx bench DOMAIN` with a domain of somebody else's, which nothing in the project names."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ros_nodes"))

from heated_tank import NAME, HeatedTank, install

from sdx_agents.bench import SuiteRun
from sdx_agents.episode import planner_decider
from sdx_domains.equipment import ActuatorReading
from sdx_ui import cli
from sdx_ui.commands.domain_commands import line
from sdx_ui.domain_bench import Wanted, measure
from sdx_ui.domain_run import Asked, Clock, Paced, looking, run, scenario_of


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(install(folder)))
    return folder


def rows(**asked: Any) -> list[dict[str, Any]]:
    return list(run(Asked(NAME, **asked), planner_decider(HeatedTank())))


def test_a_run_is_told_in_rows() -> None:
    told = rows(days=1.5)
    assert {row["kind"] for row in told} == {"decision", "order", "day", "score"}
    assert [row["t_s"] for row in told] == sorted(row["t_s"] for row in told)
    assert next(row for row in told if row["kind"] == "day")["temp_c"] == pytest.approx(49.8, abs=0.2)
    assert told[-1]["kind"] == "score" and told[-1]["t_s"] == 1.5 * 86_400 and told[-1]["verdicts"]["accept"] > 30
    json.dumps(told)
    assert len(rows()) > len(told), "without days it ends with the scenario"


def test_alarms_have_a_beginning_and_an_end() -> None:
    alarms = [(row["active"], row["severity"]) for row in rows(scenario="hot", days=1.0) if row["kind"] == "alarm"]
    assert alarms == [(True, "critical"), (False, "critical")]


def test_unguarded_breaks_the_limit_that_the_guard_holds() -> None:
    def reckless(picture: Any) -> Any:
        decided = planner_decider(HeatedTank())(picture)
        return replace(decided, proposal=decided.proposal.model_copy(update={"option_id": "C"}))

    hot = [list(run(Asked(NAME, days=0.5, guarded=guarded), reckless))[-1]["temp_c"] for guarded in (True, False)]
    assert hot[0] < 30.0 and hot[1] > 59.0


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"plant": "oven"}, KeyError, "no plant 'oven'; there are tank, or the address of a bus"),
        ({"scenario": "icy"}, KeyError, "no scenario 'icy'; known: cold, warm, hot"),
        ({"plant": "modbus://127.0.0.1:1", "scenario": "cold"}, ValueError, "is real"),
    ],
)
def test_what_there_is_not_is_told_before_anything_runs(asked: dict[str, str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        scenario_of(Asked(NAME, **asked))  # pyright: ignore[reportArgumentType]


def test_speed_bounds_the_pace() -> None:
    plant = Paced(HeatedTank().plant("cold", 0), 3600.0)
    began = time.monotonic()
    for _ in range(12):
        plant.step(60.0)
    assert 0.19 < time.monotonic() - began < 5.0 and plant.t_s == 720.0
    clock = Clock(100.0, 1000.0)
    time.sleep(0.05)
    clock.wait(1.0)
    assert 150.0 <= clock.now_s() < 1000.0, "who is late does not wait, and does not catch up"


def test_real_equipment_is_looked_at_each_five_seconds_of_its_time() -> None:
    pace = HeatedTank.pace
    assert (looking(pace, 5.0).step_s, looking(pace, 5.0).tick_s) == (5.0, 5.0)
    assert (looking(pace, 3000.0).step_s, looking(pace, 3000.0).tick_s) == (60.0, 300.0)


def test_commands_are_made_for_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["run", "--help"]) == 0
    assert "heated_tank" in capsys.readouterr().out
    assert cli.main(["run", NAME, "--model", "none", "--days", "0.2", "--json", "--plot", str(tmp_path / "tank.txt")]) == 0
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert told[-1]["kind"] == "score" and (tmp_path / "tank.txt").read_text().startswith("cold: ")
    assert cli.main(["run", NAME, "--model", "none", "--days", "0.2"]) == 0
    out = capsys.readouterr().out
    assert "0 00:05  decision  accept: hold 50.0 C; 50 C is wanted" in out and "heat_kwh" in out
    assert cli.main(["run", NAME, "--plant", "modbus://127.0.0.1:1", "--no-guard", "--model", "none"]) == 2
    assert cli.main(["bench", NAME, "--suite", "both", "--model", "none", "--workers", "1"]) == 0
    assert "mean_temp_c: 49.79" in capsys.readouterr().out
    assert cli.main(["bench", NAME, "--suite", "none such", "--model", "none"]) == 1
    assert "known: both; measurements: equipment, losses" in capsys.readouterr().err
    assert cli.main(["bench", NAME, "--suite", "both", "--outage", "48-24"]) == 2
    assert cli.main(["run", "no_such_domain"]) == 2


def test_days_and_alarms_in_words() -> None:
    assert line({"t_s": 93_900.0, "kind": "day", "day": 1, "heat": 0.0, "temp_c": 21.0}) == "  1 02:05  day       1: temp_c 21"
    alarm = {"t_s": 60.0, "kind": "alarm", "severity": "warning", "detail": "tank at 61 C", "active": True}
    assert line(alarm).endswith("alarm     warning: tank at 61 C")
    assert line({**alarm, "active": False}).endswith("over: tank at 61 C")


def wanted(suite: str, how: Any = "suite", **more: Any) -> Wanted:
    return Wanted(SuiteRun(suite, NAME, model="none", workers=1, **more), how)


def test_suites_alone_and_paired_and_the_domains_own_measurements(tmp_path: Path) -> None:
    said: list[str] = []
    alone = measure(wanted("both"), said.append)
    assert (
        alone["summary"]["mean_temp_c"] == pytest.approx(49.8, abs=0.2) and alone["machine"]["cores"] and said == ["1/2 cold", "2/2 warm"]
    )
    paired = measure(wanted("both", "paired", kept=tmp_path / "kept.jsonl"), said.append)["paired"]["temp_c"]
    assert paired["low"] > 20.0 and paired["cases"] == 2
    assert measure(wanted("both", "latency"), said.append)["controller_tick_ms"]["p95"] < 50.0
    losses = measure(wanted("losses", count=30, seed=2), said.append)
    assert 0.0 < losses["fell_k"] < 1.0 and said[-1] == "30 minutes" and losses["seed"] == 2
    with pytest.raises(ValueError, match="--paired goes with a suite"):
        measure(wanted("losses", "paired"), said.append)
    with pytest.raises(ValueError, match="losses has no cases to keep"):
        measure(wanted("losses", kept=tmp_path / "other.jsonl"), said.append)
    outage = measure(wanted("both", outage_s=(0.0, 1e9)), said.append)
    assert outage["summary"]["verdicts"]["accept"] == 0 and outage["summary"]["verdicts"]["timeout"] > 0


def test_real_equipment_behind_a_bus(installed: Path) -> None:
    """A node in a process of its own serves the tank; the run steers it over Modbus and leaves it in its safe position."""
    pytest.importorskip("pymodbus")
    from sdx_serving.ports import free_port

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    serve = [
        sys.executable,
        "-m",
        "sdx_ros_nodes.equipment.serve",
        "--domain",
        NAME,
        "--scenario",
        "cold",
        "--tcp",
        str(port),
        "--speed",
        "600",
    ]
    site = subprocess.run([*serve, "--print-site"], env=environment, capture_output=True, text=True, check=True).stdout
    (installed / "site.yaml").write_text(site)
    (installed / "facts.yaml").write_text("readings: [{kind: NoteReading, text: by the door}]\n")
    node = subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None and node.stdout.readline().startswith("serving")
        where = {"plant": f"modbus://127.0.0.1:{port}", "site": installed / "site.yaml", "facts": installed / "facts.yaml"}
        pictures: list[Any] = []

        def decide(picture: Any) -> Any:
            pictures.append(picture)
            return planner_decider(HeatedTank())(picture)

        told = list(run(Asked(NAME, speed=600.0, days=0.03, **where), decide))
        assert told[-1]["kind"] == "end" and pictures[0].note == "by the door"
        assert told[-1]["t_s"] == pytest.approx(time.time(), abs=3600.0)
        from sdx_ros_nodes.equipment.link import open_equipment

        master = open_equipment(where["plant"], where["site"])
        ends, position_pct = time.monotonic() + 20.0, None
        while position_pct != 0.0 and time.monotonic() < ends:
            position_pct = next(reading.position_pct for reading in master.read() if isinstance(reading, ActuatorReading))
        master.close()
        assert position_pct == 0.0
    finally:
        node.kill()
        node.wait()
        assert node.stdout is not None
        node.stdout.close()
