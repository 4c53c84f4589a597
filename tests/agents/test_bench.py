"""A suite that is stopped goes on from the cases that it kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdx_agents.bench import SuiteRun, run_suite

RUN = SuiteRun("imazu", count=3, model="none", workers=1)


def without_times(result: dict[str, Any]) -> tuple[Any, Any]:
    cases = [{key: value for key, value in case.items() if key != "decision_s_p95"} for case in result["cases"]]
    summary = {key: value for key, value in result["summary"].items() if not key.startswith(("decision_s", "wall_s"))}
    return cases, summary


def test_what_was_kept_is_not_run_again(tmp_path: Path) -> None:
    kept = tmp_path / "runs/imazu.jsonl"
    run = replace(RUN, kept=kept)
    whole = run_suite(run)
    head, first, second, third = kept.read_text().splitlines()
    kept.write_text("\n".join([head, first, second, third[:50]]))
    done: list[str] = []
    again = run_suite(run, lambda number, total, row: done.append(row["case"]))
    assert done == [whole["cases"][2]["case"]] and without_times(again) == without_times(whole)
    assert run_suite(run, lambda number, total, row: done.append("again"))["cases"] == again["cases"] and "again" not in done
    for other in (replace(run, seed=1), replace(run, language="ko"), replace(run, folder=tmp_path)):
        with pytest.raises(ValueError, match="holds another run"):
            run_suite(other)


def test_a_file_whose_first_line_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    kept = tmp_path / "imazu.jsonl"
    kept.write_text('{"suite": "im')
    assert len(run_suite(replace(RUN, count=1, kept=kept))["cases"]) == 1
    assert kept.read_text().count("\n") == 2


def test_nobody_decides_in_the_ablation_without_an_agent() -> None:
    result = run_suite(replace(RUN, count=1, ablate="agent"))
    assert result["ablate"] == "agent" and result["model"] == "none"
    (case,) = result["cases"]
    assert case["verdicts"]["accept"] == 0 and case["verdicts"]["fallback"] > 0
    assert result["summary"]["accept_rate"] is None and result["summary"]["decisions"] == 0


def test_a_dead_decider_gives_no_answer_in_its_time(tmp_path: Path) -> None:
    kept = tmp_path / "outage.jsonl"
    run = replace(RUN, count=1, outage_s=(0.0, 300.0), kept=kept)
    awake, dead = run_suite(replace(RUN, count=1)), run_suite(run)
    assert dead["outage_s"] == (0.0, 300.0)
    assert awake["cases"][0]["verdicts"]["timeout"] == 0 and dead["cases"][0]["verdicts"]["timeout"] >= 4
    assert dead["cases"][0]["verdicts"]["accept"] < awake["cases"][0]["verdicts"]["accept"]
    with pytest.raises(ValueError, match="holds another run"):
        run_suite(replace(run, outage_s=(0.0, 60.0)))
