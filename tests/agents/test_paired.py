"""The same cases with and without an agent: differences are paired, kept, and their intervals honest."""

from dataclasses import replace
from pathlib import Path

import pytest

from sdx_agents.bench import SuiteRun
from sdx_agents.paired import latency, paired_differences, run_paired

RUN = SuiteRun("imazu", count=2, model="none", workers=1)


def test_each_case_is_run_with_and_without_the_agent(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run = replace(RUN, kept=tmp_path / "imazu.jsonl")
    found = run_paired(run, lambda done, total, row: told.append((row["half"], done, total)))
    assert [half for half, _, _ in told] == ["alone", "alone", "agent", "agent"]
    assert found["alone"]["ablate"] == "agent" and found["agent"]["ablate"] == "none"
    figure = next(iter(found["paired"]))
    first = [row[figure] for row in found["agent"]["cases"]]
    second = [row[figure] for row in found["alone"]["cases"]]
    assert found["paired"][figure]["mean"] == pytest.approx(sum(a - b for a, b in zip(first, second, strict=True)) / 2, abs=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imazu.alone.jsonl", "imazu.jsonl"]
    again: list[str] = []
    assert run_paired(run, lambda done, total, row: again.append(row["half"]))["paired"] == found["paired"] and again == []


def test_the_interval_is_that_of_the_pairs() -> None:
    pairs = [
        ({"profit": 10.0 + i, "name": "a", "ok": True, "fruit": None}, {"profit": 9.0 + i, "name": "a", "ok": True, "fruit": None})
        for i in range(8)
    ]
    assert paired_differences(pairs) == {"profit": {"mean": 1.0, "low": 1.0, "high": 1.0, "better": 8, "worse": 0, "cases": 8}}
    mixed = paired_differences([({"profit": float(i)}, {"profit": 3.0}) for i in range(8)])["profit"]
    assert mixed["low"] < 0.5 < mixed["high"] and mixed["mean"] == 0.5 and (mixed["better"], mixed["worse"]) == (4, 3)
    assert paired_differences([]) == {}


def test_latency_of_a_plan_is_told() -> None:
    found = latency(RUN, decisions=2)
    assert 0.0 < found["plan_ms"]["p50"] <= found["plan_ms"]["p95"] <= found["plan_ms"]["max"] < 60_000.0
    assert "controller_tick_ms" not in found  # a ship has none
