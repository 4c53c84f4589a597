import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_finetune.measure.evaluate import evaluate, figure, wilson
from sdx_finetune.rows import Row


class Reader:
    """Answers by reading the facts; wrong for Korean when told so."""

    concurrency = 2

    def __init__(self, wrong_korean: bool = False, name: str = "reader") -> None:
        self.name, self.wrong_korean = name, wrong_korean
        self.asked: list[Mapping[str, Any] | None] = []

    def answer(self, turns: list[dict[str, str]], schema: Mapping[str, Any] | None) -> str:
        assert turns[-1]["role"] == "user"
        self.asked.append(schema)
        lines = [line.split() for line in turns[-1]["content"].splitlines() if line.startswith("T")]
        far = self.wrong_korean and "가까운가" in turns[-1]["content"]
        chosen = (max if far else min)(lines, key=lambda words: float(words[2]))
        return json.dumps({"nearest": chosen[0]})


def scorer(row: Row, answer: str) -> dict[str, bool | float | None]:
    korean = row.meta["language"] == "ko"
    return {
        "nearest": json.loads(answer)["nearest"] == row.meta["nearest"],
        "length": float(len(answer)),
        "korean_only": True if korean else None,
    }


def test_figures_come_whole_and_by_group(toy: list[Row], tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    result = evaluate(toy[:40], Reader(wrong_korean=True), scorer, out, seed=7)
    korean = sum(row.meta["language"] == "ko" for row in toy[:40])
    assert result["figures"]["nearest"] | {"low": 0, "high": 0} == {"mean": round((40 - korean) / 40, 5), "low": 0, "high": 0, "rows": 40}
    assert result["by"]["language"]["en"]["nearest"]["mean"] == 1.0
    assert result["by"]["language"]["ko"]["nearest"]["mean"] == 0.0
    assert result["figures"]["korean_only"]["rows"] == korean
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written == result
    assert written["seed"] == 7
    assert {"commit", "machine", "packages", "rows_id", "answer_s"} <= set(written)


def test_a_killed_evaluation_goes_on(toy: list[Row], tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    evaluate(toy[:10], Reader(), scorer, out)
    with (tmp_path / "evaluation.answers.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"model": "reader", "key": "cut by a ki')
    again = Reader()
    assert evaluate(toy[:30], again, scorer, out)["rows"] == 30
    assert len(again.asked) == 20
    assert evaluate(toy[:30], Reader(), scorer, out)["figures"]["nearest"]["mean"] == 1.0


def test_answers_of_another_model_are_not_taken(toy: list[Row], tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    evaluate(toy[:10], Reader(), scorer, out)
    other = Reader(name="other")
    evaluate(toy[:10], other, scorer, out)
    assert len(other.asked) == 10


def test_the_schema_reaches_the_model(toy: list[Row], tmp_path: Path) -> None:
    reader = Reader()
    evaluate(toy[:3], reader, scorer, tmp_path / "evaluation.json", schema_of=lambda row: {"title": row.meta["nearest"]})
    assert {schema["title"] for schema in reader.asked if schema} == {row.meta["nearest"] for row in toy[:3]}


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run the stage `data` first"):
        evaluate([], Reader(), scorer, tmp_path / "evaluation.json")


def test_wilson_agrees_with_the_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson(81 / 263, 263) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_an_interval_holds_its_mean(values: list[bool]) -> None:
    found = figure(values)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
