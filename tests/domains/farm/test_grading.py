"""A right answer scores full, a wrong one loses exactly where it is wrong."""

import json
from types import SimpleNamespace

import jsonschema
import pytest

from sdx_domains.contract import Language, Proposal
from sdx_domains.farm import grading, prompting
from sdx_domains.farm.language import reason_form
from sdx_domains.farm.planner import best
from sdx_domains.farm.situation import understanding_of


def row_of(picture, options, language: Language = "en"):
    chosen = best(options)
    proposal = Proposal(
        option_id=chosen.id, understanding=understanding_of(picture), reason=reason_form(picture, chosen, options, language)
    )
    messages = [*prompting.messages(picture, options, (), language), {"role": "assistant", "content": prompting.write_answer(proposal)}]
    return SimpleNamespace(messages=[SimpleNamespace(**message) for message in messages], meta={"task": "decide", "language": language})


@pytest.fixture
def row(house, plans):
    return row_of(house(), plans(house()))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_expected_answer_scores_full(moment, language) -> None:
    for seed in range(8):
        picture, options = moment(seed)
        if picture.forecast is None or picture.prices is None:
            continue
        row = row_of(picture, options, language)
        metrics = grading.grade(row, row.messages[-1].content)
        assert all(value is None or value == 1.0 for value in metrics.values()), metrics
        schema = grading.schema_of(row)
        assert schema is not None
        jsonschema.validate(json.loads(row.messages[-1].content), schema)


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"limit": "heat"}, "limit"),
        ({"risks": ["storm"]}, "risks_f1"),
        ({"reason": "Warm enough."}, "cited"),
        ({"reason": "Inside {air_temp} {rh} {co2} {moon}"}, "figures"),
        ({"reason": "Inside {air_temp} {rh} {co2} 99.9"}, "figures"),
        ({"reason": "실내 {air_temp} {rh} {co2}"}, "language"),
        ({"needs_human": True}, "needs_human"),
    ],
)
def test_a_wrong_part_is_told_apart(row, change, metric) -> None:
    answer = json.loads(row.messages[-1].content) | change
    metrics = grading.grade(row, json.dumps(answer, ensure_ascii=False))
    assert metrics["valid_json"] and metrics[metric] != 1.0 and metrics[metric] is not None
    assert metrics["option"] and metrics["good_option"]


def test_a_plan_nearly_as_good_is_a_good_choice(row) -> None:
    wanted = json.loads(row.messages[-1].content)
    losses = {line.split()[0]: int(line.split()[3]) for line in row.messages[1].content.split("\n") if " loss " in line}
    worst = max(losses, key=lambda id: losses[id])
    metrics = grading.grade(row, json.dumps(wanted | {"option": worst}))
    assert losses[worst] > grading.GOOD_LOSS and metrics["option"] is False and metrics["good_option"] is False
    near = row.messages[1].content.replace(f"loss {losses[worst]} ", "loss 3 ")
    row.messages[1].content = near
    metrics = grading.grade(row, json.dumps(wanted | {"option": worst}))
    assert metrics["option"] is False and metrics["good_option"] is True


@pytest.mark.parametrize("answer", ["", "not json", "[]", "{}", '{"limit": 1}'])
def test_what_is_no_answer_scores_nothing(row, answer) -> None:
    metrics = grading.grade(row, answer)
    assert not any(metrics.values()) and metrics["valid_json"] is False


def test_an_answer_to_a_question_is_held_to_its_figures() -> None:
    def message(text):
        return SimpleNamespace(role="x", content=text)

    row = SimpleNamespace(
        messages=[message("air_temp 21.4\nquestion: ?"), message("Inside it is {air_temp}.")], meta={"task": "question", "language": "en"}
    )
    assert grading.grade(row, "Inside it is {air_temp}.") == {"answer_exact": True, "answer_figures": True, "language": True}
    assert grading.grade(row, "실내는 {rh}이다.") == {"answer_exact": False, "answer_figures": False, "language": False}
    assert grading.schema_of(row) is None
