"""The simulation as judge: the planner's answer is worth most, a refused one nothing, the same answer always the same."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sdx_domains.ship.reward import REFUSED, UNREADABLE, grade, reward, rows, schema_of


@pytest.fixture(scope="module")
def made() -> list[Any]:
    return [SimpleNamespace(messages=row["messages"], meta=json.loads(json.dumps(row["meta"]))) for row in rows(8, 1_800_000)]


def test_the_planners_answer_is_accepted_and_worth_most(made: list[Any]) -> None:
    for row in made:
        own = row.messages[-1]["content"]
        worth = reward(row, own)
        assert 0.5 <= worth <= 1.0 and reward(row, own) == worth
        assert grade(row, own) == {"accepted": True, "reward": worth}
        others = [json.dumps(json.loads(own) | {"option": option}) for option in schema_of(row)["properties"]["option"]["enum"]]
        assert worth >= max(reward(row, other) for other in others) - 1e-9


def test_what_assurance_refuses_is_worth_nothing(made: list[Any]) -> None:
    own = json.loads(made[0].messages[-1]["content"])
    assert reward(made[0], json.dumps(own | {"reason": "CPA 99.9 NM to T1."})) == REFUSED
    offered = {option for row in made for option in schema_of(row)["properties"]["option"]["enum"]}
    refused = [reward(row, json.dumps(json.loads(row.messages[-1]["content"]) | {"option": o})) for row in made for o in sorted(offered)]
    assert REFUSED in refused


@pytest.mark.parametrize("answer", ["", "no JSON", "{}", '{"option": "Z"}'])
def test_an_unreadable_answer_is_worth_less_than_a_refused_one(made: list[Any], answer: str) -> None:
    assert reward(made[0], answer) == UNREADABLE < REFUSED


def test_a_row_without_its_picture_says_where_such_rows_come_from(made: list[Any]) -> None:
    with pytest.raises(KeyError, match="sdx_domains.ship.reward"):
        reward(SimpleNamespace(meta={}), made[0].messages[-1]["content"])
