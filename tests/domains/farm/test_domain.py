"""The farm as the spine sees it: light to load, routed by kind, and decisions that replay bit for bit."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from readings import picture_of

from sdx_agents.audit import AuditLog
from sdx_agents.episode import Decider, Episode, planner_decider, silent_decider
from sdx_agents.graph import Agent
from sdx_agents.guard import Guard
from sdx_agents.replay import replay
from sdx_domains.contract import Verdict
from sdx_domains.farm.domain import FarmDomain, farm_domain
from sdx_domains.farm.picture import FarmPicture
from sdx_domains.farm.prompting import write_answer
from sdx_serving.client import Scripted


def test_importing_it_loads_nothing_heavy() -> None:
    script = "import sys; from sdx_domains.farm.domain import farm_domain; farm_domain(); print([m for m in ('numba', 'aquacrop', 'scipy') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


def test_names_lead_to_their_branch() -> None:
    domain = farm_domain()
    with pytest.raises(KeyError, match="spring"):
        domain.plant("no-such-season", 0)
    with pytest.raises(KeyError, match="tuning"):
        domain.suite("no-such-suite", 0)
    assert domain.fitted("field-x").kind == "field" and domain.fitted("spring-nl-0").kind == "greenhouse"
    case = domain.suite("plan", 0, count=1)[0]
    assert domain.fitted(case).kind == "greenhouse" and domain.plant_of(case, 0).t_s == 0.0
    with pytest.raises(ValueError, match="no branch"):
        FarmDomain("orchard")  # type: ignore[arg-type]


def test_a_picture_and_its_options_come_back_from_json() -> None:
    domain, picture = farm_domain(), picture_of(1.0)
    options = domain.options(picture)
    kept = json.loads(json.dumps({"picture": picture.model_dump(mode="json"), "options": [o.model_dump(mode="json") for o in options]}))
    again, offered = domain.load_picture(kept["picture"]), domain.load_options(kept["options"])
    assert again == picture and again.id == picture.id and tuple(offered) == tuple(options)
    proposal = domain.planned(picture, options)
    assert domain.assure(again, offered, proposal) == domain.assure(picture, options, proposal)
    assert domain.fallback(again, None) == domain.fallback(picture, None)


def test_decisions_are_replayed_bit_for_bit(tmp_path: Path) -> None:
    """What a model said and the guard judged, worked out again from the record alone; options too."""
    domain, picture = farm_domain(), picture_of(1.0)
    options = domain.options(picture)
    good = write_answer(domain.planned(picture, options))
    lie = good.replace('"reason":"', '"reason":"It is 41.7 °C inside. ')
    with AuditLog(tmp_path / "audit.jsonl") as audit:
        kinds = [Agent(domain, Scripted(line), audit, deadline_s=60.0).decide(picture).verdict.kind for line in (good, lie, "{}", "")]
    assert kinds[0] == "accept" and "accept" not in kinds[1:]
    report = replay(tmp_path / "audit.jsonl", domain, options_too=True)
    assert report.mismatches == () and report.ok and report.decisions == 4


def half_a_day(decide_with: Callable[[FarmDomain], Decider]) -> list[Verdict]:
    """The verdicts behind the orders of a run's first 13 hours."""
    domain = farm_domain().fitted("tuning-spring-nl-7@1")
    plant = domain.controlled(domain.house("tuning-spring-nl-7@1", 0), 0.0)
    found: list[Verdict] = []
    for step in Episode(domain, plant, decide_with(domain)).run():
        if step.t_s > 13 * 3600.0:
            break
        found += [step.verdict] if step.verdict is not None and step.verdict.order is not None else []
    return found


def test_a_run_with_the_agent_is_repeated_verdict_by_verdict_and_the_rules_hold_without_it() -> None:
    agent, again, alone = half_a_day(planner_decider), half_a_day(planner_decider), half_a_day(lambda domain: silent_decider)
    assert agent == again
    assert {verdict.kind for verdict in agent} == {"accept", "fallback"} and {verdict.kind for verdict in alone} == {"fallback"}
    assert sum(verdict.kind == "accept" for verdict in agent) >= 3


def test_what_came_of_a_decision_is_told_in_figures() -> None:
    then, later = picture_of(0.5), picture_of(2.0)
    found = farm_domain().outcome(then, [later])
    assert found["heat_kwh_m2"] >= 0.0 and found["air_temp_mean"] == pytest.approx(20.0, abs=0.1)
    assert found["rh_out_share"] == 0.0 and found["fruit_kg_m2"] > 0.0
    assert farm_domain().outcome(then, [])["water_l_m2"] == 0.0


def test_the_guard_holds_what_was_accepted_and_falls_back_when_it_expires() -> None:
    domain, picture = farm_domain(), picture_of(1.0)
    guard = Guard(domain)
    guard.remember(picture)
    options = domain.options(picture)
    assert guard.offer(picture, options, domain.planned(picture, options)).kind == "accept"
    guard.agent_seen(picture.t_s)
    assert guard.tick(picture, picture.t_s).mode == "agent"
    late: FarmPicture = picture.model_copy(update={"t_s": picture.t_s + 8.1 * 3600.0})
    guard.agent_seen(late.t_s)
    tick = guard.tick(late, late.t_s)
    assert tick.mode == "fallback" and tick.order is not None and "expired" in tick.reason


def test_a_drawing_is_made(tmp_path: Path) -> None:
    domain = farm_domain()
    plant = domain.plant("tuning-spring-nl-7@1", 0)
    plant.step(7200.0)
    assert domain.draw(plant, tmp_path / "season.png", "two hours").stat().st_size > 10_000
