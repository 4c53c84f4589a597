"""The grader gives full marks to the domain's own answer and none to what was changed."""

import json
from types import SimpleNamespace

import jsonschema
import pytest

from sdx_domains.ship.examples import TRAINING_SEED, rows
from sdx_domains.ship.grading import grade, schema_of


def as_row(raw) -> SimpleNamespace:
    return SimpleNamespace(messages=[SimpleNamespace(**m) for m in raw["messages"]], meta=raw["meta"])


@pytest.fixture(scope="module")
def sample() -> list[SimpleNamespace]:
    return [as_row(raw) for raw in rows(24, TRAINING_SEED + 77_000)]


def decisions(sample):
    return [row for row in sample if row.meta["task"] == "decide"]


def test_the_domains_own_answer_gets_full_marks(sample) -> None:
    for row in sample:
        marks = grade(row, row.messages[-1].content)
        assert all(value in (True, 1.0, None) for value in marks.values()), (row.messages[-1].content, marks)


def test_own_answers_follow_the_schema(sample) -> None:
    for row in decisions(sample):
        jsonschema.validate(json.loads(row.messages[-1].content), schema_of(row))


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        (lambda a: a | {"option": "Z"}, "option"),
        (lambda a: a | {"reason": a["reason"] + " CPA 98.76 NM."}, "numbers"),
        (lambda a: a | {"reason": a["reason"] + " CPA {T9.cpa} NM."}, "numbers"),
        (lambda a: a | {"reason": a["reason"] + " CPA {min_cpa} min."}, "numbers"),
        (lambda a: a | {"reason": a["reason"] + " {rudder} deg."}, "numbers"),
        (lambda a: a | {"reason": a["reason"] + " {T1.min_cpa} NM."}, "numbers"),
        (lambda a: a | {"reason": "T1 crosses, CPA {T1.range} NM."}, "numbers"),
        (lambda a: a | {"reason": "T1 crosses, CPA {T2.cpa} NM."}, "numbers"),
        (lambda a: a | {"reason": "T1 CPA {min_cpa} NM."}, "numbers"),
        (lambda a: a | {"reason": "T1 CPA {T1.cpa NM."}, "numbers"),
        (lambda a: a | {"targets": {k: v | {"role": "r19", "rules": ["R9"]} for k, v in a["targets"].items()}}, "rules_f1"),
    ],
)
def test_a_changed_answer_loses_marks(sample, change, metric) -> None:
    for row in decisions(sample):
        answer = json.loads(row.messages[-1].content)
        if answer["targets"]:
            assert float(grade(row, json.dumps(change(answer)))[metric]) < 1.0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"targets": {}}', "turn to port"])
def test_what_is_no_answer_is_marked_so(sample, text) -> None:
    assert grade(decisions(sample)[0], text)["valid_json"] is False


def test_rows_are_the_same_for_the_same_seed() -> None:
    assert list(rows(3, TRAINING_SEED + 5)) == list(rows(3, TRAINING_SEED + 5))


def test_evaluation_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="belongs to the evaluation suites"):
        next(rows(1, 5))
