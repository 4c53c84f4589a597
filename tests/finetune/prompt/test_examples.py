"""Which rows serve for what: groups and near-duplicates on one side, held-out rows never taken from."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.datasets.gather import gather
from sdx_finetune.datasets.store import Store
from sdx_finetune.prompt.examples import Plan, plan, read_examples
from sdx_finetune.prompt.spec import PromptSpec

WORDS = ["anchor", "beacon", "compass", "draught", "ensign", "fender", "galley", "hawser", "iceberg", "jetty", "keel", "lantern", "mooring"]


def chat(number: int, **meta: Any) -> dict[str, Any]:
    text = " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 2, 3, 5, 7)) + f" {number}"
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": f"answer {number}"}], "meta": meta}


def spec_of(rows: str, **more: Any) -> PromptSpec:
    return PromptSpec.model_validate({"name": "own", "task": "Say it.", "rows": rows, "model": {"model": "http://127.0.0.1:9/v1"}, **more})


def planned(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Plan:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = spec_of(str(path), **more)
    return plan(read_examples(spec), spec)


def groups(side: Any) -> set[str]:
    return {example.group for example in side}


def test_no_group_stands_on_two_sides(tmp_path: Path) -> None:
    found = planned(tmp_path, [chat(n, scenario=f"s{n // 3}") for n in range(60)]).final
    assert len(found.train) + len(found.validation) + len(found.test) == 60
    assert min(map(len, (found.train, found.validation, found.test))) >= 10
    assert not groups(found.train) & groups(found.test) and not groups(found.validation) & groups(found.train) | groups(
        found.test
    ) & groups(found.validation)


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    long = "the pilot boards at the outer buoy an hour before high water and the tugs meet the ship at the inner buoy with two lines"
    twins = [
        {"messages": [{"role": "user", "content": f"{long} {extra}"}, {"role": "assistant", "content": "yes"}], "meta": {"scenario": extra}}
        for extra in ("today", "now", "tomorrow")
    ]
    found = planned(tmp_path, [chat(n) for n in range(40)] + twins).final
    sides = [
        {e.query for e in side} & {twin["messages"][0]["content"] for twin in twins} for side in (found.train, found.validation, found.test)
    ]
    assert sorted(map(len, sides)) == [0, 0, 3]


def test_folds_test_every_row_once_and_never_on_its_own_group(tmp_path: Path) -> None:
    found = planned(tmp_path, [chat(n, patient=n // 2) for n in range(18)])
    tested = [example.row.key for sides in found.folds for example in sides.test]
    assert len(found.folds) == 4 and len(tested) == len(set(tested)) == 18
    assert all(not groups(sides.test) & groups([*sides.train, *sides.validation]) for sides in found.folds)
    assert all(sides.train and sides.validation for sides in found.folds)
    assert not found.final.test and "4-fold cross-validation" in found.notes[0]


def test_a_data_sets_own_evaluation_split_is_what_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "store"))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(chat(n, scenario=min(n, 30))) + "\n" for n in range(36)), encoding="utf-8")
    rows = gather([path]).rows
    facts = {
        "name": "berths",
        "sources": ["x"],
        "licence": "own",
        "dropped": 0,
        "description": "",
        "tokens": 1,
        "tokenizer": "",
        "languages": {},
    }
    card = Store().add({"train": rows[:24] + rows[33:], "eval": rows[24:33]}, {**facts, "groups": 31})
    spec = spec_of(f"berths@{card.version}")
    given = read_examples(spec)
    found = plan(given, spec)
    assert {example.row.key for example in found.final.test} == given.held_out and len(given.held_out) == 9
    assert len(found.final.train) + len(found.final.validation) == 24
    assert found.notes[0] == "3 rows are left out: they belong to, or nearly are, held out rows"
    assert "the interval is wide" in found.notes[1]


def test_many_rows_are_drawn_by_the_seed(tmp_path: Path) -> None:
    first, same, other = (
        [e.row.key for e in planned(tmp_path, [chat(n) for n in range(80)], max_rows=40, seed=seed).final.test] for seed in (1, 1, 2)
    )
    assert first == same != other


def test_rows_of_one_language(tmp_path: Path) -> None:
    found = planned(tmp_path, [chat(n, language="ko" if n % 4 == 0 else "en") for n in range(48)], language="ko")
    assert sum(len(sides.test) for sides in found.folds) == 12


def test_a_system_turn_that_all_rows_share_is_the_base_prompt(tmp_path: Path) -> None:
    rows = [chat(n) for n in range(3)]
    for row in rows:
        row["messages"].insert(0, {"role": "system", "content": "You are the pilot."})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = str(tmp_path / "rows.jsonl")
    assert read_examples(spec_of(path)).instruction == "You are the pilot."
    assert read_examples(spec_of(path, instruction="Be brief.")).instruction == "Be brief."
